"""What a comparison that ends has of each state adds up."""

import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from optuna.trial import TrialState

from tests.search.watch.sums import check_sums
from tuner.search.database.store import Store
from tuner.search.queue import control
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import progress
from tuner.search.watch.totals import totals

GOOD = TrialOutcome(TrialState.COMPLETE, 0.9)


@pytest.mark.slow
@pytest.mark.parametrize("ended", ["in the search", "trained afresh", "waits"])
def test_what_is_called_off_is_counted_wherever_it_was(store: Store, ended: str):
    """The cancelled state is read while the worker still trains what it held."""
    queue = Queue(store, retries=0)
    enqueue(store, comparison())
    if ended != "waits":
        queue.finish("w", dict.fromkeys(queue.claim("small/old", "w", range(2)).trial_ids, GOOD))
        queue.fail("w", queue.claim("small/old", "w", range(2, 3)).trial_ids, "Traceback")
    if ended == "trained afresh":
        work_here(store)
        enqueue_afresh(store, comparison())
        ids = queue.claim("small/old/retrain", "w", range(1)).trial_ids
        queue.finish("w", dict.fromkeys(ids, GOOD))
        queue.claim("small/new/retrain", "w", range(1))
    else:
        queue.claim("small/old", "w", range(3, 5))
    for action in ("pause", "resume", "cancel"):
        control.change_comparison(store, "small", action)
        check_sums(store)
    old = next(arm for arm in progress(store, comparison()).arms if arm.name == "old")
    assert (old.running, old.waiting) == (0, 0)
    assert (
        old.cancelled + old.afresh_cancelled
        == {"in the search": 8, "trained afresh": 4, "waits": 11}[ended]
    )
    assert totals(store).trials.keys() <= {"done", "failed", "cancelled"}
