"""Scores that are no accuracies: any number, lower or higher, from the trial to the verdict."""

import json
import math
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from comparisons import work_here
from optuna.study import StudyDirection
from optuna.trial import TrialState

from tuner.compare import Protocol, compare
from tuner.compare.report.data import to_json
from tuner.errors import InvalidInput
from tuner.search.database.finished import finished_trials, incumbent, selected
from tuner.search.database.store import Store, open_store
from tuner.search.database.transfer import export, load
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.foreign.arm import Reading, arm_of
from tuner.search.foreign.compare import judged_studies, stored_studies
from tuner.search.foreign.record import record_of
from tuner.search.results.arms import arms, study_summary
from tuner.search.results.tried import tried
from tuner.search.watch.progress import progress
from tuner.search.watch.views import best_trials
from tuner.search.work.keeper import Keeper
from tuner.search.work.trainers import Trainers

MODULE = "objectives_for_tests"
WORKLOAD = {
    "objective": f"{MODULE}:loss",
    "metric": "validation loss",
    "direction": "minimize",
    "chance": 110.0,
    "epochs": 2,
}
FAR, NEAR = {"low": 0.0, "high": 1.0}, {"low": 0.0, "high": 0.2}


def comparison(**more: Any) -> ComparisonSpec:
    declared: dict[str, Any] = {
        "name": "small",
        "workload": WORKLOAD,
        "arms": [
            {"name": "new", "space": {"parameters": {"x": NEAR}}},
            {"name": "old", "space": {"parameters": {"x": FAR}}},
        ],
        "n_trials": 20,
        "retrain_seeds": 2,
        "verdict": {"rope": 0.5, "target": 12.0},
    }
    return ComparisonSpec.model_validate(declared | more)


def finish(store: Store, spec: ComparisonSpec) -> None:
    store.declare(spec)
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=Trainers("cpu"))
    Keeper(store).tend()


@pytest.fixture
def spec(store: Store) -> ComparisonSpec:
    declared = comparison()
    finish(store, declared)
    return declared


@pytest.mark.slow
def test_a_loss_is_lowered_from_its_trials_to_the_verdict(store: Store, spec: ComparisonSpec):
    trials = finished_trials(store, "small/old")
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 20
    lowest = min(trial.value or math.inf for trial in trials)
    assert all(t.value == 110.0 for t in trials if t.params["x"] > 0.9)
    study_id = store.rdb.get_study_id_from_name("small/old")
    assert store.rdb.get_study_directions(study_id) == [StudyDirection.MINIMIZE]

    old = spec.arms[1]
    best = incumbent(store, spec, old)
    assert best is not None and best.value == lowest
    assert [t.value for t in selected(store, spec, old)] == [
        min(trials[i].value or math.inf, trials[i + 1].value or math.inf) for i in range(0, 20, 2)
    ]
    assert progress(store, spec).arms[1].best == lowest
    values = [row.value for row in best_trials(store, "small/old", 3)]
    assert values[0] == lowest and values == sorted(values)

    found = compare(*arms(store, "small"))
    assert found.verdict.kind == "supported"
    assert "lower validation loss" in found.verdict.text and "points" not in found.verdict.text
    document = to_json(found)
    protocol = document["protocol"]
    assert (protocol["unit"], protocol["minimized"]) == ("validation loss", True)
    assert (protocol["target"], protocol["rope"]) == (12.0, 0.5)
    assert document["arms"][1]["best"] == lowest
    again = finished_trials(store, "small/old/retrain")
    retrained = document["arms"][1]["retrained"]
    assert retrained["test"]["value"] == pytest.approx(again[0].user_attrs["test_accuracy"])
    assert document["arms"][1]["selected"]["n"] == 10


@pytest.mark.slow
def test_its_figures_and_its_curve_bear_its_name_and_its_sign(
    store: Store, spec: ComparisonSpec, tmp_path: Path
):
    shown = tried(store, spec, spec.arms[1], None)
    assert shown.protocol.minimized and shown.protocol.unit == "validation loss"
    assert shown.scored[-1].score == -progress(store, spec).arms[1].best  # the best stands last
    summary, protocol = study_summary(store, spec.studies()[1])
    assert protocol.minimized and summary.curve[0].value < 0
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    load(other, list(export(store, ["small"])))
    assert [t.value for t in finished_trials(other, "small/old")] == [
        t.value for t in finished_trials(store, "small/old")
    ]
    study_id = other.rdb.get_study_id_from_name("small/old")
    assert other.rdb.get_study_directions(study_id) == [StudyDirection.MINIMIZE]
    other.close()


@pytest.mark.slow
@pytest.mark.usefixtures("spec")
def test_its_studies_compared_by_name_bring_their_fresh_runs_along(store: Store):
    declared, _ = arms(store, "small")
    studies = stored_studies(store, ["small/new", "small/old"])
    found = judged_studies(studies, Protocol(unit="validation loss", target=12.0, k=2))
    for study, arm in zip(studies, declared, strict=True):
        here, there = arm.selected, arm_of(record_of(study)).arm.selected
        assert here is not None and there is not None and here.planned == there.planned == 10
        for name in ("search", "val", "test"):
            assert getattr(here, name).tolist() == getattr(there, name).tolist()
        turned = arm_of(record_of(study), reading=Reading(direction="maximize"))
        assert turned.arm.selected is None  # it was selected by the other direction
    assert found.verdict.kind == "supported"
    assert "trained afresh, reaches lower validation loss" in found.verdict.text


@pytest.mark.slow
def test_losses_of_any_size_are_exported_and_imported(store: Store, tmp_path: Path):
    workload = WORKLOAD | {"options": {"scale": 1e20}, "chance": 1e30}
    finish(store, comparison(workload=workload, n_trials=4, verdict={"rope": 1.0}))
    with closing(open_store(f"sqlite:///{tmp_path / 'other.db'}")) as other:
        load(other, list(export(store, ["small"])))
        again, once = (finished_trials(each, "small/old") for each in (other, store))
        assert [t.value for t in again] == [t.value for t in once]
        assert max(t.value or 0.0 for t in again) > 1e20


def test_a_pruner_stops_those_of_higher_loss(store: Store):
    arm = {"name": "new", "space": {"parameters": {"x": FAR}}, "pruner": "median"}
    finish(store, comparison(arms=[arm], retrain_seeds=0, n_trials=12))
    trials = finished_trials(store, "small/new")
    pruned = [t.value for t in trials if t.state == TrialState.PRUNED]
    whole = [t.value for t in trials if t.state == TrialState.COMPLETE]
    assert pruned and min(whole) < min(pruned)


def test_a_run_that_diverged_fails_where_nobody_said_what_guessing_scores(store: Store):
    workload = {name: value for name, value in WORKLOAD.items() if name != "chance"}
    arm = {"name": "new", "space": {"parameters": {"x": {"low": 0.95, "high": 1.0}}}}
    finish(store, comparison(workload=workload, arms=[arm], retrain_seeds=0, n_trials=1))
    (trial,) = finished_trials(store, "small/new")
    assert trial.state == TrialState.FAIL
    assert "declare workload.chance" in trial.user_attrs["error"]


def test_what_was_declared_before_there_were_metrics_is_written_as_it_was():
    workload = {"objective": f"{MODULE}:loss", "epochs": 2}
    written = json.loads(comparison(workload=workload, verdict={}).model_dump_json())["workload"]
    assert not {"metric", "direction"} & written.keys()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"verdict": {"target": 12.0}},
            "verdict.rope: say which difference .* validation loss",
        ),
        ({"workload": {**WORKLOAD, "direction": ""}}, "say which validation loss is better"),
        ({"workload": {**WORKLOAD, "metric": "<b>"}}, "must be a name of the score"),
        ({"workload": {**WORKLOAD, "chance": math.inf}}, "workload.chance: must be finite"),
        ({"workload": {"objective": "a:b", "direction": "minimize"}}, "give the score a name"),
        ({"workload": {"objective": "a:b"}}, r"verdict.target: must be an accuracy in \(0, 1\)"),
    ],
)
def test_a_score_without_a_direction_or_a_margin_is_refused(changes, words):
    with pytest.raises((InvalidInput, ValueError), match=words):
        comparison(**changes)
