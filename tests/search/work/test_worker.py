import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from light_trainer import LightTrainer, Result, Trials, score
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import event

from tuner import kernels
from tuner.errors import InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spaces import suggest
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work import batch
from tuner.search.work.torch_trainer import TorchTrainer
from tuner.search.work.trainer import batch_of, batch_size
from tuner.search.work.worker import Worker
from tuner.workload import Workload


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def one_arm(**arm: str) -> ComparisonSpec:
    arms = [{"name": "new", "space": "filter"} | arm]
    return comparison(arms=arms, verdict={}, n_trials=16, workload={"epochs": 9})


def finished(store: Store, spec: ComparisonSpec) -> list[FrozenTrial]:
    enqueue(store, spec)
    work_here(store)
    return finished_trials(store, "small/new")


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "gp"])
def test_every_sampler_fills_its_budget_within_its_ranges(store: Store, sampler: str):
    spec = one_arm(sampler=sampler)
    trials = finished(store, spec)
    assert [trial.state.name for trial in trials] == ["COMPLETE"] * 16
    assert len({trial.params["alpha"] for trial in trials}) > 8
    assert all(trial.distributions == spec.arms[0].space.distributions for trial in trials)


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize("pruner", ["median", "asha", "hyperband"])
def test_pruned_trials_keep_their_last_value_and_cost_fewer_epochs(store: Store, pruner: str):
    trials = finished(store, one_arm(pruner=pruner))
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    assert len(trials) == 16
    for trial in trials:
        curve = trial.user_attrs["run"]["curve"]
        epochs = len(curve["epoch"])
        assert (epochs == 9) == (trial.state == TrialState.COMPLETE)
        assert trial.value == curve["val_accuracy"][-1]
        assert trial.intermediate_values[epochs] == trial.value


@pytest.mark.slow
def test_retrained_incumbents_are_never_pruned(store: Store):
    spec = one_arm(pruner="median")
    finished(store, spec)
    enqueue_afresh(store, spec)
    work_here(store)
    states = [trial.state for trial in finished_trials(store, "small/new/retrain")]
    assert states == [TrialState.COMPLETE] * 2


def test_a_trial_s_record_is_complete_and_valid_json(store: Store):
    trial = finished(store, one_arm())[0]
    record = trial.user_attrs
    assert record.keys() == {"index", "seed", "run"}
    assert record["seed"] == one_arm().studies()[0].trial_seed(0)
    run = record["run"]
    assert run["settings"] == trial.params
    assert run["seconds"] >= 0
    assert run["filter"] == {"rule": "filter_flip", "steps": 1, "half_life_steps": "inf"}
    assert run["curve"]["epoch"] == list(range(1, 10))
    assert (run["device"], run["worker"], run["batch"]) == ("cpu", "here", 4)
    assert set(run["versions"]) == {"bnn-tuner", "optuna", "torch"}


@pytest.mark.slow
def test_a_trial_reported_on_the_way_has_its_end_among_the_reports(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    for seconds in ("_LOOK_SECONDS", "_REPORT_SECONDS"):
        monkeypatch.setattr(batch, seconds, 0.0)
    for trial in finished(store, one_arm()):
        curve = trial.user_attrs["run"]["curve"]
        reports = zip(curve["epoch"], curve["val_accuracy"], strict=True)
        assert trial.intermediate_values == dict(reports)


def test_a_trial_too_short_for_a_report_has_none(store: Store):
    assert [trial.intermediate_values for trial in finished(store, one_arm())] == [{}] * 16


def test_random_search_tries_what_optuna_asked_one_by_one_would(store: Store):
    spec = one_arm(space="magnitude")
    study = spec.studies()[0]
    for index, trial in enumerate(finished(store, spec)):
        alone = optuna.create_study(sampler=RandomSampler(seed=study.sampler_seed(index)))
        assert trial.params == alone.ask(study.arm.space.distributions).params


@pytest.mark.slow
def test_a_sampler_that_learns_sees_what_optuna_asked_one_by_one_would_show_it(store: Store):
    spec = one_arm(sampler="tpe").model_copy(update={"n_trials": 80})
    spec_of_study = spec.studies()[0]
    trials = finished(store, spec)
    study = optuna.create_study(direction="maximize")
    for first in range(0, 80, 4):
        asked = [study.ask() for _ in range(4)]
        for index, trial in enumerate(asked, first):
            study.sampler = TPESampler(seed=spec_of_study.sampler_seed(index))
            suggest(spec.arms[0].space, trial)
            assert trials[index].params == trial.params
        for index, trial in enumerate(asked, first):
            study.tell(trial, score(trial.params, spec_of_study.trial_seed(index), 9))


class Sized(LightTrainer):
    """Trains so many at a time."""

    def __init__(self, size: int) -> None:
        super().__init__("cpu")
        self.size = size

    def batch_size(self, _workload: object) -> int:
        return self.size


@pytest.mark.slow
def test_a_batch_takes_as_many_transactions_however_many_trials_it_has(
    database: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(batch, "_LOOK_SECONDS", float("inf"))  # looks go by time, not by trials
    counts: dict[int, int] = {}
    for size in (1, 4, 16):
        store = open_store(database)
        spec = one_arm().model_copy(update={"name": f"by-{size}"})
        enqueue(store, spec)
        queue = Queue(store)
        commits: list[str] = []
        event.listen(
            store.engine,
            "commit",
            lambda _, to=commits: to.append(threading.current_thread().name),
        )
        Worker(
            queue,
            Sized(size),
            name=f"by-{size}",
            stopping=lambda queue=queue, name=spec.name: bool(
                study_progress(queue.store, name)[f"{name}/new"].done
            ),
            comparison=spec.name,
        ).run()
        counts[size] = len(commits) - commits.count("heartbeat")  # it goes by time too
        assert study_progress(queue.store, spec.name)[f"{spec.name}/new"].done == size
        store.close()
    assert len(set(counts.values())) == 1, counts


class TimedTrainer(LightTrainer):
    """Knows how long it trained and described, and fails its second batch."""

    training = describing = 0.0
    batches = 0

    def train(self, *arguments: object, **options: object) -> list[Result]:
        began = time.monotonic()
        self.batches += 1
        try:
            return super().train(*arguments, **options)  # type: ignore[arg-type]
        finally:
            self.training += time.monotonic() - began

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        if self.batches == 2:
            raise ArithmeticError("out of luck")

    def describe(
        self, workload: object, rule: str, settings: object, steps: int
    ) -> dict[str, object]:
        began = time.monotonic()
        record = super().describe(workload, rule, settings, steps)
        self.describing += time.monotonic() - began
        return record


def test_a_worker_knows_how_long_it_was_busy_and_how_long_it_trained(store: Store):
    enqueue(store, one_arm())
    trainer = TimedTrainer("cpu")
    began = time.monotonic()
    worker = Worker(
        Queue(store),
        trainer,
        name="here",
        stopping=lambda: trainer.batches == 2,
    )
    assert (worker.busy_seconds, worker.training_seconds) == (0.0, 0.0)
    worker.run()
    elapsed = time.monotonic() - began
    assert 0.0 < trainer.training <= worker.training_seconds
    assert worker.training_seconds + trainer.describing <= worker.busy_seconds <= elapsed


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
    assert trial.user_attrs["run"]["seconds"] is None


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
        stopping=lambda: len(epochs) >= 2,
    ).run()
    assert epochs == [1, 2]
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    assert {trial.state for trial in study.trials} == {TrialState.WAITING}
    assert sum(bool(trial.params) for trial in study.trials) == 4


@pytest.mark.slow
def test_a_trial_put_back_keeps_its_parameters_also_with_a_sampler_that_learns(store: Store):
    enqueue(store, one_arm(sampler="tpe"))
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    stopped: list[int] = []
    Worker(
        Queue(store),
        Watched(stopped.append),
        name="here",
        stopping=lambda: bool(stopped),
    ).run()
    before = study.trials[0].params
    work_here(store, name="later")
    assert study.trials[0].params == before != {}


@pytest.mark.slow
def test_a_sampler_that_learns_is_asked_for_few_trials_at_once(store: Store):
    trials = finished(store, one_arm(sampler="tpe"))
    assert {trial.user_attrs["run"]["batch"] for trial in trials} == {1}


@pytest.mark.slow
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
        stopping=lambda: study_progress(queue.store, "small")["small/new"].waiting == 0,
    ).run()
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    stolen = study.trials[:4]
    assert {trial.state for trial in stolen} == {TrialState.RUNNING}
    assert not any("run" in trial.user_attrs for trial in stolen)
    assert {trial.state for trial in study.trials[4:12]} <= {
        TrialState.COMPLETE,
        TrialState.PRUNED,
    }


@pytest.mark.parametrize(
    ("n_trials", "most", "share", "size"),
    [
        (200, 32, 2, 25),
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
    enqueue_afresh(store, spec)
    work_here(store, trainer=trainer)
    for arm in spec.arms:
        for trial in finished_trials(store, f"small/{arm.name}"):
            assert 0.0 < (trial.value or 0.0) <= 1.0
            run = trial.user_attrs["run"]
            assert run["curve"]["epoch"] == [1, 2]
            assert run["device"] == "cpu"
            assert run["precision"] in ("bfloat16", "float32")
            assert run["kernels"] is (kernels.library() is not None)
            assert run["filter"]["rule"] == arm.space.rule
        again = finished_trials(store, f"small/{arm.name}/retrain")
        assert [0.0 < trial.user_attrs["test_accuracy"] <= 1.0 for trial in again] == [True] * 2


def test_data_that_hang_while_they_are_measured_are_refused_by_name(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bnn"))
    monkeypatch.setenv("TUNER_WORKLOADS", "own_for_tests")
    own = {"dataset": "own_for_tests:read_when_needed", "dataset_options": {"kind": "stuck"}}
    spec = comparison(workload={**own, "epochs": 1}, time_limit=0.05)
    with pytest.raises(InvalidInput, match=r"own_for_tests.*measured.*longer than 0\.2 seconds"):
        batch_of(spec.studies()[0], TorchTrainer("cpu"), 1)
