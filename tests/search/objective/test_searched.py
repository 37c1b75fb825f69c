"""Objectives are searched as any workload is: enqueued, retried, trained afresh, compared."""

import sys
from pathlib import Path
from typing import Any

import pytest
from comparisons import work_here
from optuna.trial import TrialState
from sqlalchemy import select

from tuner.compare import compare
from tuner.errors import InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import workers
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.queue import Queue
from tuner.search.results.arms import arms
from tuner.search.work.keeper import Keeper
from tuner.search.work.plan import plan
from tuner.search.work.trainers import Trainers
from tuner.search.work.worker import Worker

MODULE = "objectives_for_tests"
X = {"low": 0.0, "high": 1.0}


def comparison(name: str, **more: Any) -> ComparisonSpec:
    return ComparisonSpec.model_validate(
        {
            "name": "small",
            "workload": {"objective": f"{MODULE}:{name}", "epochs": 2},
            "arms": [
                {"name": "new", "space": {"parameters": {"x": X}}},
                {"name": "old", "space": {"parameters": {"x": {**X, "high": 0.5}}}},
            ],
            "n_trials": 20,
            "retrain_seeds": 2,
            **more,
        }
    )


def finish(store: Store, spec: ComparisonSpec) -> None:
    store.declare(spec)
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=Trainers("cpu"))
    Keeper(store).tend()


@pytest.mark.slow
def test_an_objective_goes_from_its_declaration_to_a_verdict(store: Store):
    spec = comparison("formula")
    finish(store, spec)
    trials = finished_trials(store, "small/new")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 20
    assert all(trial.value == 0.5 + trial.params["x"] / 4 for trial in trials)
    run = trials[0].user_attrs["run"]
    assert run["curve"]["val_accuracy"] == [0.25, 0.5]
    assert (run["batch"], run["filter"]) == (1, {})
    assert run["code"].startswith("sha256:")
    found = compare(*arms(store, "small"))
    new = found.arms[0]
    assert new.selected is not None and new.selected.n == 10
    again = finished_trials(store, "small/new/retrain")
    assert {trial.user_attrs["test_accuracy"] for trial in again} == {again[0].value / 2}
    assert f"on {MODULE}:formula, at most 2 epochs," in found.verdict.text
    assert found.verdict.kind == "supported" and "in new than in old" in found.verdict.text
    assert not any("code was changed" in note for note in found.notes)


@pytest.mark.slow
def test_a_change_of_the_code_between_trials_is_noted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "changing.py"
    file.write_text("def f(trial):\n    return trial.settings['x']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TUNER_WORKLOADS", "changing")
    spec = comparison(
        "", workload={"objective": "changing:f"}, retrain_seeds=0, code_changes="noted"
    )
    store.declare(spec)
    Keeper(store).tend()
    left = iter(range(5))
    Worker(
        Queue(store), Trainers("cpu"), name="a", stopping=lambda: next(left, None) is None
    ).run()
    file.write_text("def f(trial):\n    return trial.settings['x']  # other\n")
    del sys.modules["changing"]  # as in a process that starts now
    work_here(store, trainer=Trainers("cpu"), name="b")
    (note,) = [note for note in compare(*arms(store, "small")).notes if "code" in note]
    assert note.startswith("The workload's code was changed between trials (sha256:")


def test_a_trial_that_raises_is_retried_fails_and_tells_what_was_printed(store: Store):
    arm = {"name": "new", "space": {"parameters": {"x": X}}}
    finish(store, comparison("prints", n_trials=1, retrain_seeds=0, arms=[arm]))
    (trial,) = finished_trials(store, "small/new")
    assert trial.state == TrialState.FAIL
    error = trial.user_attrs["error"]
    assert "objectives_for_tests.py" in error and "ValueError: my own trouble" in error
    assert error.endswith("It printed last:\none line\n100%\n")


def test_a_worker_that_may_not_import_it_leaves_it_out_and_says_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    store.declare(comparison("formula", n_trials=1, retrain_seeds=0))
    Keeper(store).tend()
    monkeypatch.setenv("TUNER_WORKLOADS", "")
    left = iter(range(3))
    Worker(
        Queue(store), Trainers("cpu"), name="a", stopping=lambda: next(left, None) is None
    ).run()
    assert finished_trials(store, "small/new") == []
    with store.engine.connect() as connection:
        message = connection.scalar(select(workers.c.message))
    assert "cannot be run here: workload.objective: 'objectives_for_tests:formula'" in message


def test_whole_numbers_are_drawn_as_such(store: Store):
    space = {"parameters": {"x": {"low": 0, "high": 1, "integer": True}}}
    arm = {"name": "new", "space": space}
    finish(store, comparison("plain", arms=[arm], retrain_seeds=0))
    assert {trial.params["x"] for trial in finished_trials(store, "small/new")} == {0, 1}


@pytest.mark.slow
def test_a_plan_ends_where_the_objective_hangs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=":")
    arm = {"name": "new", "space": {"parameters": {"x": {"low": 0.9, "high": 1.0}}}}
    spec = comparison("hangs", n_trials=4, retrain_seeds=0, arms=[arm], time_limit=0.2)
    with pytest.raises(InvalidInput, match=r"hangs.*: while measured, it took longer than 0\.8"):
        plan(spec, workers=1)


@pytest.mark.slow
def test_a_trial_that_hangs_fails_at_its_time_limit_and_the_worker_goes_on(store: Store):
    arm = {"name": "new", "space": {"parameters": {"x": X}}}
    finish(store, comparison("hangs", n_trials=4, retrain_seeds=0, arms=[arm], time_limit=0.2))
    trials = finished_trials(store, "small/new")
    hung = [trial for trial in trials if trial.params["x"] > 0.5]
    assert 0 < len(hung) < 4
    assert all((trial.state == TrialState.FAIL) == (trial in hung) for trial in trials)
    error = hung[0].user_attrs["error"]
    assert "time.sleep(1000)" in error and "longer than 0.2 seconds, its time limit" in error
    assert "It printed last:\nwaiting for what never comes" in error


def test_a_limit_of_time_is_written_down_only_if_there_is_one():
    limited = comparison("hangs", time_limit=60.0)
    assert all(study.time_limit == 60.0 for study in limited.every_study())
    assert "time_limit" not in comparison("hangs").model_dump_json()
    with pytest.raises(ValueError, match="greater than 0"):
        comparison("hangs", time_limit=0.0)
