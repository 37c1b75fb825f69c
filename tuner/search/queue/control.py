"""What people do with comparisons and studies: submit, pause, resume, cancel, retry, delete.

Each is one transaction; what the state of things does not allow is a Conflict and changes nothing.
Deleting and retrying begin an operation in it, whose slices follow.
Workers get no message: a worker looks where it stands after every epoch, pauses by keeping its
checkpoint, and can write nothing more about trials that were cancelled (the fence). What a
cancellation leaves to be noted in Optuna is noted right after it, or by any keeper.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal, TypeVar

from optuna.exceptions import StorageInternalError
from pydantic_core import PydanticSerializationError
from sqlalchemy import ColumnElement, Connection, Row, Table, func, select, update
from sqlalchemy.exc import DBAPIError

from tuner.errors import Conflict, InvalidInput, NotFound, Stale
from tuner.search.database.events import record
from tuner.search.database.patience import collided
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    CANCELLED,
    COMPLETE,
    DELETING,
    PAUSED,
    UNFINISHED,
    comparisons,
    studies,
    trials,
)
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import deleting, retrying
from tuner.search.queue.ending import TO_END, end_cancelled
from tuner.search.queue.operations import (
    OnProgress,
    Operation,
    begin,
    carry_out,
    of_comparison,
    unseen,
)

Result = TypeVar("Result")
Action = Literal["pause", "resume", "cancel"]

_ALLOWED: Mapping[str, tuple[tuple[str, ...], str]] = {
    "pause": ((ACTIVE,), PAUSED),
    "resume": ((PAUSED,), ACTIVE),
    "cancel": ((ACTIVE, PAUSED), CANCELLED),
}
"""Action -> the states it may be taken in, and the state it leads to."""


def submit(store: Store, spec: ComparisonSpec) -> bool:
    """As ``accept``; returns whether it is new."""
    return accept(store, spec) is not None


def accept(store: Store, spec: ComparisonSpec) -> float | None:
    """Accept a comparison: from here on it will be run, whatever dies.

    Returns:
        When that was, in seconds since 1970; None if it was there before.

    Raises:
        InvalidInput: If it holds text that cannot be written down.
        Conflict: If the database holds another comparison of that name, or Optuna a study that
            bears the name of one of its own.
    """
    try:
        return store.written(spec)
    except PydanticSerializationError as error:  # JSON can hold one half of a surrogate pair
        raise InvalidInput(f"comparison {spec.name!r}: holds text that is not Unicode") from error
    except InvalidInput as error:
        raise Conflict(str(error)) from error


def check_active(store: Store, name: str) -> None:
    """Refuse to wait for a comparison that nobody will work on.

    Raises:
        Conflict: If it is paused, cancelled or being deleted.
    """
    status = store.status(name)
    if status == PAUSED:
        raise Conflict(f"comparison {name!r} is paused; go on with: tuner resume {name}")
    if status == CANCELLED:
        raise Conflict(f"comparison {name!r} is cancelled; run it under another name")
    if status == DELETING:
        raise Conflict(f"comparison {name!r} is being deleted; run it once that has ended")


def change_comparison(
    store: Store,
    name: str,
    action: Action,
    *,
    revision: int | None = None,
    within_seconds: float = inf,
) -> None:
    """Pause, resume or cancel a comparison.

    Args:
        store: The database.
        name: The comparison.
        action: What to do.
        revision: Do it only if this is still its revision.
        within_seconds: Of a cancellation, what is to be noted in Optuna after so long is left to
            the keepers.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If its state does not allow this.
        Stale: If it has another revision.
    """

    def change() -> None:
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

    _undisturbed(f"comparison {name!r}", change)
    end_cancelled(store, within_seconds=within_seconds)


def change_study(
    store: Store,
    study_id: int,
    action: Action,
    *,
    revision: int | None = None,
    within_seconds: float = inf,
) -> None:
    """Pause, resume or cancel one study of a comparison; see ``change_comparison``.

    Of an arm of which a search is cancelled nothing is trained afresh.
    """

    def change() -> None:
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

    _undisturbed(f"study {study_id}", change)
    end_cancelled(store, within_seconds=within_seconds)


def retry_failed(
    store: Store,
    name: str,
    *,
    revision: int | None = None,
    within_seconds: float = inf,
    on_progress: OnProgress = unseen,
) -> Operation:
    """Have the comparison's failed trials run again.

    Optuna lets no finished trial change, so each becomes a new trial of the same index,
    parameters and seed; the failed one stays to be seen, and counts no more. Where an arm's
    searches are run again, what they selected and was trained afresh is thrown away: it may be
    another now. A paused comparison stays paused, and cancelled studies stay as they are. If that
    was asked for before, the operation that does it is gone on with.

    Args:
        store: The database.
        name: The comparison.
        revision: Do it only if this is still its revision.
        within_seconds: What is left after so long is left to the keepers.
        on_progress: Called with the trials put back, and all that are to be.

    Returns:
        The operation, whose total is the number of those trials.

    Raises:
        NotFound: If there is no comparison of that name.
        Conflict: If it is cancelled or being deleted, or nothing failed.
        Stale: If it has another revision.
    """

    def start() -> Operation:
        with store.transaction() as connection:
            which = _Which(comparisons, f"comparison {name!r}", comparisons.c.name == name)
            row = _locked(connection, which, revision)
            if row.status == CANCELLED:
                raise Conflict(f"comparison {name!r} is cancelled; submit it under another name")
            if row.status == DELETING:
                raise Conflict(f"comparison {name!r} is being deleted; there is nothing to retry")
            operation = of_comparison(connection, name)
            if operation is None:
                n_trials, again, emptied = retrying.mark(connection, name)
                if not n_trials:
                    raise Conflict(
                        f"comparison {name!r}: no trial failed, so there is nothing to retry"
                    )
                if emptied:
                    store.keep_numbers()
                connection.execute(
                    update(studies)
                    .where(studies.c.comparison == name, studies.c.status == COMPLETE)
                    .values(status=ACTIVE, revision=studies.c.revision + 1)
                )
                status = ACTIVE if row.status == COMPLETE else row.status
                _set_status(connection, which, row, status)
                operation = begin(
                    connection, "retry", name, n_trials, again=again, emptied=emptied
                )
                record(connection, name, "retried", n=n_trials)
        return operation

    operation = _undisturbed(f"comparison {name!r}", start)
    return carry_out(store, operation.id, within_seconds=within_seconds, on_progress=on_progress)


def delete(
    store: Store,
    name: str,
    *,
    revision: int | None = None,
    within_seconds: float = inf,
    on_progress: OnProgress = unseen,
) -> Operation:
    """Remove a comparison, its studies and its trials for good.

    From here on nothing else can be done to it, and until it is gone its name is taken. If that
    was asked for before, the operation that does it is gone on with.

    Args:
        store: The database.
        name: The comparison.
        revision: Do it only if this is still its revision.
        within_seconds: What is left after so long is left to the keepers.
        on_progress: Called with the trials deleted, and all that are to be.

    Raises:
        NotFound: If there is none of that name.
        Conflict: If it is active.
        Stale: If it has another revision.
    """

    def start() -> Operation:
        with store.transaction() as connection:
            which = _Which(comparisons, f"comparison {name!r}", comparisons.c.name == name)
            row = _locked(connection, which, revision)
            if row.status == ACTIVE:
                raise Conflict(
                    f"comparison {name!r} is active; pause or cancel it before deleting it"
                )
            operation = of_comparison(connection, name) if row.status == DELETING else None
            if operation is None:
                its = select(func.count()).where(trials.c.comparison == name)
                operation = begin(connection, "delete", name, connection.scalar(its) or 0)
                _set_status(connection, which, row, DELETING)
                deleting.let_nobody_in(store, connection, name)
        return operation

    operation = _undisturbed(f"comparison {name!r}", start)
    return carry_out(store, operation.id, within_seconds=within_seconds, on_progress=on_progress)


_ATTEMPTS = 5
_STATES = {DELETING: "being deleted"}
_PAST = {"pause": "paused", "resume": "resumed", "cancel": "cancelled"}


def _undisturbed(what: str, action: Callable[[], Result]) -> Result:
    """Do it, once more if others were in the way who change the same thing, workers for one.

    Raises:
        Conflict: If they are again and again.
    """
    for _ in range(_ATTEMPTS):
        try:
            return action()
        except (DBAPIError, StorageInternalError, KeyError) as error:
            if not (isinstance(error, KeyError) or collided(error)):
                raise
    raise Conflict(f"{what} is being changed by others at this moment; try again")


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
            f"{_words(row)} is {_STATES.get(row.status, row.status)}; only "
            f"{' or '.join(states)} ones can be {_PAST[action]}"
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
        .values(state=CANCELLED, worker=TO_END, lease_expires=None)
    )
