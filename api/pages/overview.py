"""What the first page shows: comparisons with their arms, and who works on them."""

from dataclasses import dataclass
from urllib.parse import urlencode

from tuner.api import deps
from tuner.errors import UnknownName
from tuner.search.database.store import Store
from tuner.search.database.tables import LIVE, STARTING
from tuner.search.watch import views, waits
from tuner.search.watch.progress import ArmProgress
from tuner.search.watch.searching import Sought
from tuner.workload import in_words

COMPARISONS_SHOWN = 10
WORKERS_SHOWN = 50

NOT_ENDED = (STARTING, *LIVE, "broken")
"""The states of workers that are to be looked at."""


@dataclass(frozen=True)
class Entry:
    """A comparison in the list."""

    row: views.ComparisonRow
    workload: str
    n_trials: int
    arms: tuple[ArmProgress, ...]
    note: str | None
    unit: str


@dataclass(frozen=True)
class Overview:
    """The first page.

    Args:
        sought: What is looked for.
        entries: Comparisons, newest first.
        next: The cursor of older ones, if there are any.
        working: Workers that start or live, or stopped themselves because of failures.
        ended: Workers of the last week that stopped or are gone.
    """

    sought: Sought
    entries: tuple[Entry, ...]
    next: str | None
    working: tuple[views.WorkerRow, ...]
    ended: tuple[views.WorkerRow, ...]

    @property
    def announcement(self) -> str:
        """What has changed, for those who hear the page, in steps that are worth hearing."""
        return "; ".join(
            f"{entry.row.name}: {entry.row.status}, {tenths(entry.arms)} per cent done"
            for entry in self.entries
            if entry.row.status == "active"
        )

    @property
    def question(self) -> str:
        """What is looked for, as the part of an address after the question mark."""
        given = {
            "q": self.sought.words,
            "tag": self.sought.tag,
            "status": self.sought.status,
            "archived": "1" if self.sought.archived else "",
        }
        return urlencode({name: value for name, value in given.items() if value})


def overview(store: Store, sought: Sought, cursor: str | None) -> Overview:
    """The first page, from the place that the cursor names.

    Raises:
        InvalidInput: If no page gave this cursor.
    """
    place = deps.decode_cursor(cursor, float, str)
    before = None if place is None else (place[0], place[1])
    rows = views.list_comparisons(store, limit=COMPARISONS_SHOWN + 1, before=before, sought=sought)
    shown = rows[:COMPARISONS_SHOWN]
    workers = views.list_workers(store)
    ended = [worker for worker in workers if worker.state not in NOT_ENDED]
    return Overview(
        sought=sought,
        entries=tuple(entry for row in shown if (entry := _entry(store, row))),
        next=deps.encode_cursor(shown[-1].created, shown[-1].name)
        if len(rows) > len(shown)
        else None,
        working=tuple(worker for worker in workers if worker.state in NOT_ENDED)[:WORKERS_SHOWN],
        ended=tuple(ended[:WORKERS_SHOWN]),
    )


def _entry(store: Store, row: views.ComparisonRow) -> Entry | None:
    """The comparison; None if it was deleted meanwhile."""
    try:
        spec = store.comparison(row.name)
    except UnknownName:
        return None
    arms = views.arms_of(store, spec)
    return Entry(
        row=row,
        workload=in_words(spec.workload),
        n_trials=spec.n_searched,
        arms=arms,
        note=waits.note(store, row, arms),
        unit=spec.workload.unit,
    )


def tenths(arms: tuple[ArmProgress, ...]) -> int:
    """How much of the trials has ended, in per cent, rounded down to tens."""
    total = sum(arm.total + arm.to_retrain for arm in arms)
    ended = sum(arm.done + arm.retrained for arm in arms)
    return 10 * (10 * ended // total)
