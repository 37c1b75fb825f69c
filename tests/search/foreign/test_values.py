"""What other people's studies hold is read as they mean it."""

import datetime
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from tuner.compare import Protocol
from tuner.errors import InvalidInput
from tuner.search.foreign.address import parse
from tuner.search.foreign.arm import AS_IT_STANDS, ForeignArm, Reading, arm_of
from tuner.search.foreign.compare import judged_studies
from tuner.search.foreign.record import record_of
from tuner.search.foreign.storages.kinds import study_at


def read(study: optuna.Study, reading: Reading = AS_IT_STANDS) -> ForeignArm:
    return arm_of(record_of(study), reading=reading)


@pytest.fixture
def study() -> Iterator[optuna.Study]:
    """Ten trials from .50 to .59, higher is better."""
    made = optuna.create_study(direction="maximize", study_name="theirs")
    for index in range(10):
        made.add_trial(create_trial(value=0.5 + index / 100))
    yield made


def test_what_others_call_diverged_means_nothing_here(study: optuna.Study):
    for said in ("no", 0.3, True, ["late"]):
        study.add_trial(create_trial(value=0.6, user_attrs={"diverged": said}))
    study.add_trial(create_trial(value=0.6, user_attrs={"diverged": True, "run": "r7"}))
    arm = read(study).arm
    assert not arm.failed.any() and arm.scores[-1] == 0.6


def test_a_trial_that_ends_before_it_begins_by_its_clock_has_no_seconds(study: optuna.Study):
    trial = create_trial(value=0.7)
    trial.datetime_start = datetime.datetime(2024, 10, 27, 2, 30)
    trial.datetime_complete = datetime.datetime(2024, 10, 27, 2, 5)
    study.add_trial(trial)
    found = read(study)
    assert np.isnan(found.arm.seconds[-1]) and found.arm.scores[-1] == 0.7
    assert any("by the machine's clock 1 trial ended before" in note for note in found.notes)


def test_a_pruned_trial_has_no_result_unless_its_last_report_is_asked_for(study: optuna.Study):
    study.add_trial(
        create_trial(state=TrialState.PRUNED, value=0.99, intermediate_values={1: 0.99})
    )
    found = read(study)
    assert (found.arm.scores[-1], found.arm.scores.max()) == (0.5, 0.59)
    assert found.arm.pruned[-1] and not found.arm.failed[-1] and found.without[-1]
    assert any("1 pruned trial was stopped before there was a result" in n for n in found.notes)
    asked = read(study, Reading(last_reports=True))
    assert asked.arm.scores[-1] == 0.99 and not asked.without[-1]
    assert any("1 pruned trial scores the value" in note for note in asked.notes)


def test_a_value_without_bounds_is_no_result(study: optuna.Study):
    for value in (math.inf, -math.inf, 1.7e308):  # no difference of the last one is finite
        study.add_trial(create_trial(value=value))
    found = read(study)
    assert found.arm.scores[-3:].tolist() == [0.5, 0.5, 0.5]
    assert any("3 trials ended with a value that is infinite" in note for note in found.notes)


def test_an_infeasible_trial_is_no_result(study: optuna.Study):
    """As Optuna's best_trial leaves it out: a constraint above 0 is violated."""
    for limits, value in (([0.5, -1.0], 0.99), ([-0.5, 0.0], 0.6)):
        study.add_trial(create_trial(value=value, system_attrs={"constraints": limits}))
    found = read(study)
    assert found.arm.scores[-2:].tolist() == [0.5, 0.6]
    assert found.arm.failed[-2:].tolist() == [True, False]
    assert any("1 trial violates a constraint" in note for note in found.notes)


def test_a_constraint_that_the_trial_set_by_name_counts_too(study: optuna.Study):
    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_float("x", 0.6, 0.9)
        trial.set_constraint("cost", -1.0)
        trial.set_constraint("size", x - 0.75)
        return x

    study.optimize(objective, n_trials=20)
    found = read(study)
    assert found.arm.scores.max() == study.best_value < 0.75
    infeasible = [trial.params["x"] > 0.75 for trial in study.trials[-20:]]
    assert found.arm.failed[-20:].tolist() == infeasible and any(infeasible)


def test_one_of_several_objectives_is_chosen():
    study = optuna.create_study(study_name="two", directions=["minimize", "maximize"])
    study.add_trials([create_trial(values=[index / 9, index / 18]) for index in range(10)])
    with pytest.raises(
        InvalidInput,
        match=r"has 2 objectives \(0, 1\); choose one with objective, such as",
    ):
        read(study)
    first, second = (read(study, Reading(objective=each)) for each in "01")
    assert first.minimized and first.arm.scores.max() == 0
    assert not second.minimized and second.arm.scores.max() == 0.5
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["loss", "accuracy"])
    assert read(study, Reading(objective="accuracy")).arm.scores.max() == 0.5
    with pytest.raises(InvalidInput, match="objective 'accurcy' is unknown; did you mean"):
        read(study, Reading(objective="accurcy"))


OTHERS = [
    ({"spec": {"arm": {"name": "robot", "sampler": ["random"]}, "workload": "mnist"}}, {}),
    ({"spec": {"arm": {"name": "r"}, "workload": {"a": 1}}}, {}),
    ({}, {"run": {"curve": {"epoch": 12}}}),
    ({}, {"run": {"curve": {"flip_ratio": 0.1}}}),
    ({}, {"run": {"filter": {"conditions": ["a", "b"]}}}),
    ({}, {"run": {"filter": {"order": 2}, "settings": {}, "seconds": -3.0}}),
]


@pytest.mark.parametrize(("of_study", "of_trial"), OTHERS)
def test_what_others_call_as_our_attributes_are_called_means_nothing(
    of_study: dict[str, object], of_trial: dict[str, object]
):
    study = optuna.create_study(direction="maximize")
    for name, value in of_study.items():
        study.set_user_attr(name, value)
    study.add_trials([create_trial(value=index / 9, user_attrs=of_trial) for index in range(10)])
    found = read(study)
    assert (found.arm.n, found.arm.sampler, found.workload) == (10, "unknown", None)
    assert found.arm.filters is None and found.arm.epochs is None and found.arm.batch is None


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (CategoricalDistribution(["Adam", "adam"]), "Adam, adam"),
        (CategoricalDistribution([None, "None", True, "true"]), 'None, "None", true, "true"'),
        (CategoricalDistribution(["x, y", "/a;b", 3, "3"]), '"x, y", "/a;b", 3, "3"'),
        (FloatDistribution(0.1234567, 0.1234568), "0.1234567 .. 0.1234568"),
        (FloatDistribution(1.23456789e-5, 0.1, log=True), "1.23456789e-05 .. 0.1, log"),
        (FloatDistribution(0, 1, step=0.25), "0 .. 1, step 0.25"),
        (IntDistribution(1234567, 7654321), "1234567 .. 7654321"),
        (IntDistribution(16, 1024, step=16), "16 .. 1024, step 16"),
        (IntDistribution(1, 1024, log=True), "1 .. 1024, log"),
        (IntDistribution(2**53, 2**53 + 10), "9007199254740992 .. 9007199254741002"),
        (CategoricalDistribution(["a\x1b[31mb"]), '"a\ufffd[31mb"'),
    ],
)
def test_ranges_are_shown_so_that_no_two_look_alike(distribution: BaseDistribution, words: str):
    value = getattr(distribution, "low", None)
    first = distribution.choices[0] if value is None else value
    study = optuna.create_study()
    study.add_trial(
        create_trial(value=0.5, params={"x": first}, distributions={"x": distribution})
    )
    assert read(study).arm.ranges == {"x": words}


@pytest.mark.parametrize("names", [("mnist::old", "mnist::new"), ("a::b::c", "a:b")])
def test_a_studys_name_may_hold_colons(tmp_path: Path, names: Sequence[str]):
    url = f"sqlite:///{tmp_path}/a.db"
    for name in names:
        made = optuna.create_study(storage=url, study_name=name, direction="maximize")
        made.add_trials([create_trial(value=value / 10) for value in range(5)])
    comparison = judged_studies([f"{url}::{name}" for name in names], Protocol())
    assert comparison.names == list(names)


def test_choices_may_be_lists_and_nobody_is_warned_who_only_reads(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/a.db"
    with pytest.warns(UserWarning, match="Choices for a categorical distribution"):
        study = optuna.create_study(direction="maximize", study_name="lists", storage=url)
        choices = {"x": CategoricalDistribution([[64, 64], [128]])}
        for rank in np.random.default_rng(0).permutation(30).tolist():
            setting = {"x": choices["x"].choices[rank % 2]}
            study.add_trial(create_trial(value=rank, params=setting, distributions=choices))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = arm_of(study_at(parse(url)), reading=Reading(sampler="random"))
    assert found.arm.random and found.arm.ranges == {"x": "[64, 64], [128]"}


def test_whole_numbers_of_any_size_are_drawn_evenly():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0), study_name="big")
    study.optimize(lambda t: t.suggest_int("n", 2**53, 2**53 + 10) % 11, n_trials=40)
    found = read(study, Reading(sampler="random"))
    assert found.arm.random and not any("not spread" in note for note in found.notes)


NO_RESULT = [
    ("all 5 finished trials were pruned, so none has a result; last_reports takes", "pruned", {}),
    ("what completed violates a constraint", "complete", {"constraints": [1.0]}),
    ("all failed or were pruned before they reported", "fail", {}),
    ("has no finished trial yet, 5 running or waiting", "running", {}),
]


@pytest.mark.parametrize(("words", "state", "system_attrs"), NO_RESULT)
def test_a_study_without_a_result_is_refused_with_its_reason(
    words: str, state: str, system_attrs: dict[str, object]
):
    study = optuna.create_study(study_name="none")
    kind = TrialState[state.upper()]
    value = 0.5 if kind == TrialState.COMPLETE else None
    reports = {1: 0.5} if kind == TrialState.PRUNED else {}
    study.add_trials(
        [
            create_trial(
                state=kind, value=value, intermediate_values=reports, system_attrs=system_attrs
            )
            for _ in range(5)
        ]
    )
    with pytest.raises(InvalidInput, match=re.escape(words)):
        read(study)


def test_a_loss_of_zero_has_no_sign():
    study = optuna.create_study(study_name="zero", direction="minimize")
    study.add_trials([create_trial(value=0.0) for _ in range(5)])
    assert not np.signbit(read(study).arm.scores).any()
