"""What the searches selected, trained afresh, is read as the numbers that a verdict rests on."""

from collections.abc import Iterator, Sequence

import optuna
import pytest
from comparisons import comparison, enqueue, enqueue_afresh, work_here
from optuna.trial import TrialState

from tuner.compare import compare
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.foreign.arm import arm_of
from tuner.search.foreign.record import record_of
from tuner.search.queue import control
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.results.arms import arms
from tuner.search.work.batch import packed


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def searched(store: Store, **changes: object) -> ComparisonSpec:
    """The small comparison, its searches ended and what they selected enqueued."""
    spec = comparison(**changes)
    enqueue(store, spec)
    work_here(store)
    enqueue_afresh(store, spec)
    return spec


def end(
    store: Store,
    study_name: str,
    index: int,
    val: float | None,
    test: float = 0.0,
    hits: Sequence[bool] = (),
) -> None:
    """End one of the fresh runs: with these accuracies, or failed."""
    queue = Queue(store, retries=0)
    (trial_id,) = queue.claim(study_name, "w", range(index, index + 1)).trial_ids
    if val is None:
        queue.fail("w", [trial_id], "Traceback")
    else:
        attributes: dict[str, object] = {"test_accuracy": test}
        if hits:
            attributes["test_hits"] = packed(hits)
        outcome = TrialOutcome(TrialState.COMPLETE, val, attributes)
        queue.finish("w", {trial_id: outcome})


def test_each_fresh_run_is_read_with_its_search_and_both_its_accuracies(store: Store):
    searched(store)
    assert [arm.selected for arm in arms(store, "small")[0]] == [None, None]
    end(store, "small/new/selected", 2, 0.8, 0.7)
    end(store, "small/new/selected", 0, 0.6, 0.5)
    old, new = arms(store, "small")[0]
    assert old.selected is None
    assert new.selected is not None
    assert new.selected.search.tolist() == [0, 2]
    assert new.selected.val.tolist() == [0.6, 0.8]
    assert new.selected.test.tolist() == [0.5, 0.7]
    assert new.selected.planned == 3


def test_each_seed_of_an_incumbent_is_read_with_what_it_hits(store: Store):
    searched(store)
    end(store, "small/new/retrain", 0, 0.6, 0.75, [True, True, False, True])
    end(store, "small/new/retrain", 1, 0.1, 0.1)  # it diverged
    end(store, "small/old/retrain", 0, 0.6, 0.5)
    old, new = arms(store, "small")[0]
    assert old.retrained is not None and old.retrained.hits is None
    assert new.retrained is not None and new.retrained.hits is not None
    assert new.retrained.hits.tolist() == [[True, True, False, True], [False] * 4]
    assert new.retrained.test.tolist() == [0.75, 0.1]


def test_a_fresh_run_that_failed_has_the_worst_score(store: Store):
    searched(store)
    end(store, "small/new/selected", 0, 0.6, 0.5)
    end(store, "small/new/selected", 1, None)
    new = arms(store, "small")[0][1]
    assert new.selected is not None
    assert new.selected.search.tolist() == [0, 1]
    assert new.selected.val.tolist() == [0.6, 0.0]
    assert new.selected.test.tolist() == [0.5, 0.0]


def test_fresh_runs_that_all_failed_are_read_as_the_worst_too(store: Store):
    searched(store)
    for name in ("small/old/selected", "small/new/selected"):
        end(store, name, 0, None)
    found, protocol = arms(store, "small")
    assert [arm.selected and arm.selected.test.tolist() for arm in found] == [[0.0], [0.0]]
    assert compare(found, protocol).verdict.kind == "inconclusive"


def test_a_fresh_run_that_was_cancelled_or_retried_is_no_failure(store: Store):
    """Read by name, as studies of other software are: Optuna keeps both as failed trials."""
    searched(store)
    end(store, "small/new/selected", 0, None)
    end(store, "small/new/selected", 1, None)
    control.retry_failed(store, "small")
    end(store, "small/new/selected", 0, 0.6, 0.5)
    control.change_comparison(store, "small", "cancel")
    here = next(arm for arm in arms(store, "small")[0] if arm.name == "new").selected
    study = optuna.load_study(study_name="small/new", storage=store.rdb)
    there = arm_of(record_of(study)).arm.selected
    for runs in (here, there):
        assert runs is not None
        assert (runs.search.tolist(), runs.test.tolist()) == ([0], [0.5])
        assert (runs.planned, runs.k) == (3, 2)


@pytest.mark.slow
def test_a_finished_comparison_has_one_fresh_run_for_each_search(store: Store):
    searched(store, repeats=2)
    work_here(store)
    found, protocol = arms(store, "small")
    for arm in found:
        assert arm.selected is not None
        assert arm.selected.search.tolist() == list(range(6))
        again = finished_trials(store, f"small/{arm.name}/selected")
        assert arm.selected.val.tolist() == [trial.value for trial in again]
        assert arm.selected.test.tolist() == [t.user_attrs["test_accuracy"] for t in again]
    assert protocol.interim == ""
    pairs = compare(found, protocol).contrasts[0].selected
    assert pairs is not None
    assert (pairs.n, pairs.planned) == (6, 6)


@pytest.mark.slow
def test_a_comparison_is_interim_until_all_that_was_selected_is_trained_afresh(store: Store):
    searched(store)
    waiting = "what the searches of {} selected is not yet trained afresh"
    assert arms(store, "small")[1].interim == waiting.format("old, new")
    for study in ("old/selected", "old/retrain", "new/selected"):
        for index in range(3 if "selected" in study else 2):
            end(store, f"small/{study}", index, 0.5, 0.5)
    best = "the best settings of new are not yet retrained"
    assert arms(store, "small")[1].interim == best
    end(store, "small/new/retrain", 0, 0.5, 0.5)
    assert arms(store, "small")[1].interim == best
    end(store, "small/new/retrain", 1, 0.5, 0.5)
    assert arms(store, "small")[1].interim == ""
