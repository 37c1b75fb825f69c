"""How many trials of each study are in which state, counted anew only once something happened.

Counting thousands of trials takes milliseconds, and those who watch ask again and again. Whatever
changes a trial is an event of its comparison; so counts hold as long as the newest event is the
same. On servers a new event's number may become visible after a later one's (PostgreSQL numbers
rows before they can be seen), so counts are remembered there only when the newest is some seconds
old; SQLite has one writer at a time.
"""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Row, select

from tuner.search.database.events import GAP_SECONDS, last_of
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, events, studies, trials
from tuner.search.watch.progress import StudyProgress, trial_counts, within

_MOST_REMEMBERED = 50_000

_Known = dict[int, tuple[int | None, StudyProgress]]  # study id -> newest event, counts
_remembered: WeakKeyDictionary[Store, _Known] = WeakKeyDictionary()

VERSIONED = (
    select(studies, events.c.id.label("event"), (Now() - events.c.created).label("quiet_seconds"))
    .select_from(studies)
    .outerjoin(events, events.c.id == last_of(studies.c.comparison))
    .order_by(studies.c.id)
)
"""Rows of studies, each with its comparison's newest event and how long ago that was."""


def counted(store: Store, rows: Sequence[Row[Any]]) -> dict[str, StudyProgress]:
    """How far these studies are, by study name; of a cancelled one all that never ran counts so.

    Args:
        store: The database.
        rows: Results of ``VERSIONED``.
    """
    known = _remembered.setdefault(store, {})
    in_order = store.engine.dialect.name == "sqlite"
    by_name: dict[str, StudyProgress] = {}
    to_count = []
    for row in rows:
        event, counts = known.get(row.id, (None, None))
        if counts is None or event != row.event:
            to_count.append(row)
        else:
            by_name[row.study_name] = counts
    if to_count:
        names = [row.study_name for row in to_count]
        by_name |= dict.fromkeys(names, StudyProgress())
        with store.reader.connect() as connection:
            by_name |= trial_counts(connection, trials.c.study_name.in_(names))
        if len(known) > _MOST_REMEMBERED:
            known.clear()
        for row in to_count:
            if (in_order or _quiet(row)) and _holds(row, by_name[row.study_name]):
                known[row.id] = (row.event, by_name[row.study_name])
    return {
        row.study_name: within(row.n_trials, row.status, by_name[row.study_name]) for row in rows
    }


def _quiet(row: Row[Any]) -> bool:  # Any: a row's columns
    """Whether no event before the newest is still to be seen."""
    return row.quiet_seconds is None or bool(row.quiet_seconds > GAP_SECONDS)


def _holds(row: Row[Any], counts: StudyProgress) -> bool:  # Any: a row's columns
    """Whether the next change will be an event: enqueueing trials is none."""
    return counts.held == 0 and bool(counts.queued >= row.n_trials)
