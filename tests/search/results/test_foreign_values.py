"""What other people's studies hold is read as they mean it."""

import datetime
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
from tuner.search.results.foreign import arm_of, compare_studies, foreign_arm


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
    arm = arm_of(study).arm
    assert not arm.failed.any() and arm.scores[-1] == 0.6


def test_a_trial_that_ends_before_it_begins_by_its_clock_has_no_seconds(study: optuna.Study):
    trial = create_trial(value=0.7)
    trial.datetime_start = datetime.datetime(2024, 10, 27, 2, 30)
    trial.datetime_complete = datetime.datetime(2024, 10, 27, 2, 5)
    study.add_trial(trial)
    found = arm_of(study)
    assert np.isnan(found.arm.seconds[-1]) and found.arm.scores[-1] == 0.7
    assert any("1 trials ended before they began by their" in note for note in found.notes)


def test_it_is_said_that_a_pruned_trial_scores_its_last_report(study: optuna.Study):
    pruned = create_trial(state=TrialState.PRUNED, intermediate_values={1: 0.99})
    study.add_trial(pruned)
    assert any("1 pruned trials score their last" in note for note in arm_of(study).notes)


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
    ],
)
def test_ranges_are_shown_so_that_no_two_look_alike(distribution: BaseDistribution, words: str):
    value = getattr(distribution, "low", None)
    first = distribution.choices[0] if value is None else value
    study = optuna.create_study()
    study.add_trial(
        create_trial(value=0.5, params={"x": first}, distributions={"x": distribution})
    )
    assert arm_of(study).arm.ranges == {"x": words}


@pytest.mark.parametrize("names", [("mnist::old", "mnist::new"), ("a::b::c", "a:b")])
def test_a_studys_name_may_hold_colons(tmp_path: Path, names: Sequence[str]):
    url = f"sqlite:///{tmp_path}/a.db"
    for name in names:
        made = optuna.create_study(storage=url, study_name=name, direction="maximize")
        made.add_trials([create_trial(value=value / 10) for value in range(5)])
    comparison = compare_studies([f"{url}::{name}" for name in names], Protocol())
    assert comparison.names == list(names)


def test_the_host_of_an_address_may_hold_colons():
    with pytest.raises(Exception, match="::1") as refusal:
        foreign_arm("postgresql://nobody@[::1]:1/optuna::old")
    assert not isinstance(refusal.value, InvalidInput)
