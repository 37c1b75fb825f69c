"""What people are to be told of: a comparison ended, stalled, or began to fail.

Every occasion is noted once, whichever server notices it, in the transaction that remembers so.
"""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuner.search.database.events import ENDS, events_after, newest
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    DONE,
    FAILED,
    LIVE,
    UNFINISHED,
    Now,
    comparisons,
    events,
    marks,
    notices,
    trials,
    workers,
)
from tuner.search.queue.queue import LEASE_SECONDS
from tuner.search.watch.notify.settings import NotifySettings
from tuner.wording import count

Kind = Literal["ended", "stalled", "failing", "test"]

_MARK = "notices"
_AT_ONCE = 5000
_DUE_NOW = insert(notices).values(created=Now(), due=Now())
_BEGINS = ("submitted", "retried", "resumed")
_STEPS = (*_BEGINS, "finished", "failed")
"""Kinds of events after which a comparison has gone on."""


@dataclass(frozen=True)
class Occasion:
    """Something that people are told of.

    Args:
        comparison: Which.
        key: Tells it from others of the comparison: it is noted once.
        kind: What happened.
        status: The comparison's.
        sentence: What happened, for people.
        counts: The comparison's trials by state.
    """

    comparison: str
    key: str
    kind: Kind
    status: str
    sentence: str
    counts: Mapping[str, int]


def note_occasions(store: Store, settings: NotifySettings) -> int:
    """Note what happened since it was last looked, for each way of telling; returns how much."""
    noted = 0
    while (ends := _note_ends(store, settings)) is not None:
        noted += ends
    with store.reader.connect() as connection:
        active = connection.execute(
            select(comparisons.c.name, comparisons.c.created).where(comparisons.c.status == ACTIVE)
        ).all()
        found = [
            occasion
            for row in active
            for occasion in _while_running(connection, row.name, row.created, settings)
        ]
    return noted + sum(_note(store, settings, occasion) for occasion in found)


def sample_occasion() -> Occasion:
    """What is told to see whether it arrives."""
    return Occasion("test", secrets.token_hex(8), "test", "", "this is a test of bnn-tuner", {})


def content(notice_id: str, occasion: Occasion, public_url: str) -> dict[str, Any]:
    """What a notice says, as JSON."""
    page = f"{public_url}/comparisons/{quote(occasion.comparison, safe='')}"
    return {
        "id": notice_id,
        "type": f"comparison.{occasion.kind}",
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": {
            "comparison": occasion.comparison,
            "status": occasion.status,
            "message": occasion.sentence,
            "trials": dict(occasion.counts),
            "url": page if public_url and occasion.kind != "test" else None,
        },
    }


def _note_ends(store: Store, settings: NotifySettings) -> int | None:
    """Note the comparisons that ended after the mark, and move it; None if nothing happened."""
    with store.reader.connect() as connection:
        last = connection.scalar(select(marks.c.place).where(marks.c.name == _MARK))
    if last is None:
        _begin(store)
        return None
    happened = events_after(store.engine, last, limit=_AT_ONCE)
    if not happened:
        return None
    with store.begin() as connection:
        moved = connection.execute(
            update(marks)
            .where(marks.c.name == _MARK, marks.c.place == last)
            .values(place=happened[-1].id)
        )
        if not moved.rowcount:
            return 0  # another server was faster
        ends = [event for event in happened if event.kind in ENDS and "study" not in event.data]
        rows = [
            row
            for event in ends
            if (occasion := _end(connection, str(event.comparison), event.kind, event.id))
            for row in _rows(occasion, settings)
        ]
        if rows:
            connection.execute(_DUE_NOW, rows)
    return len(rows)


def _begin(store: Store) -> None:
    """Begin with what happens from now on."""
    place = newest(store.engine)
    try:
        with store.begin() as connection:
            connection.execute(insert(marks).values(name=_MARK, place=place))
    except IntegrityError:
        pass  # another server was faster


def _end(connection: Connection, name: str, kind: str, event_id: int) -> Occasion | None:
    status = connection.scalar(select(comparisons.c.status).where(comparisons.c.name == name))
    if status is None:
        return None  # deleted meanwhile
    counts = _counts(connection, name)
    words = f"{name} is {kind}: {count(counts['done'], 'trial')} done"
    if counts["failed"]:
        words += f", {counts['failed']:,} failed"
    return Occasion(name, f"{kind} {event_id}", "ended", str(status), words, counts)


def _while_running(
    connection: Connection, name: str, created: float, settings: NotifySettings
) -> Iterator[Occasion]:
    """What is to be told of an active comparison."""
    counts = _counts(connection, name)
    began, _ = _last(connection, name, _BEGINS)
    if counts["failed"]:
        words = f"{name}: a trial failed for good; see its log on the page, or tuner status {name}"
        yield Occasion(name, f"failing {began}", "failing", ACTIVE, words, counts)
    step, when = _last(connection, name, _STEPS)
    now = connection.scalar(select(Now())) or 0.0
    silent = now - (created if when is None else when)
    if silent > settings.stall_seconds and counts["unfinished"]:
        live = connection.scalar(
            select(func.count())
            .select_from(workers)
            .where(workers.c.state.in_(LIVE), workers.c.last_seen > now - LEASE_SECONDS)
        )
        words = f"{name}: no trial has ended for {count(round(silent / 60), 'minute')}; "
        words += (
            count(live, "worker is running", "workers are running")
            if live
            else "no worker is running"
        )
        yield Occasion(name, f"stalled {step}", "stalled", ACTIVE, words, counts)


def _counts(connection: Connection, name: str) -> dict[str, int]:
    query = (
        select(trials.c.state, func.count())
        .where(trials.c.comparison == name)
        .group_by(trials.c.state)
    )
    by_state = {row[0]: row[1] for row in connection.execute(query)}
    return {
        "done": by_state.get(DONE, 0),
        "failed": by_state.get(FAILED, 0),
        "unfinished": sum(by_state.get(state, 0) for state in UNFINISHED),
    }


def _last(connection: Connection, name: str, kinds: Sequence[str]) -> tuple[int, float | None]:
    """Number and time of the comparison's last event of these kinds; 0 if it is forgotten."""
    query = (
        select(events.c.id, events.c.created)
        .where(events.c.comparison == name, events.c.kind.in_(kinds))
        .order_by(events.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return (0, None) if row is None else (row.id, row.created)


def _note(store: Store, settings: NotifySettings, occasion: Occasion) -> int:
    """Note an occasion, unless it was; returns for how many ways of telling."""
    this = (notices.c.comparison == occasion.comparison) & (notices.c.occasion == occasion.key)
    with store.reader.connect() as connection:
        told = set(connection.scalars(select(notices.c.channel).where(this)))
    rows = [row for row in _rows(occasion, settings) if row["channel"] not in told]
    if not rows:
        return 0
    try:
        with store.begin() as connection:
            connection.execute(_DUE_NOW, rows)
    except IntegrityError:
        return 0  # another server was faster
    return len(rows)


def _rows(occasion: Occasion, settings: NotifySettings) -> list[dict[str, Any]]:
    rows = []
    for channel in settings.channels:
        notice_id = secrets.token_hex(16)
        said = content(notice_id, occasion, settings.public_url)
        rows.append(
            {
                "id": notice_id,
                "comparison": occasion.comparison,
                "occasion": occasion.key,
                "channel": channel,
                "content": json.dumps(said),
            }
        )
    return rows
