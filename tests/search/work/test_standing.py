"""A worker and those who pause, cancel, delete, or bring other comparisons beside it."""

from collections.abc import Callable

import optuna
import pytest
from comparisons import comparison, enqueue, remove, work_here
from light_trainer import LightTrainer, Trials
from optuna.trial import TrialState
from sqlalchemy import select, update

from tuner.errors import DataMissing
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, comparisons, studies, workers
from tuner.search.queue import roster
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.control import change_comparison, change_study, delete
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.worker import Worker
from tuner.workload import Workload

LONG = comparison(
    arms=[{"name": "new", "space": "filter"}],
    verdict={},
    n_trials=8,
    retrain_seeds=0,
    workload={"epochs": 9},
)


class Watched(LightTrainer):
    """Calls back between epochs, and counts them."""

    def __init__(self, call: Callable[[int], None] = lambda _: None) -> None:
        super().__init__("cpu")
        self.call = call
        self.epochs = 0

    def between_epochs(self, _trials: Trials, epoch: int) -> None:
        self.epochs += 1
        self.call(epoch)


@pytest.fixture(autouse=True)
def look_at_every_epoch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tuner.search.work.batch._LOOK_SECONDS", 0.0)


def work(store: Store, trainer: LightTrainer) -> None:
    """A worker of the whole database that stops when it finds nothing that it can do."""
    queue = Queue(store)
    worker = Worker(
        queue,
        trainer,
        name=f"worker-{id(trainer)}",
        stopping=lambda: not queue.holders() and queue.next_up(without=worker._cannot) is None,
        share=None,
    )
    worker.run()


def values(store: Store, name: str = "small/new") -> list[float | None]:
    return [trial.value for trial in finished_trials(store, name)]


def undisturbed(store: Store) -> list[float | None]:
    enqueue(store, LONG)
    work_here(store)
    found = values(store)
    remove(store, "small")
    return found


@pytest.mark.slow
def test_a_pause_takes_effect_within_an_epoch_and_costs_nothing(store: Store):
    expected = undisturbed(store)
    enqueue(store, LONG)
    trainer = Watched(lambda epoch: epoch == 3 and change_comparison(store, "small", "pause"))
    work(store, trainer)
    assert trainer.epochs == 3
    paused = study_progress(store, "small")["small/new"]
    assert (paused.waiting, paused.running, paused.done) == (8, 0, 0)
    change_comparison(store, "small", "resume")
    work(store, LightTrainer("cpu"))
    assert values(store) == expected


@pytest.mark.slow
def test_a_paused_study_lets_the_others_go_on(store: Store):
    enqueue(store, comparison())
    with store.engine.connect() as connection:
        query = select(studies.c.id).where(studies.c.study_name == "small/old")
        study_id = connection.scalar(query)
    change_study(store, study_id, "pause")
    work(store, LightTrainer("cpu"))
    progress = study_progress(store, "small")
    assert (progress["small/old"].waiting, progress["small/new"].done) == (6, 6)


@pytest.mark.parametrize("pruner", ["none", "median"])
def test_a_cancelled_comparison_stops_within_an_epoch_and_ends_all_its_trials(
    store: Store, pruner: str
):
    arms = [{"name": "new", "space": "filter", "pruner": pruner}]
    enqueue(store, LONG.model_copy(update={"arms": comparison(arms=arms, verdict={}).arms}))
    trainer = Watched(lambda epoch: epoch == 3 and change_comparison(store, "small", "cancel"))
    work(store, trainer)
    assert trainer.epochs == 3
    progress = study_progress(store, "small")["small/new"]
    assert (progress.cancelled, progress.queued) == (8, 8)
    trials = optuna.load_study(study_name="small/new", storage=store.rdb).trials
    assert {trial.state for trial in trials} == {TrialState.FAIL}
    assert all(trial.user_attrs["cancelled"] for trial in trials)
    assert not any("run" in trial.user_attrs for trial in trials)
    assert finished_trials(store, "small/new") == []


def test_a_worker_goes_on_with_others_after_its_comparison_was_deleted_under_it(store: Store):
    enqueue(store, LONG)
    enqueue(store, LONG.model_copy(update={"name": "other", "n_trials": 2}))

    def remove(epoch: int) -> None:
        if epoch == 3 and "small" in store.names():
            change_comparison(store, "small", "pause")
            delete(store, "small")

    work(store, Watched(remove))
    assert store.names() == ["other"]
    assert len(values(store, "other/new")) == 2


@pytest.mark.slow
def test_comparisons_take_turns_however_long_they_wait_already(store: Store):
    enqueue(store, comparison(n_trials=40))
    queue = Queue(store)
    for _ in range(3):
        found = queue.next_up()
        assert found is not None
        queue.claim(found.study_name, "a", range(found.position, found.position + 2))
    enqueue(store, comparison(name="late", n_trials=40))
    turns = []
    for _ in range(6):
        found = queue.next_up()
        assert found is not None
        claim = queue.claim(found.study_name, "a", range(found.position, found.position + 2))
        turns.append(claim.study_name)
    late = [turn for turn in turns if turn.startswith("late/")]
    assert len(late) == 3
    assert set(late) == {"late/new", "late/old"}


def test_a_comparison_has_its_turn_though_a_clock_was_set_back(store: Store):
    for name in ("first", "second"):
        enqueue(store, comparison(name=name))
    queue = Queue(store)
    assert queue.claim("first/old", "here", range(2)).trial_ids
    with store.engine.begin() as connection:
        connection.execute(update(comparisons).values(served=Now() + 3600.0))
        second = update(comparisons).where(comparisons.c.name == "second")
        connection.execute(second.values(served=Now()))
    upcoming = queue.next_up()
    assert upcoming is not None
    assert upcoming.study_name.startswith("first/")


def test_trials_of_another_version_of_the_software_are_left_alone(store: Store):
    enqueue(store, LONG)
    with store.engine.begin() as connection:
        connection.execute(update(comparisons).values(code_version="99.0"))
    assert Queue(store).next_up() is None
    Keeper(store).tend()
    assert study_progress(store, "small")["small/new"].waiting == 8


def test_the_first_batch_size_holds_for_the_whole_study(store: Store):
    enqueue(store, LONG)
    queue = Queue(store)
    assert queue.batch("small/new", 4) == 4
    assert queue.batch("small/new", 7) == 4
    assert queue.batch("small/new", 1) == 4


class Choosy(LightTrainer):
    """Has no data for long workloads."""

    def train(self, workload: Workload, *arguments: object, **options: object):
        if workload.epochs > 5:
            raise DataMissing("data set 'digits' is not there; put it in /data")
        return super().train(workload, *arguments, **options)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_worker_leaves_out_what_it_cannot_run_and_says_so(store: Store):
    enqueue(store, LONG)
    enqueue(store, comparison(name="short"))
    work(store, Choosy("cpu"))
    progress = study_progress(store, "small")["small/new"]
    assert (progress.waiting, progress.running, progress.failed) == (8, 0, 0)
    assert len(values(store, "short/new")) == len(values(store, "short/old")) == 6
    with store.engine.connect() as connection:
        (row,) = connection.execute(select(workers)).all()
    assert row.message == (
        "small/new cannot be run here: data set 'digits' is not there; put it in /data"
    )
    assert (row.state, row.finished, row.epochs) == ("stopped", 12, 36)


class Unmeasured(LightTrainer):
    """Has no data, which it notices before it takes any trial."""

    def batch_size(self, _workload: Workload) -> int:
        raise DataMissing("data set 'digits' is not there; put it in /data")


def test_a_worker_that_can_run_nothing_says_so_while_it_waits(store: Store):
    enqueue(store, LONG)
    said: list[str | None] = []

    def stop() -> bool:
        with store.engine.connect() as connection:
            said.append(connection.scalar(select(workers.c.message)))
        return len(said) == 3

    Worker(Queue(store), Unmeasured("cpu"), name="here", stopping=stop).run()
    missing = "small/new cannot be run here: data set 'digits' is not there; put it in /data"
    assert said == [None, missing, missing]


def test_the_roster_says_who_trains_what(store: Store):
    enqueue(store, LONG)
    seen: list[tuple[str, str | None, int]] = []

    def look(_epoch: int) -> None:
        with store.engine.connect() as connection:
            (row,) = connection.execute(select(workers)).all()
        seen.append((row.state, row.study_name, row.running))
        assert roster.count(store, within_seconds=60) == 1

    work(store, Watched(look))
    assert set(seen) == {("working", "small/new", 4)}
    assert roster.count(store, within_seconds=60) == 0


class Broken(LightTrainer):
    """Raises always."""

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        raise ArithmeticError("out of luck")


def test_a_worker_whose_batches_fail_again_and_again_stops_and_says_why(store: Store):
    enqueue(store, LONG.model_copy(update={"n_trials": 40}))
    with pytest.raises(RuntimeError, match=r"3 batches .* in a row raised, .* out of luck"):
        work(store, Broken("cpu"))
    with store.engine.connect() as connection:
        (row,) = connection.execute(select(workers)).all()
    assert row.state == "broken"
    assert "ArithmeticError: out of luck" in row.message
    progress = study_progress(store, "small")["small/new"]
    assert (progress.waiting, progress.failed, progress.running) == (40, 0, 0)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_trial_that_raises_is_retried_as_often_as_configured(store: Store, retries: int):
    enqueue(store, LONG)
    queue = Queue(store, retries=retries)
    for attempt in range(retries + 1):
        assert study_progress(store, "small")["small/new"].failed == 0
        ids = queue.claim("small/new", f"w{attempt}", range(1)).trial_ids
        queue.fail(f"w{attempt}", ids, "Traceback")
    assert study_progress(store, "small")["small/new"].failed == 1


@pytest.mark.slow
def test_a_keeper_takes_a_comparison_from_its_submission_to_its_end(store: Store):
    store.declare(comparison())
    keeper = Keeper(store)
    for _ in range(3):
        keeper.tend()
        work(store, LightTrainer("cpu"))
    assert len(values(store, "small/new/retrain")) == 2
    with store.engine.connect() as connection:
        row = connection.execute(select(comparisons.c.status, comparisons.c.revision)).one()
        states = set(connection.scalars(select(studies.c.status)))
    assert (row.status, states) == ("complete", {"complete"})
    keeper.tend()
    with store.engine.connect() as connection:
        assert connection.scalar(select(comparisons.c.revision)) == row.revision


def test_a_keeper_ends_an_arm_of_which_every_trial_failed(store: Store):
    store.declare(comparison())
    keeper, queue = Keeper(store), Queue(store, retries=0)
    keeper.tend()
    queue.fail("a", queue.claim("small/old", "a", range(6)).trial_ids, "Traceback")
    ids = queue.claim("small/new", "a", range(6)).trial_ids
    queue.finish("a", dict.fromkeys(ids, TrialOutcome(TrialState.COMPLETE, 0.5)))
    for _ in range(3):
        keeper.tend()
        work(store, LightTrainer("cpu"))
    assert values(store, "small/old/retrain") == []
    assert len(values(store, "small/new/retrain")) == 2
    with store.engine.connect() as connection:
        assert connection.scalar(select(comparisons.c.status)) == "complete"
