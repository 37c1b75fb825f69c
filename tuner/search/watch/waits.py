"""What a comparison waits for, in words."""

from collections.abc import Sequence

from sqlalchemy import or_, select

from tuner import __version__
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE, DELETING, LIVE, STARTING, Now, workers
from tuner.search.queue import operations
from tuner.search.queue.queue import LEASE_SECONDS
from tuner.search.watch.progress import ArmProgress
from tuner.search.watch.views import ComparisonRow

STARTING_NOTE = "workers are starting"
"""What a comparison waits for in the seconds that a worker takes to load what it needs."""

_AT_WORK = select(workers.c.code_version, workers.c.message, workers.c.state).where(
    workers.c.last_seen > Now() - LEASE_SECONDS,
    or_(*(workers.c.state == state for state in (STARTING, *LIVE))),
)


def note(store: Store, row: ComparisonRow, arms: Sequence[ArmProgress]) -> str | None:
    """What a comparison waits for, if it is active and nobody works on it, or can, or to be gone.

    Args:
        store: The database.
        row: The comparison.
        arms: How far its arms are.
    """
    if row.status == DELETING:
        return _how_far_deleted(operations.latest(store, row.name))
    if row.status != ACTIVE or row.trouble:
        return row.trouble if row.status == ACTIVE else None
    with store.reader.connect() as connection:
        there = connection.execute(_AT_WORK).all()
    live = [worker for worker in there if worker.state != STARTING]
    if not live and all(arm.complete for arm in arms):
        if store.comparison(row.name).undecided(store.budgets(row.name)):
            return "all trials up to a look have ended, only the look is not taken"
        return (
            "all trials have ended, only the end of the comparison is not recorded; tuner run, "
            "tuner worker and tuner serve record it"
        )
    if there and not live:
        return STARTING_NOTE
    if not live:
        return "no worker is running; start one with: tuner worker"
    versions = sorted({worker.code_version for worker in live})
    if row.code_version not in versions:
        return (
            f"waits for a worker of bnn-tuner {row.code_version}; the workers here run "
            f"{', '.join(versions)}"
        )
    if row.code_version != __version__:
        return f"it is run by bnn-tuner {row.code_version}; this server is {__version__}"
    refusals = [refusal for worker in live if (refusal := _refusal(worker.message, row.name))]
    return refusals[0] if len(refusals) == len(live) else None


def _how_far_deleted(operation: operations.Operation | None) -> str:
    if operation is None or not operation.error:
        how_far = (
            "" if operation is None else f": {operation.done:,} of {operation.total:,} trials"
        )
        return f"it is being deleted{how_far}"
    return f"deleting it failed, so delete it again: {operation.error}"


def _refusal(message: str | None, comparison: str) -> str:
    """Why a worker leaves the comparison's studies out, in its own words; empty if it does not."""
    words = f"; {message or ''}"
    return words[place + 2 :] if (place := words.find(f"; {comparison}/")) >= 0 else ""
