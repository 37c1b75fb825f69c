import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import optuna
import pytest
from comparisons import comparison, enqueue, enqueue_afresh, remove, work_here
from light_trainer import LightTrainer
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import select

from tuner.search.database.finished import finished_trials, incumbent
from tuner.search.database.store import NUMBERS, Store, open_store
from tuner.search.database.tables import trials
from tuner.search.queue.claims import NextUp, TrialOutcome
from tuner.search.queue.filling import add, positions
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import StudyProgress, study_progress

EVERYTHING = range(1000)
GOOD = TrialOutcome(TrialState.COMPLETE, 0.9, {"seconds": 1.0}, {3: 0.9})


@pytest.fixture
def queue(store: Store) -> Queue:
    """The queue of a comparison of two arms of six trials."""
    enqueue(store, comparison())
    return Queue(store)


def trials_of(store: Store, study_name: str = "small/old") -> list[FrozenTrial]:
    return optuna.load_study(study_name=study_name, storage=store.rdb).trials


def states(store: Store) -> Counter[str]:
    return Counter(trial.state.name for trial in trials_of(store))


def test_the_queue_is_the_budget_and_each_trial_knows_its_index_and_seed(store):
    enqueue(store, comparison())
    later = [study for arm in comparison().arms for study in comparison().afresh(arm)]
    afresh = {study.study_name: StudyProgress(n_trials=study.n_trials) for study in later}
    assert len(afresh) == 4
    searches = dict.fromkeys(("small/old", "small/new"), StudyProgress(n_trials=6, waiting=6))
    assert study_progress(store, "small") == searches | afresh
    study = comparison().studies()[0]
    expected = [{"index": i, "seed": study.trial_seed(i)} for i in range(6)]
    assert [trial.user_attrs for trial in trials_of(store)] == expected


def test_enqueueing_again_adds_nothing(store):
    enqueue(store, comparison())
    enqueue(store, comparison())
    assert states(store) == {"WAITING": 6}
    assert study_progress(store, "small")["small/old"].queued == 6


@pytest.mark.slow
def test_enqueueing_that_was_interrupted_is_completed(store):
    spec = comparison(n_trials=60)
    queue = Queue(store)
    store.declare(spec)
    with store.transaction():
        store.make_study(spec.studies()[0])
    some = {i: create_trial(state=TrialState.WAITING, user_attrs={"index": i}) for i in (0, 1, 7)}
    add(store, "small", "small/old", some)
    assert queue.next_up("small") is None
    assert study_progress(store, "small")["small/old"].held == 3
    enqueue(store, spec)
    assert sorted(positions(store, "small/old")) == list(range(60))
    indices = sorted(trial.user_attrs["index"] for trial in trials_of(store))
    assert indices == list(range(60))


def test_a_trial_that_is_there_is_not_enqueued_again(store):
    enqueue(store, comparison())
    before = positions(store, "small/old")
    two = {i: create_trial(state=TrialState.WAITING) for i in (6, 5)}  # 5 is taken
    assert add(store, "small", "small/old", two)
    after = positions(store, "small/old")
    assert {place: after[place] for place in range(6)} == before
    assert sorted(after.values()) == sorted(trial._trial_id for trial in trials_of(store))
    assert len(after) == 7


@pytest.mark.slow
def test_each_trial_is_claimed_exactly_once_by_many_threads(store):
    enqueue(store, comparison(n_trials=100))
    queue = Queue(store)

    def claim_all(worker: int) -> list[int]:
        mine: list[int] = []
        while (found := queue.next_up("small")) is not None:
            span = range(found.position, found.position + 3)
            mine += queue.claim(found.study_name, f"w{worker}", span).trial_ids
        return mine

    with ThreadPoolExecutor(6) as pool:
        claimed = [trial_id for ids in pool.map(claim_all, range(6)) for trial_id in ids]
    assert len(claimed) == len(set(claimed)) == 200
    assert states(store) == {"RUNNING": 100}


def test_arms_take_turns(queue):
    assert queue.next_up("small") == NextUp("small/new", 0, retry=False, strikes=0)
    queue.claim("small/new", "a", range(2))
    assert queue.next_up("small") == NextUp("small/old", 0, retry=False, strikes=0)
    queue.claim("small/old", "a", EVERYTHING)
    assert queue.next_up("small") == NextUp("small/new", 2, retry=False, strikes=0)
    queue.claim("small/new", "a", EVERYTHING)
    assert queue.next_up("small") is None


def test_a_finished_trial_has_its_value_attributes_and_curve(store, queue):
    claim = queue.claim("small/old", "a", range(1))
    assert queue.finish("a", {claim.trial_ids[0]: GOOD}) == set(claim.trial_ids)
    trial = trials_of(store)[0]
    assert (trial.state, trial.value) == (TrialState.COMPLETE, 0.9)
    assert trial.user_attrs["seconds"] == 1.0
    assert trial.intermediate_values == {3: 0.9}
    assert study_progress(store, "small")["small/old"] == StudyProgress(
        n_trials=6, waiting=5, done=1, best=0.9
    )


def nothing_is_written_about(trials: list[FrozenTrial]) -> bool:
    return all(
        trial.value is None
        and trial.user_attrs.keys() == {"index", "seed"}
        and trial.intermediate_values == {}
        for trial in trials
    )


def test_trials_that_cannot_be_written_down_stay_running_in_both_places(store, queue):
    claim = queue.claim("small/old", "a", range(3))
    outcomes = dict.fromkeys(claim.trial_ids, GOOD)
    not_json = {"seconds": 1.0, "x": set()}
    outcomes[claim.trial_ids[1]] = TrialOutcome(TrialState.COMPLETE, 0.9, not_json)
    with pytest.raises(TypeError, match="not JSON serializable"):
        queue.finish("a", outcomes)
    assert states(store) == {"RUNNING": 3, "WAITING": 3}
    assert nothing_is_written_about(trials_of(store))
    assert study_progress(store, "small")["small/old"].running == 3


@pytest.mark.parametrize("step", ["claim", "release"])
def test_what_optuna_cannot_be_told_is_not_done_in_the_queue_either(
    store, queue, step: str, monkeypatch: pytest.MonkeyPatch
):
    if step == "release":
        queue.claim("small/old", "a", range(2))
    with store.engine.connect() as connection:
        before = connection.execute(select(trials)).all()

    def broken(*_: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(store.optuna, "set_trial_state_values", broken)
    with suppress(RuntimeError):
        if step == "claim":
            queue.claim("small/old", "a", range(2))
        else:
            queue.release(["a"])
    with store.engine.connect() as connection:
        assert connection.execute(select(trials)).all() == before


@pytest.mark.slow
def test_a_worker_killed_while_it_finishes_trials_leaves_none_half_written(database: str):
    store = open_store(database)
    enqueue(store, comparison())
    code = f"""
import os, signal
from optuna.trial import TrialState
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.database.store import open_store

class Deadly(dict):
    def items(self):
        yield "seconds", 1.0
        os.kill(os.getpid(), signal.SIGKILL)

queue = Queue(open_store({database!r}))
first, second, third = queue.claim("small/old", "dead", range(3)).trial_ids
good = TrialOutcome(TrialState.COMPLETE, 0.9, dict(seconds=1.0))
deadly = TrialOutcome(TrialState.COMPLETE, 0.9, Deadly(seconds=1.0))
queue.finish("dead", {{first: good, second: deadly, third: good}})
"""
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert states(store) == {"RUNNING": 3, "WAITING": 3}
    assert nothing_is_written_about(trials_of(store))
    assert Queue(store).release(["dead"]) == 3
    work_here(store)
    assert states(store) == {"COMPLETE": 6}
    store.close()


def test_a_lease_lost_in_a_batch_does_not_touch_the_others(store):
    enqueue(store, comparison())
    hasty, patient = Queue(store, lease_seconds=-1), Queue(store, lease_seconds=1000)
    ids = [
        queue.claim("small/old", "a", range(place, place + 1)).trial_ids[0]
        for place, queue in enumerate((patient, hasty, patient, hasty, patient))
    ]
    assert patient.reap() == 2
    assert patient.claim("small/old", "thief", range(3, 4)).trial_ids == (ids[3],)
    assert patient.report("a", 1, dict.fromkeys(ids, 0.5)) == {ids[0], ids[2], ids[4]}
    assert patient.finish("a", dict.fromkeys(ids[:4], GOOD)) == {ids[0], ids[2]}
    assert patient.fail("a", ids[1:], "Traceback") == {ids[4]}
    trials = trials_of(store)
    assert [trial.state.name for trial in trials] == [
        *("COMPLETE", "WAITING", "COMPLETE", "RUNNING", "WAITING", "WAITING")
    ]
    assert [trial.intermediate_values for trial in trials[::2]] == [
        *({1: 0.5, 3: 0.9}, {1: 0.5, 3: 0.9}, {1: 0.5})
    ]
    assert nothing_is_written_about([trials[1], trials[3], trials[5]])
    assert trials[4].user_attrs["error"] == "Traceback"
    assert patient.finish("thief", {ids[3]: GOOD}) == {ids[3]}


def test_a_lease_that_ran_out_puts_the_trial_back_and_fences_its_worker(store):
    enqueue(store, comparison())
    hasty = Queue(store, lease_seconds=-1)
    claim = hasty.claim("small/old", "slow", range(1))
    assert hasty.reap() == 1
    assert states(store) == {"WAITING": 6}
    assert hasty.report("slow", 1, {claim.trial_ids[0]: 0.5}) == set()
    assert hasty.finish("slow", {claim.trial_ids[0]: GOOD}) == set()
    assert hasty.fail("slow", claim.trial_ids, "Traceback") == set()
    assert nothing_is_written_about(trials_of(store))
    again = hasty.claim("small/old", "quick", range(1))
    assert hasty.finish("slow", {claim.trial_ids[0]: GOOD}) == set()
    assert hasty.finish("quick", {again.trial_ids[0]: GOOD}) == set(again.trial_ids)
    assert states(store) == {"COMPLETE": 1, "WAITING": 5}


def test_a_lease_that_is_renewed_or_reported_under_does_not_run_out(store):
    enqueue(store, comparison())
    hasty, patient = Queue(store, lease_seconds=-1), Queue(store, lease_seconds=1000)
    one, two = hasty.claim("small/old", "a", range(2)).trial_ids
    assert patient.report("a", 1, {one: 0.5}) == {one}
    assert patient.reap() == 1
    assert trials_of(store)[0].intermediate_values == {1: 0.5}
    hasty.claim("small/old", "a", range(2))
    patient.renew("a")
    assert patient.reap() == 0
    assert two in positions(store, "small/old").values()


def test_releasing_a_worker_puts_back_its_trials_only(store, queue):
    queue.claim("small/old", "a", range(2))
    queue.claim("small/old", "b", range(3))
    assert queue.release(["a"]) == 2
    assert states(store) == {"RUNNING": 1, "WAITING": 5}


def test_a_trial_that_raises_is_retried_once_and_then_fails(store, queue):
    trial_ids = queue.claim("small/old", "a", range(1)).trial_ids
    queue.fail("a", trial_ids, "Traceback: one")
    assert states(store) == {"WAITING": 6}
    queue.claim("small/old", "a", range(1, 1000))
    queue.claim("small/new", "a", EVERYTHING)
    assert queue.next_up("small") == NextUp("small/old", 0, retry=True, strikes=0)
    queue.claim("small/old", "b", range(1))
    queue.fail("b", trial_ids, "Traceback: two")
    trial = trials_of(store)[0]
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["error"] == "Traceback: two"
    assert study_progress(store, "small")["small/old"].failed == 1


@pytest.mark.slow
def test_a_trial_ended_or_deleted_from_outside_is_reconciled(store, queue):
    trial_id = queue.claim("small/old", "a", range(1)).trial_ids[0]
    store.rdb.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.7])
    optuna.delete_study(study_name="small/new", storage=store.rdb)
    enqueue(store, comparison())
    found = study_progress(store, "small")
    assert found["small/old"] == StudyProgress(n_trials=6, waiting=5, done=1, best=0.7)
    assert found["small/new"] == StudyProgress(n_trials=6, waiting=6)


def test_the_incumbent_is_the_best_over_all_repeats_and_the_earliest_of_equals(store):
    spec = comparison(repeats=2)
    enqueue(store, spec)
    queue = Queue(store)
    values = {"small/old/0": [0.5, 0.8, 0.8, 0.1, 0.1, 0.1], "small/old/1": [0.8] + [0.2] * 5}
    for study_name, accuracies in values.items():
        claim = queue.claim(study_name, "a", EVERYTHING)
        outcomes = [TrialOutcome(TrialState.COMPLETE, value) for value in accuracies]
        queue.finish("a", dict(zip(claim.trial_ids, outcomes, strict=True)))
    best = incumbent(store, spec, spec.arms[0])
    assert best is not None
    assert best.user_attrs["index"] == 1
    assert best in finished_trials(store, "small/old/0")


@pytest.mark.slow
def test_incumbents_are_retrained_with_their_parameters_and_fresh_seeds(store):
    spec = comparison()
    enqueue(store, spec)
    work_here(store)
    enqueue_afresh(store, spec)
    enqueue_afresh(store, spec)
    work_here(store, trainer=LightTrainer("cpu"), name="later")
    for arm in spec.arms:
        best = incumbent(store, spec, arm)
        again = finished_trials(store, f"small/{arm.name}/retrain")
        assert best is not None
        assert [trial.params for trial in again] == [best.params] * 2
        assert all(
            trial.user_attrs["run"]["settings"] == best.user_attrs["run"]["settings"]
            for trial in again
        )
        assert len({trial.user_attrs["seed"] for trial in again} - {best.user_attrs["seed"]}) == 2
        assert all("test_accuracy" in trial.user_attrs for trial in again)
        assert "test_accuracy" not in best.user_attrs


@pytest.mark.slow
def test_a_deleted_comparison_leaves_no_trace(store):
    enqueue(store, comparison())
    work_here(store)
    remove(store, "small")
    assert store.names() == []
    left = optuna.get_all_study_names(store.rdb)
    assert all(name.startswith(NUMBERS) for name in left)
    assert study_progress(store, "small") == {}
    enqueue(store, comparison(n_trials=3))
    assert study_progress(store, "small")["small/old"] == StudyProgress(n_trials=3, waiting=3)
