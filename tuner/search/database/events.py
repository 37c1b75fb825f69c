"""What happened, in order: written in the transaction of what happened, read by who watches."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    ScalarSelect,
    delete,
    func,
    insert,
    select,
)

from tuner.search.database.tables import Now, events

KEPT = 100_000
"""So many events stay; who was away for longer reads the state instead."""

ENDS = ("complete", "cancelled")
"""Kinds of events that stay for good: whoever tells people of them may be away for long."""

GAP_SECONDS = 5.0


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Args:
        id: Its number; later ones are higher.
        created: When, in seconds since 1970.
        comparison: Whose it is, if any's.
        kind: submitted, claimed, released, lost, finished, failed, paused, resumed, cancelled,
            retried, labelled, complete, deleted or operation (see ``queue.operations``); scaled,
            of a fleet.
        data: More about it, such as the study's name and the number of trials.
    """

    id: int
    created: float
    comparison: str | None
    kind: str
    data: Mapping[str, Any]  # Any: any JSON value


def record(connection: Connection, comparison: str | None, kind: str, **data: object) -> None:
    """Note that something happens in this transaction."""
    connection.execute(_RECORD, {"comparison": comparison, "kind": kind, "data": json.dumps(data)})


_RECORD = insert(events).values(created=Now())


def newest(engine: Engine, *, kind: str | None = None) -> int:
    """The number of the newest event, of this kind if one is given; 0 if there is none."""
    query = select(func.max(events.c.id))
    if kind is not None:
        query = query.where(events.c.kind == kind)
    with engine.connect() as connection:
        return connection.scalar(query) or 0


_its = events.alias("its")


def last_of(comparison: ColumnElement[str]) -> ScalarSelect[int]:
    """Within a query about comparisons: the number of each one's newest event."""
    newest = select(func.max(_its.c.id)).where(_its.c.comparison == comparison)
    return newest.scalar_subquery()


def events_after(engine: Engine, after: int, *, limit: int = 500) -> list[Event]:
    """The events that followed one, oldest first.

    A number that is missing between two others may belong to a transaction that is still open
    (PostgreSQL numbers rows before they can be seen): what follows it is held back for some
    seconds, so that nobody who remembers the last number ever misses one.

    Args:
        engine: The database.
        after: The number of the last one that is known.
        limit: How many at most.
    """
    query = select(events).where(events.c.id > after).order_by(events.c.id).limit(limit)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
        now = connection.scalar(select(Now())) or time.time()
    visible, previous = [], after
    for row in rows:
        gap = previous and row.id != previous + 1
        if gap and abs(now - row.created) < GAP_SECONDS:  # or the clock was set back
            break
        visible.append(row)
        previous = row.id
    return [
        Event(row.id, row.created, row.comparison, row.kind, json.loads(row.data))
        for row in visible
    ]


def trim(engine: Engine) -> None:
    """Forget all events but the newest, and the ends of comparisons."""
    with engine.begin() as connection:
        last = connection.scalar(select(func.max(events.c.id))) or 0
        old = (events.c.id <= last - KEPT) & events.c.kind.not_in(ENDS)
        connection.execute(delete(events).where(old))
