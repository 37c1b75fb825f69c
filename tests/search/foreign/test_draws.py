"""Trials that are no draws of the sampler do not count as such, and it is said."""

from dataclasses import replace

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from tuner.compare import Protocol
from tuner.search.foreign.arm import ForeignArm, Reading, arm_of
from tuner.search.foreign.compare import judged_studies
from tuner.search.foreign.record import record_of

X = {"x": FloatDistribution(0, 1)}


def read(study: optuna.Study, sampler: str = "random") -> ForeignArm:
    return arm_of(record_of(study), reading=Reading(sampler=sampler))


@pytest.fixture
def study() -> optuna.Study:
    sampler = optuna.samplers.RandomSampler(seed=1)
    return optuna.create_study(direction="maximize", study_name="new", sampler=sampler)


def test_settings_enqueued_by_hand_are_no_random_draws(study: optuna.Study):
    for index in range(10):
        study.enqueue_trial({"x": index / 1000})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=40)
    random, learned = read(study), read(study, "tpe")
    assert (random.arm.n, learned.arm.n) == (30, 40)
    assert random.arm.scores.tolist() == [trial.value for trial in study.trials[10:]]
    assert any("10 trials whose setting was enqueued by hand" in note for note in random.notes)
    assert any("10 trials were enqueued by hand" in note for note in learned.notes)


def test_where_all_were_enqueued_they_are_kept_and_it_is_said(study: optuna.Study):
    for index in range(5):
        study.enqueue_trial({"x": index / 10})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    found = read(study)
    assert found.arm.n == 5 and any("were enqueued by hand" in note for note in found.notes)


def test_a_lost_attempt_is_one_draw_with_its_retry(study: optuna.Study):
    """Of three attempts of one setting, as Optuna's heartbeat numbers them, the last counts."""
    study.add_trial(create_trial(value=0.3, params={"x": 0.3}, distributions=X))
    for history in ([], [1]):
        attempt = create_trial(
            state=TrialState.FAIL,
            params={"x": 0.9},
            distributions=X,
            system_attrs={"failed_trial": 1, "retry_history": history} if history else {},
        )
        study.add_trial(attempt)
    study.add_trial(
        create_trial(
            value=0.9,
            params={"x": 0.9},
            distributions=X,
            system_attrs={"failed_trial": 1, "retry_history": [1, 2]},
        )
    )
    found = read(study)
    assert found.arm.scores.tolist() == [0.3, 0.9] and not found.arm.failed.any()
    assert found.notes[0].startswith("new: 2 lost attempts that were run again with the same")


def test_a_trial_that_failed_for_good_still_counts(study: optuna.Study):
    for index in range(4):
        setting = {"x": index / 10}
        study.add_trial(create_trial(value=index / 10, params=setting, distributions=X))
    study.add_trial(create_trial(state=TrialState.FAIL, params={"x": 0.9}, distributions=X))
    found = read(study)
    assert found.arm.failed.tolist() == [False] * 4 + [True]


def test_a_comparison_counts_draws_and_says_what_it_left_out(study: optuna.Study):
    study.enqueue_trial({"x": 0.999})
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=41)
    old = optuna.create_study(direction="maximize", study_name="old")
    old.add_trials([create_trial(value=17 * value % 40 / 40) for value in range(40)])
    comparison = judged_studies([study, old], Protocol(k=2), reading=Reading(sampler="random"))
    assert [arm.n for arm in comparison.arms] == [40, 40]
    assert any("1 trial whose setting was enqueued" in note for note in comparison.notes)


def test_a_setting_that_is_drawn_again_counts_once(study: optuna.Study):
    """Four workers with one seed: 40 trials of 10 settings."""
    for _ in range(4):
        study.sampler = optuna.samplers.RandomSampler(seed=7)
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=10)
    found = read(study)
    assert found.arm.scores.tolist() == [trial.value for trial in study.trials[:10]]
    assert any("30 trials repeat a setting that was drawn before" in note for note in found.notes)
    assert read(study, "tpe").arm.n == 40


def test_choices_alone_may_repeat(study: optuna.Study):
    study.optimize(lambda trial: trial.suggest_int("x", 0, 1) / 2, n_trials=30)
    assert read(study).arm.n == 30


def test_values_outside_their_range_were_not_drawn_there(study: optuna.Study):
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=30)
    outside = create_trial(value=7.5, params={"x": 0.5}, distributions=X)
    outside.params = {"x": 7.5}
    trials = (*study.get_trials(), outside)
    found = arm_of(replace(record_of(study), trials=trials), reading=Reading(sampler="random"))
    assert found.arm.n == 30 and found.arm.scores.max() < 1
    assert any("1 trial has values outside their range (x)" in note for note in found.notes)


def test_of_ranges_that_changed_in_mid_study_the_longer_ones_count(study: optuna.Study):
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=30)
    study.optimize(lambda trial: trial.suggest_float("x", 0.4, 0.6), n_trials=20)
    found = read(study)
    assert found.arm.ranges == {"x": "0 .. 1"} and found.arm.n == 30
    words = "the range of x changed in mid-study: 0 .. 1 (30 trials), then 0.4 .. 0.6 (20 trials)"
    assert f"new: {words}" in found.notes
    assert any("left out, as draws from another space: 20" in note for note in found.notes)
    learned = read(study, "tpe")
    assert learned.arm.n == 50 and f"new: {words}" in learned.notes


def test_ranges_that_each_trial_computes_are_one_space(study: optuna.Study):
    """A width that hangs on a choice, and one that hangs on a number."""

    def objective(trial: optuna.Trial) -> float:
        deep = trial.suggest_categorical("deep", (True, False))
        x = trial.suggest_float("x", 0, 0.2 if deep else 1)
        return trial.suggest_float("y", 0, x)

    study.optimize(objective, n_trials=60)
    found = read(study)
    assert found.arm.n == 60 and not any("mid-study" in note for note in found.notes)
