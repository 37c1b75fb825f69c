"""Operations: long work on a comparison, in slices, that outlives the request for it.

What changes for people changes at once, in the transaction that begins an operation; what is left
is carried out a slice at a time, each one transaction, by whoever began it and by any keeper. A
slice locks the comparison first, so each is done once, and whatever dies is gone on with.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from optuna.exceptions import StorageInternalError
from sqlalchemy import Connection, Row, delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from tuner.errors import Conflict, NotFound
from tuner.search.database.events import record
from tuner.search.database.patience import away, collided
from tuner.search.database.store import Store
from tuner.search.database.tables import DONE, FAILED, RUNNING, Now, comparisons, operations
from tuner.search.queue import deleting, retrying

Kind = Literal["delete", "retry"]
OnProgress = Callable[[int, int], None]

PROMPT_SECONDS = 1.0
"""So long a request works at what it began; what is left then is left to the keepers."""

SLICE = 25
"""Trials of one transaction; with more of them others would wait for it."""

KEPT_SECONDS = 7 * 86400.0
"""So long an operation that has ended can be looked at."""

_ATTEMPTS = 5
_NEWS = 20
"""There are so many events of an operation's progress, at most."""

_SLICES: Mapping[
    Kind, Callable[[Store, Connection, str, dict[str, Any], int], int | None]
] = {  # Any: JSON
    "delete": deleting.delete_some,
    "retry": retrying.retry_some,
}
"""Does some of the work; returns to how many trials it came, or None once nothing is left."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Operation:
    """Long work on a comparison, and how far it is; see ``tables.operations``.

    Args:
        id: Its number.
        kind: ``delete`` or ``retry``.
        comparison: The comparison's name.
        state: ``running``, ``done`` or ``failed``.
        done: Trials that it came to so far.
        total: Trials that there are for it.
        error: Why it failed.
        created: When it began, in seconds since 1970.
        ended: When it ended.
    """

    id: int
    kind: str
    comparison: str
    state: str
    done: int
    total: int
    error: str | None
    created: float
    ended: float | None

    @property
    def runs(self) -> bool:
        """Whether some of it is left to be done."""
        return self.state == RUNNING


def unseen(_done: int, _total: int) -> None:
    """What is called with the progress of an operation that nobody watches."""


def begin(
    connection: Connection, kind: Kind, comparison: str, total: int, **data: object
) -> Operation:
    """Begin an operation, in the transaction that changes what people see of it.

    Args:
        connection: The transaction, in which the comparison is locked.
        kind: What is to be done.
        comparison: The comparison.
        total: Trials that it is about.
        data: What else its slices need to know, as JSON values.

    Raises:
        Conflict: If another one of the comparison runs.
    """
    if (other := of_comparison(connection, comparison)) is not None:
        raise Conflict(
            f"comparison {comparison!r}: an operation on it runs (/v1/operations/{other.id}, "
            f"{other.kind}, {other.done} of {other.total} trials); wait for its end"
        )
    long_gone = operations.c.ended < Now() - KEPT_SECONDS
    connection.execute(delete(operations).where(long_gone))
    made = connection.execute(
        insert(operations)
        .values(
            kind=kind,
            comparison=comparison,
            state=RUNNING,
            done=0,
            total=total,
            data=json.dumps(data),
            created=Now(),
        )
        .returning(operations)
    )
    operation = _operation(made.one())
    _tell(connection, operation)
    return operation


def get(store: Store, operation_id: int) -> Operation:
    """One operation.

    Raises:
        NotFound: If there is none of that number, or it ended long ago.
    """
    with store.reader.connect() as connection:
        query = select(operations).where(operations.c.id == operation_id)
        row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no operation {operation_id}")
    return _operation(row)


def of_comparison(connection: Connection, comparison: str) -> Operation | None:
    """The operation on the comparison that runs, if one does."""
    this = (operations.c.comparison == comparison) & (operations.c.state == RUNNING)
    row = connection.execute(select(operations).where(this)).first()
    return None if row is None else _operation(row)


def latest(store: Store, comparison: str) -> Operation | None:
    """The operation on the comparison that was begun last, if it is remembered."""
    query = select(operations).where(operations.c.comparison == comparison)
    with store.reader.connect() as connection:
        row = connection.execute(query.order_by(operations.c.id.desc()).limit(1)).first()
    return None if row is None else _operation(row)


def running(store: Store) -> list[int]:
    """The numbers of the operations that run, oldest first."""
    query = select(operations.c.id).where(operations.c.state == RUNNING)
    with store.reader.connect() as connection:
        return list(connection.scalars(query.order_by(operations.c.id)))


def carry_out(
    store: Store,
    operation_id: int,
    *,
    within_seconds: float = inf,
    on_progress: OnProgress = unseen,
) -> Operation:
    """Carry an operation out, as far as it comes in this time.

    Args:
        store: The database.
        operation_id: The operation.
        within_seconds: After so long the rest is left to others.
        on_progress: Called with its trials done and in all, after every slice.

    Returns:
        The operation as it is then.

    Raises:
        NotFound: If there is none of that number.
        DBAPIError, StorageInternalError: If the database is away; it goes on later.
    """
    deadline, attempts = time.monotonic() + within_seconds, 0
    operation = get(store, operation_id)
    while operation.runs and time.monotonic() < deadline:
        try:
            _do_some(store, operation)
            attempts = 0
        except Exception as error:
            if isinstance(error, DBAPIError | StorageInternalError) and away(error):
                raise
            attempts += 1
            if attempts < _ATTEMPTS and collided(error):
                continue  # whoever was in the way is done, or will be
            _log.exception("operation %d (%s) failed", operation.id, operation.kind)
            _end(store, operation, f"{type(error).__name__}: {error}")
        operation = get(store, operation_id)
        on_progress(operation.done, operation.total)
    return operation


def _do_some(store: Store, operation: Operation) -> None:
    """One slice, unless it is done by now."""
    this = (operations.c.id == operation.id) & (operations.c.state == RUNNING)
    name = comparisons.c.name == operation.comparison
    with store.transaction() as connection:
        # Whoever changes a comparison locks it before anything of it.
        connection.execute(update(comparisons).where(name).values(revision=comparisons.c.revision))
        row = connection.execute(select(operations).where(this).with_for_update()).first()
        if row is None:
            return
        data = json.loads(row.data)
        came_to = _SLICES[row.kind](store, connection, row.comparison, data, SLICE)
        done = row.total if came_to is None else min(row.done + came_to, row.total)
        values: dict[str, object] = {"done": done}
        if came_to is None:
            values |= {"state": DONE, "ended": Now()}
        changed = connection.execute(
            update(operations).where(this).values(values).returning(operations)
        ).one()
        if came_to is None or _share(done, row.total) > _share(row.done, row.total):
            _tell(connection, _operation(changed))


def _share(done: int, total: int) -> int:
    """How many parts of it are done, of those that are news."""
    return _NEWS * done // max(total, 1)


def _end(store: Store, operation: Operation, error: str) -> None:
    """Note that it failed; what it was about may be asked for again."""
    this = (operations.c.id == operation.id) & (operations.c.state == RUNNING)
    values = {"state": FAILED, "error": error, "ended": Now()}
    with store.begin() as connection:
        ended = connection.execute(
            update(operations).where(this).values(values).returning(operations)
        ).first()
        if ended is not None:
            _tell(connection, _operation(ended))


def _tell(connection: Connection, operation: Operation) -> None:
    record(
        connection,
        operation.comparison,
        "operation",
        id=operation.id,
        operation=operation.kind,
        state=operation.state,
        done=operation.done,
        total=operation.total,
    )


def _operation(row: Row[Any]) -> Operation:  # Any: a row's columns
    return Operation(**{name: row._mapping[name] for name in Operation.__dataclass_fields__})
