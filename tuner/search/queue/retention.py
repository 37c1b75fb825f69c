"""What of a database may go once it is old: traces of what happened, and what was called off.

Never what a comparison found, unless it was cancelled and that is asked for; never an API key:
where there was one the server stays closed to strangers.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, delete, exists, false, func, select

from tuner.errors import InvalidInput, NotFound
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    CANCELLED,
    RUNNING,
    Now,
    comparisons,
    events,
    fleets,
    requests,
    sessions,
    trials,
    workers,
)
from tuner.search.queue import control

LEAST_SECONDS = 86_400.0
"""The answer to a request is kept for a day, and workers are known by then to live no more."""

_AT_ONCE = 5000
"""Rows that one transaction removes: others want to write meanwhile."""


@dataclass(frozen=True)
class Old:
    """What may go, or went.

    Args:
        events: Number of events.
        workers: Number of workers that gave no sign of life since.
        fleets: Number of fleets of which nothing was seen since.
        requests: Number of answers to requests that carried an Idempotency-Key.
        sessions: Number of sessions of browsers that expired.
        comparisons: Names of cancelled comparisons.
    """

    events: int
    workers: int
    fleets: int
    requests: int
    sessions: int
    comparisons: tuple[str, ...]


@dataclass(frozen=True)
class Retention:
    """What is old, and which of it is meant.

    Args:
        seconds: Older than this, at least a day.
        only: Names of comparisons: what is nobody's, and other comparisons', stays.
        cancelled: Whether cancelled comparisons are meant too, with all their trials.

    Raises:
        InvalidInput: If it is less than a day.
    """

    seconds: float
    only: Collection[str] = ()
    cancelled: bool = False

    def __post_init__(self) -> None:
        if not LEAST_SECONDS <= self.seconds < float("inf"):
            raise InvalidInput("older than: must be at least a day: answers are kept for so long")


def old(store: Store, retention: Retention) -> Old:
    """What may go; nothing is changed."""
    with store.reader.connect() as connection:
        counts = {
            table.name: connection.scalar(select(func.count()).select_from(table).where(which))
            for table, which in _rows(retention).items()
        }
        return _as_old(counts, connection.scalars(_cancelled(retention)))


def prune(store: Store, retention: Retention) -> Old:
    """Remove it, a part at a time: others may read and write meanwhile; returns what went."""
    with store.reader.connect() as connection:
        names = connection.scalars(_cancelled(retention)).all()
    gone: list[str] = []
    for name in names:
        with suppress(NotFound):  # deleted meanwhile
            control.delete(store, name)
            gone.append(name)
    counts = {t.name: _remove(store, t, which) for t, which in _rows(retention).items()}
    return _as_old(counts, gone)


def _as_old(counts: Mapping[str, int | None], names: Iterable[str]) -> Old:
    tables = (events, workers, fleets, requests, sessions)
    numbers = {table.name.removeprefix("tuner_"): counts.get(table.name) or 0 for table in tables}
    return Old(**numbers, comparisons=tuple(names))


def _rows(retention: Retention) -> dict[Table, ColumnElement[bool]]:
    """Table -> which of its rows are old."""
    before = Now() - retention.seconds
    if retention.only:
        named = events.c.comparison.in_(retention.only)
        return {events: (events.c.created < before) & named}
    holds = exists().where(trials.c.worker == workers.c.name, trials.c.state == RUNNING)
    return {
        events: events.c.created < before,
        workers: (workers.c.last_seen < before) & ~holds,
        fleets: fleets.c.last_seen < before,
        requests: requests.c.created < before,
        sessions: sessions.c.expires < before,
    }


def _cancelled(retention: Retention) -> Select[Any]:  # Any: of one column, a text
    """The names of cancelled comparisons to which nothing happened since."""
    before = Now() - retention.seconds
    since = exists().where(events.c.comparison == comparisons.c.name, events.c.created >= before)
    query = select(comparisons.c.name).where(
        comparisons.c.status == CANCELLED, comparisons.c.created < before, ~since
    )
    if retention.only:
        query = query.where(comparisons.c.name.in_(retention.only))
    if not retention.cancelled:
        query = query.where(false())
    return query.order_by(comparisons.c.created)


def _remove(store: Store, table: Table, which: ColumnElement[bool]) -> int:
    """Remove these rows; returns how many those were."""
    (key, *_) = table.primary_key
    some = select(key).where(which).limit(_AT_ONCE)
    removed = 0
    while True:
        with store.begin() as connection:
            gone = connection.execute(delete(table).where(key.in_(some), which)).rowcount
        removed += gone
        if not gone:
            return removed
