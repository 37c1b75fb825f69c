"""What people do with comparisons and studies: submit, pause, resume, cancel, retry, delete.

Each is one transaction; what the state of things does not allow is a Conflict and changes nothing.
Workers get no message: a worker looks where it stands after every epoch, pauses by keeping its
checkpoint, and can write nothing more about trials that were cancelled (the fence). What a
cancellation leaves to be noted in Optuna is noted right after it, or by any keeper.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from optuna.trial import TrialState, create_trial
from pydantic_core import PydanticSerializationError
from sqlalchemy import ColumnElement, Connection, Row, Table, select, update

from tuner.errors import Conflict, InvalidInput, NotFound, Stale
from tuner.search.database.events import record
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    CANCELLED,
    COMPLETE,
    FAILED,
    PAUSED,
    UNFINISHED,
    WAITING,
    comparisons,
    studies,
    trials,
)
from tuner.search.declared.spec import ComparisonSpec

Action = Literal["pause", "resume", "cancel"]

_ALLOWED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "pause": ((ACTIVE,), PAUSED),
    "resume": ((PAUSED,), ACTIVE),
    "cancel": ((ACTIVE, PAUSED), CANCELLED),
}
"""Action -> the states it may be taken in, and the state it leads to."""


def submit(store: Store, spec: ComparisonSpec) -> bool:
    """Accept a comparison: from here on it will be run, whatever dies; returns whether it is new.

    Raises:
        InvalidInput: If it holds text that cannot be written down.
        Conflict: If the database holds another comparison of that name.
    """
    try:
        spec.model_dump_json()
    except PydanticSerializationError as error:  # JSON can hold one half of a surrogate pair
        raise InvalidInput(f"comparison {spec.name!r}: holds text that is not Unicode") from error
    try:
        return store.declare(spec)
    except InvalidInput as error:
        raise Conflict(str(error)) from error


def check_active(store: Store, name: str) -> None:
    """Refuse to wait for a comparison that nobody will work on.

    Raises:
        Conflict: If it is paused or cancelled.
    """
    status = store.status(name)
    if status == PAUSED:
        raise Conflict(f"comparison {name!r} is paused; go on with: tuner resume {name}")
    if status == CANCELLED:
        raise Conflict(f"comparison {name!r} is cancelled; run it under another name")


def change_comparison(
    store: Store, name: str, action: Action, *, revision: int | None = None
) -> None:
    """Pause, resume or cancel a comparison.

    Args:
        store: The database.
        name: The comparison.
        action: What to do.
        revision: Do it only if this is still its revision.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If its state does not allow this.
        Stale: If it has another revision.
    """
    with store.begin() as connection:
        which = _Which(comparisons, f"comparison {name!r}", comparisons.c.name == name)
        _change(connection, which, action, revision)
        if action == "cancel":
            unfinished = studies.c.status.in_((ACTIVE, PAUSED))
            connection.execute(
                update(studies)
                .where(studies.c.comparison == name, unfinished)
                .values(status=CANCELLED, revision=studies.c.revision + 1)
            )
            _call_off(connection, trials.c.comparison == name)
        record(connection, name, _PAST[action])
    end_cancelled(store)


def change_study(
    store: Store, study_id: int, action: Action, *, revision: int | None = None
) -> None:
    """Pause, resume or cancel one study of a comparison; see ``change_comparison``.

    Of an arm of which a search is cancelled nothing is trained afresh.
    """
    with store.begin() as connection:
        which = _Which(studies, f"study {study_id}", studies.c.id == study_id)
        row = _change(connection, which, action, revision)
        if action == "cancel":
            names = [row.study_name]
            if not row.retrain:
                again = (studies.c.comparison == row.comparison) & (studies.c.arm == row.arm)
                its = studies.c.retrain & again
                names += connection.scalars(select(studies.c.study_name).where(its))
                connection.execute(
                    update(studies)
                    .where(its)
                    .values(status=CANCELLED, revision=studies.c.revision + 1)
                )
            _call_off(connection, trials.c.study_name.in_(names))
        record(connection, row.comparison, _PAST[action], study=row.study_name)
    end_cancelled(store)


def retry_failed(store: Store, name: str, *, revision: int | None = None) -> int:
    """Have the comparison's failed trials run again; returns how many those are.

    Optuna lets no finished trial change, so each becomes a new trial of the same index,
    parameters and seed; the failed one stays to be seen, and counts no more. Where an arm's
    searches are run again, what they selected and was trained afresh is thrown away: it may be
    another now. A paused comparison stays paused, and cancelled studies stay as they are.

    Raises:
        NotFound: If there is no comparison of that name.
        Conflict: If it is cancelled, or nothing failed.
        Stale: If it has another revision.
    """
    with store.transaction() as connection:
        which = _Which(comparisons, f"comparison {name!r}", comparisons.c.name == name)
        row = _locked(connection, which, revision)
        failed = connection.execute(
            select(trials.c.trial_id, trials.c.study_name, studies.c.arm, studies.c.retrain)
            .join(studies, studies.c.study_name == trials.c.study_name)
            .where(
                trials.c.comparison == name,
                trials.c.state == FAILED,
                studies.c.status != CANCELLED,
            )
        ).all()
        if row.status == CANCELLED:
            raise Conflict(f"comparison {name!r} is cancelled; submit it under another name")
        if not failed:
            raise Conflict(f"comparison {name!r}: no trial failed, so there is nothing to retry")
        searched = {trial.arm for trial in failed if not trial.retrain}
        again = [trial for trial in failed if not (trial.retrain and trial.arm in searched)]
        made = {study.study_name: study._study_id for study in store.rdb.get_all_studies()}
        for trial in again:
            _again(store, connection, trial.trial_id, made.get(trial.study_name))
        connection.execute(
            update(studies)
            .where(studies.c.comparison == name, studies.c.status == COMPLETE)
            .values(status=ACTIVE, revision=studies.c.revision + 1)
        )
        if searched:
            theirs = (studies.c.comparison == name) & studies.c.arm.in_(searched)
            _forget_trials(store, connection, theirs & studies.c.retrain)
        status = ACTIVE if row.status == COMPLETE else row.status
        _set_status(connection, which, row, status)
        record(connection, name, "retried", n=len(again))
    return len(again)


def delete(store: Store, name: str, *, revision: int | None = None) -> None:
    """Remove a comparison, its studies and its trials for good.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If it is active.
        Stale: If it has another revision.
    """
    with store.transaction() as connection:
        which = _Which(comparisons, f"comparison {name!r}", comparisons.c.name == name)
        if _locked(connection, which, revision).status == ACTIVE:
            raise Conflict(f"comparison {name!r} is active; pause or cancel it before deleting it")
        its = studies.c.comparison == name
        # Whoever fills a queue locks its study: nothing comes after this.
        connection.execute(update(studies).where(its).values(revision=studies.c.revision))
        store.remove_studies(connection, its)
        connection.execute(comparisons.delete().where(which.row))
        record(connection, name, "deleted")


_TO_END = "-"
"""In the place of a cancelled trial's worker: Optuna does not know yet that it has ended."""

_CHUNK = 50
_PAST = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


def end_cancelled(store: Store) -> None:
    """Note in Optuna that cancelled trials have ended: FAIL, and marked so."""
    cancelled = (trials.c.state == CANCELLED) & (trials.c.worker == _TO_END)
    query = select(trials.c.trial_id).where(cancelled).limit(_CHUNK)
    while True:
        with store.engine.connect() as connection:
            ids = list(connection.scalars(query))
        if not ids:
            return
        open_in_optuna = [trial_id for trial_id in ids if _is_open(store, trial_id)]
        with store.transaction() as connection:
            noted = update(trials).where(cancelled, trials.c.trial_id.in_(ids))
            mine = noted.values(worker=None).returning(trials.c.trial_id)
            for trial_id in set(connection.scalars(mine)).intersection(open_in_optuna):
                store.rdb.set_trial_user_attr(trial_id, "cancelled", True)
                store.rdb.set_trial_state_values(trial_id, TrialState.FAIL)


@dataclass(frozen=True)
class _Which:
    """A comparison or a study: its table, what people call it, and its row."""

    table: Table
    words: str
    row: ColumnElement[bool]


def _locked(
    connection: Connection, which: _Which, revision: int | None
) -> Row[Any]:  # Any: a row's columns
    """The row, which nobody else changes before this transaction ends."""
    table = which.table
    connection.execute(update(table).where(which.row).values(revision=table.c.revision))
    row = connection.execute(select(table).where(which.row)).first()
    if row is None:
        raise NotFound(f"{which.words} is not in the database")
    if revision is not None and row.revision != revision:
        raise Stale(
            f"{_words(row)} changed meanwhile: it is at revision {row.revision}, not {revision}; "
            "read it again"
        )
    return row


def _change(
    connection: Connection, which: _Which, action: Action, revision: int | None
) -> Row[Any]:  # Any: a row's columns
    """Take the row from one state to another; returns it as it was."""
    row = _locked(connection, which, revision)
    states, result = _ALLOWED[action]
    if row.status not in states:
        raise Conflict(
            f"{_words(row)} is {row.status}; only {' or '.join(states)} ones can be "
            f"{_PAST[action]}"
        )
    _set_status(connection, which, row, result)
    return row


def _set_status(connection: Connection, which: _Which, row: Row[Any], status: str) -> None:
    changed = {"status": status, "revision": row.revision + 1}
    connection.execute(update(which.table).where(which.row).values(changed))


def _words(row: Row[Any]) -> str:  # Any: a row's columns
    is_study = "study_name" in row._fields
    return f"study {row.study_name!r}" if is_study else f"comparison {row.name!r}"


def _call_off(connection: Connection, which: ColumnElement[bool]) -> None:
    """Cancel the trials that are not finished; their workers hold them no more."""
    connection.execute(
        update(trials)
        .where(which, trials.c.state.in_(UNFINISHED))
        .values(state=CANCELLED, worker=_TO_END, lease_expires=None)
    )


def _is_open(store: Store, trial_id: int) -> bool:
    """Whether Optuna has the trial and holds it for unfinished; people can change both."""
    try:
        return not store.rdb.get_trial(trial_id).state.is_finished()
    except KeyError:
        return False


def _again(store: Store, connection: Connection, trial_id: int, study_id: int | None) -> None:
    """Put a failed trial's successor in its place; one that is gone is enqueued as if new."""
    place = trials.c.trial_id == trial_id
    if study_id is None:  # deleted from outside
        connection.execute(trials.delete().where(place))
        return
    failed = store.rdb.get_trial(trial_id)
    attributes = {name: failed.user_attrs[name] for name in ("index", "seed")}
    template = create_trial(
        state=TrialState.WAITING,
        params=failed.params,
        distributions=failed.distributions,
        user_attrs=attributes,
    )
    successor = store.rdb.create_new_trial(study_id, template)
    values = {"trial_id": successor, "state": WAITING, "worker": None, "failures": 0}
    connection.execute(update(trials).where(place).values(**values, value=None))


def _forget_trials(store: Store, connection: Connection, which: ColumnElement[bool]) -> None:
    """Empty studies; they are filled again when their time comes."""
    rows = connection.execute(select(studies).where(which)).all()
    store.remove_studies(connection, which)
    for row in rows:
        values = {**row._asdict(), "batch": None, "revision": row.revision + 1}
        connection.execute(studies.insert().values(values))
