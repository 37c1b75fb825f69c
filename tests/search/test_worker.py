from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from comparisons import comparison, work_here
from light_trainer import LightTrainer, Result, Trials
from optuna.trial import FrozenTrial, TrialState

from tuner.search.queue import Queue
from tuner.search.spec import ComparisonSpec
from tuner.search.store import Store, open_store
from tuner.search.studies import enqueue, enqueue_retraining, finished_trials
from tuner.search.worker import TorchTrainer, Worker, batch_size
from tuner.workload import Workload


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/tuner.db")
    yield opened
    opened.close()


def one_arm(**arm: str) -> ComparisonSpec:
    arms = [{"name": "new", "space": "filter"} | arm]
    return comparison(arms=arms, verdict={}, n_trials=16, workload={"epochs": 9})


def finished(store: Store, spec: ComparisonSpec) -> list[FrozenTrial]:
    enqueue(store, spec)
    work_here(store)
    return finished_trials(store, "small/new")


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "gp"])
def test_every_sampler_fills_its_budget_within_its_ranges(store: Store, sampler: str):
    spec = one_arm(sampler=sampler)
    trials = finished(store, spec)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 16
    assert len({trial.params["alpha"] for trial in trials}) > 8
    assert all(trial.distributions == spec.arms[0].space.distributions for trial in trials)


@pytest.mark.parametrize("sampler", ["tpe", "cmaes"])
def test_samplers_that_learn_come_closer_to_the_best_than_random_search(
    store: Store, sampler: str
):
    arms = [
        {"name": "new", "space": "magnitude", "sampler": sampler},
        {"name": "old", "space": "magnitude", "sampler": "random"},
    ]
    spec = comparison(arms=arms, n_trials=48)
    enqueue(store, spec)
    work_here(store)
    new, old = (
        [trial.value or 0.0 for trial in finished_trials(store, f"small/{name}")[24:]]
        for name in ("new", "old")
    )
    assert sum(new) > sum(old)


@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_pruned_trials_keep_their_last_value_and_cost_fewer_epochs(store: Store, pruner: str):
    trials = finished(store, one_arm(pruner=pruner))
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert len(trials) == 16
    for trial in trials:
        epochs = len(trial.user_attrs["curve"]["epoch"])
        assert (epochs == 9) == (trial.state == TrialState.COMPLETE)
        assert trial.value == trial.user_attrs["curve"]["val_accuracy"][-1]
        assert trial.intermediate_values[epochs] == trial.value


def test_retrained_incumbents_are_never_pruned(store: Store):
    spec = one_arm(pruner="median")
    finished(store, spec)
    enqueue_retraining(store, spec)
    work_here(store)
    states = [trial.state for trial in finished_trials(store, "small/new/retrain")]
    assert states == [TrialState.COMPLETE] * 2


def test_a_trial_s_record_is_complete_and_valid_json(store: Store):
    trial = finished(store, one_arm())[0]
    record = trial.user_attrs
    assert record["seed"] == one_arm().studies()[0].trial_seed(0)
    assert record["settings"] == trial.params
    assert record["filter"] == {"rule": "filter_flip", "steps": 1, "half_life_steps": "inf"}
    assert record["curve"]["epoch"] == list(range(1, 10))
    assert record["ran_on"]["worker"] == "here"
    assert record["ran_on"]["batch"] == 4
    assert set(record["ran_on"]["versions"]) == {"bnn-tuner", "optuna", "torch"}
    assert record["diverged"] is False


class DivergingTrainer(LightTrainer):
    """Loses its way in every trial."""

    def train(self, *arguments: object, **options: object) -> list[Result]:
        results = super().train(*arguments, **options)  # type: ignore[arg-type]
        return [
            Result(0.1, None, result.curve, diverged=True, seconds=float("nan"))
            for result in results
        ]


def test_a_diverged_trial_completes_with_the_accuracy_of_chance(store: Store):
    enqueue(store, one_arm())
    work_here(store, trainer=DivergingTrainer("cpu"))
    trial = finished_trials(store, "small/new")[0]
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.1)
    assert trial.user_attrs["diverged"] is True
    assert trial.user_attrs["seconds"] is None


class Watched(LightTrainer):
    """Calls back between epochs."""

    def __init__(self, call: Callable[[int], None]) -> None:
        super().__init__("cpu")
        self.call = call

    def between_epochs(self, _trials: Trials, epoch: int) -> None:
        self.call(epoch)


def test_a_worker_told_to_stop_puts_its_trials_back_within_an_epoch(store: Store):
    enqueue(store, one_arm())
    epochs: list[int] = []
    Worker(
        Queue(store),
        Watched(epochs.append),
        name="here",
        device="cpu",
        stopping=lambda: len(epochs) >= 2,
    ).run()
    assert epochs == [1, 2]
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    assert {trial.state for trial in study.trials} == {TrialState.WAITING}
    assert sum(bool(trial.params) for trial in study.trials) == 4


def test_a_trial_put_back_keeps_its_parameters_also_with_a_sampler_that_learns(store: Store):
    enqueue(store, one_arm(sampler="tpe"))
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    stopped: list[int] = []
    Worker(
        Queue(store),
        Watched(stopped.append),
        name="here",
        device="cpu",
        stopping=lambda: bool(stopped),
    ).run()
    before = study.trials[0].params
    work_here(store, name="later")
    assert study.trials[0].params == before != {}


def test_a_sampler_that_learns_is_asked_for_few_trials_at_once(store: Store):
    trials = finished(store, one_arm(sampler="tpe"))
    assert {trial.user_attrs["ran_on"]["batch"] for trial in trials} == {1}


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_a_worker_that_lost_its_trials_writes_nothing_about_them(store: Store, pruner: str):
    enqueue(store, one_arm(pruner=pruner))
    queue = Queue(store)
    thief = Queue(store, lease_seconds=1000)

    def steal(epoch: int) -> None:
        if epoch == 2 and thief.release(["here"]):
            thief.claim("small/new", "thief", range(4))

    steals: list[int] = []

    def steal_once(epoch: int) -> None:
        if len(steals) < 2:
            steals.append(epoch)
            steal(epoch)

    Worker(
        queue,
        Watched(steal_once),
        name="here",
        device="cpu",
        stopping=lambda: queue.progress("small")["small/new"].waiting == 0,
    ).run()
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    stolen = study.trials[:4]
    assert {trial.state for trial in stolen} == {TrialState.RUNNING}
    assert not any("curve" in trial.user_attrs for trial in stolen)
    assert {trial.state for trial in study.trials[4:12]} <= {
        TrialState.COMPLETE,
        TrialState.PRUNED,
    }


@pytest.mark.parametrize(
    ("n_trials", "most", "share", "size"),
    [
        (200, 32, 2, 29),
        (200, 32, 8, 25),
        (200, 32, 100, 8),
        (10, 32, 2, 5),
        (10, 1, 8, 1),
        (1, 32, 8, 1),
        (3, 4, 8, 1),
    ],
)
def test_a_study_is_cut_into_even_batches(n_trials: int, most: int, share: int, size: int):
    assert batch_size(n_trials, most, share) == size


@pytest.mark.slow
def test_real_trials_are_trained_and_recorded(store: Store):
    spec = comparison(
        workload={"epochs": 2, "n_train": 256, "widths": [16, 16]}, n_trials=3, retrain_seeds=2
    )
    enqueue(store, spec)
    trainer = TorchTrainer("cpu")
    assert trainer.batch_size(Workload()) > 1
    work_here(store, trainer=trainer)
    enqueue_retraining(store, spec)
    work_here(store, trainer=trainer)
    for arm in spec.arms:
        for trial in finished_trials(store, f"small/{arm.name}"):
            assert 0.0 < (trial.value or 0.0) <= 1.0
            assert trial.user_attrs["curve"]["epoch"] == [1, 2]
            assert trial.user_attrs["filter"]["rule"] == arm.space.rule
        again = finished_trials(store, f"small/{arm.name}/retrain")
        assert [0.0 < trial.user_attrs["test_accuracy"] <= 1.0 for trial in again] == [True] * 2
