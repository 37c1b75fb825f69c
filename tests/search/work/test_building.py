"""While a network is measured or built its worker is at work, and hears that nobody wants it."""

import pytest
from comparisons import comparison, enqueue, work_here
from light_trainer import LightTrainer

from tuner import signals
from tuner.errors import DeviceTooSmall
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.queue import control
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.watch.views import list_workers
from tuner.search.work.worker import Worker
from tuner.signals import stop_if_asked

TOO_SMALL = "1 trial of mlp did not fit; make the widths smaller"


@pytest.fixture(autouse=True)
def asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_ASK_SECONDS", 0.0)


def seen(store: Store) -> tuple[str, str | None, int]:
    (worker,) = list_workers(store)
    return worker.state, worker.study_name, worker.running


class Building(LightTrainer):
    """Takes its time before the first epoch; somebody cancels the comparison in the meantime.

    Attributes:
        shown: How the roster showed the worker, while it measured and while it built.
        passed: How often it went on all the same.
    """

    def __init__(self, store: Store, *, cancelled_while: str) -> None:
        super().__init__("cpu")
        self.store = store
        self.cancelled_while = cancelled_while
        self.shown: dict[str, tuple[str, str | None, int]] = {}
        self.passed = 0

    def build(self, what: str) -> None:
        self.shown[what] = seen(self.store)
        stop_if_asked()
        if what == self.cancelled_while and self.store.status("small") == "active":
            control.change_comparison(self.store, "small", "cancel")
            stop_if_asked()
            self.passed += 1

    def batch_size(self, workload):
        self.build("measuring")
        return super().batch_size(workload)

    def train(self, *arguments, **options):
        self.build("building")
        return super().train(*arguments, **options)


@pytest.mark.parametrize("what", ["measuring", "building"])
@pytest.mark.parametrize("comparisons", ["small", None])
def test_a_cancellation_reaches_a_worker_that_measures_or_builds(
    store: Store, what: str, comparisons: str | None
):
    spec = comparison(n_trials=4, retrain_seeds=0)
    enqueue(store, spec)
    trainer = Building(store, cancelled_while=what)
    Worker(
        Queue(store),
        trainer,
        name="here",
        stopping=lambda: what in trainer.shown and store.status("small") == "cancelled",
        comparison=comparisons,
    ).run()
    assert trainer.passed == 0
    assert trainer.shown["measuring"] == ("working", "small/new", 0)
    if what == "building":
        assert trainer.shown[what] == ("working", "small/new", 4)
    (worker,) = list_workers(store)
    assert (worker.state, worker.study_name, worker.message) == ("stopped", None, None)
    assert {each.cancelled for each in study_progress(store, "small").values()} == {4}


def test_a_worker_that_measures_in_vain_goes_on_with_others(store: Store):
    enqueue(store, comparison(n_trials=4, retrain_seeds=0))
    trainer = Building(store, cancelled_while="measuring")
    other = comparison(name="other", n_trials=2, retrain_seeds=0)
    enqueue(store, other)
    Worker(
        Queue(store),
        trainer,
        name="here",
        stopping=lambda: all(each.done == 2 for each in study_progress(store, "other").values()),
    ).run()
    assert [each.done for each in study_progress(store, "small").values()] == [0, 0]


class TooLarge(LightTrainer):
    """Has no memory for a single trial."""

    def train(self, *_arguments, **_options):
        raise DeviceTooSmall(TOO_SMALL)


def test_trials_that_do_not_fit_in_memory_fail_with_one_reason(store: Store):
    arms = [{"name": "new", "space": "filter"}]
    enqueue(store, comparison(arms=arms, n_trials=1, retrain_seeds=0, verdict={}))
    work_here(store, trainer=TooLarge("cpu"))
    (trial,) = finished_trials(store, "small/new")
    assert (trial.state.name, trial.user_attrs["error"]) == ("FAIL", TOO_SMALL)
