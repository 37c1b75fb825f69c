"""What people do with comparisons and studies: submit, pause, resume, cancel, retry, delete.

Each is one transaction; what the state of things does not allow is a Conflict and changes nothing.
Workers need not be told: a worker looks where it stands after every epoch, pauses by keeping its
checkpoint, and can write nothing more about trials that were cancelled (the fence).
"""

from collections.abc import Mapping
from typing import Any, Literal

from optuna.trial import TrialState, create_trial
from sqlalchemy import ColumnElement, Connection, Row, Table, select, update

from tuner.errors import Conflict, InvalidInput, NotFound
from tuner.search.events import record
from tuner.search.spec import ComparisonSpec
from tuner.search.store import Store
from tuner.search.tables import (
    ACTIVE,
    CANCELLED,
    COMPLETE,
    FAILED,
    HELD,
    PAUSED,
    RUNNING,
    WAITING,
    comparisons,
    studies,
    trials,
)

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
        Conflict: If the database holds another comparison of that name.
    """
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
        Conflict: If its state does not allow this, or if it changed meanwhile.
    """
    with store.transaction() as connection:
        _change(connection, comparisons, comparisons.c.name == name, action, revision)
        if action == "cancel":
            unfinished = studies.c.status.in_((ACTIVE, PAUSED))
            connection.execute(
                update(studies)
                .where(studies.c.comparison == name, unfinished)
                .values(status=CANCELLED, revision=studies.c.revision + 1)
            )
            _call_off(store, connection, trials.c.comparison == name)
        record(connection, name, _PAST[action])


def change_study(
    store: Store, study_id: int, action: Action, *, revision: int | None = None
) -> None:
    """Pause, resume or cancel one study of a comparison; see ``change_comparison``.

    An arm of which a search is cancelled gets no retraining.
    """
    with store.transaction() as connection:
        row = _change(connection, studies, studies.c.id == study_id, action, revision)
        if action == "cancel":
            names = [row.study_name]
            if not row.retrain:
                again = (studies.c.comparison == row.comparison) & (studies.c.arm == row.arm)
                its = studies.c.retrain & again
                names += connection.scalars(select(studies.c.study_name).where(its))
                connection.execute(update(studies).where(its).values(status=CANCELLED))
            _call_off(store, connection, trials.c.study_name.in_(names))
        record(connection, row.comparison, _PAST[action], study=row.study_name)


def retry_failed(store: Store, name: str, *, revision: int | None = None) -> int:
    """Have the comparison's failed trials run again; returns how many those are.

    Optuna lets no finished trial change, so each becomes a new trial of the same index,
    parameters and seed; the failed one stays to be seen, and counts no more. Where an arm's
    searches are run again its retraining is thrown away: its incumbent may be another.

    Raises:
        NotFound: If there is no comparison of that name.
        Conflict: If it is cancelled, nothing failed, or it changed meanwhile.
    """
    with store.transaction() as connection:
        row = _locked(connection, comparisons, comparisons.c.name == name, revision)
        failed = connection.execute(
            select(trials.c.trial_id, trials.c.study_name, studies.c.arm, studies.c.retrain)
            .join(studies, studies.c.study_name == trials.c.study_name)
            .where(trials.c.comparison == name, trials.c.state == FAILED)
        ).all()
        if row.status == CANCELLED:
            raise Conflict(f"comparison {name!r} is cancelled; submit it under another name")
        if not failed:
            raise Conflict(f"comparison {name!r}: no trial failed, so there is nothing to retry")
        searched = {trial.arm for trial in failed if not trial.retrain}
        for trial in failed:
            if not (trial.retrain and trial.arm in searched):
                _again(store, connection, trial.trial_id, trial.study_name)
        if searched:
            which = (studies.c.comparison == name) & studies.c.retrain
            _forget_trials(store, connection, which & studies.c.arm.in_(searched))
        connection.execute(
            update(studies)
            .where(studies.c.comparison == name, studies.c.status == COMPLETE)
            .values(status=ACTIVE)
        )
        _set_status(connection, comparisons, comparisons.c.name == name, row, ACTIVE)
        record(connection, name, "retried", n=len(failed))
    return len(failed)


def delete(store: Store, name: str, *, revision: int | None = None) -> None:
    """Remove a comparison, its studies and its trials for good.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If it is active, or changed meanwhile.
    """
    with store.engine.begin() as connection:
        row = _locked(connection, comparisons, comparisons.c.name == name, revision)
    if row.status == ACTIVE:
        raise Conflict(f"comparison {name!r} is active; pause or cancel it before deleting it")
    store.delete(name)


_PAST = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


def _locked(
    connection: Connection, table: Table, which: ColumnElement[bool], revision: int | None
) -> Row[Any]:  # Any: a row's columns
    """The row, which nobody else changes before this transaction ends."""
    connection.execute(update(table).where(which).values(revision=table.c.revision))
    row = connection.execute(select(table).where(which)).first()
    kind = "comparison" if table is comparisons else "study"
    if row is None:
        raise NotFound(
            f"there is no such {kind} in the database; list them to see which there are"
        )
    if revision is not None and row.revision != revision:
        raise Conflict(
            f"{kind} {_name(row)!r} changed meanwhile: it is at revision {row.revision}, not "
            f"{revision}; read it again"
        )
    return row


def _change(
    connection: Connection,
    table: Table,
    which: ColumnElement[bool],
    action: Action,
    revision: int | None,
) -> Row[Any]:  # Any: a row's columns
    """Take the row from one state to another; returns it as it was."""
    row = _locked(connection, table, which, revision)
    states, result = _ALLOWED[action]
    if row.status not in states:
        kind = "comparison" if table is comparisons else "study"
        raise Conflict(
            f"{kind} {_name(row)!r} is {row.status}; only {' or '.join(states)} ones can be "
            f"{_PAST[action]}"
        )
    _set_status(connection, table, which, row, result)
    return row


def _set_status(
    connection: Connection, table: Table, which: ColumnElement[bool], row: Row[Any], status: str
) -> None:
    connection.execute(update(table).where(which).values(status=status, revision=row.revision + 1))


def _name(row: Row[Any]) -> str:  # Any: a row's columns
    return str(row.study_name if "study_name" in row._fields else row.name)


def _call_off(store: Store, connection: Connection, which: ColumnElement[bool]) -> None:
    """End the trials that are not finished: cancelled here, FAIL in Optuna and marked so."""
    unfinished = trials.c.state.in_((HELD, WAITING, RUNNING))
    ended = connection.scalars(
        update(trials)
        .where(which, unfinished)
        .values(state=CANCELLED, worker=None, lease_expires=None)
        .returning(trials.c.trial_id)
    ).all()
    for trial_id in ended:
        store.rdb.set_trial_user_attr(trial_id, "cancelled", True)
        store.rdb.set_trial_state_values(trial_id, TrialState.FAIL)


def _again(store: Store, connection: Connection, trial_id: int, study_name: str) -> None:
    """Put a failed trial's successor in its place."""
    failed = store.rdb.get_trial(trial_id)
    attributes = {name: failed.user_attrs[name] for name in ("index", "seed")}
    study_id = store.rdb.get_study_id_from_name(study_name)
    template = create_trial(
        state=TrialState.WAITING,
        params=failed.params,
        distributions=failed.distributions,
        user_attrs=attributes,
    )
    successor = store.rdb.create_new_trial(study_id, template)
    connection.execute(
        update(trials)
        .where(trials.c.trial_id == trial_id)
        .values(trial_id=successor, state=WAITING, worker=None, failures=0, value=None)
    )


def _forget_trials(store: Store, connection: Connection, which: ColumnElement[bool]) -> None:
    """Empty studies; they are filled again when their time comes."""
    rows = connection.execute(select(studies).where(which)).all()
    store.remove_studies(connection, which)
    for row in rows:
        values = {**row._asdict(), "status": ACTIVE, "batch": None, "revision": row.revision + 1}
        connection.execute(studies.insert().values(values))
