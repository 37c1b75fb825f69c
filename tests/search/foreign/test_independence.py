"""Random search is believed; what only calls itself so is not."""

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, create_trial

from tuner.search.foreign.arm import ForeignArm, Reading, arm_of
from tuner.search.foreign.independence import doubt, marked_sampler, uneven
from tuner.search.foreign.record import record_of

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(-1, 2),
    "rate": FloatDistribution(1e-6, 1e-1, log=True),
    "step": FloatDistribution(0, 1, step=0.25),
    "width": IntDistribution(16, 512, log=True),
    "layers": IntDistribution(1, 7),
    "even": IntDistribution(2, 20, step=2),
    "kind": CategoricalDistribution(("a", "b", "c")),
    "fixed": FloatDistribution(1, 1),
}


def objective(trial: optuna.Trial) -> float:
    settings = {name: trial._suggest(name, kind) for name, kind in SPACE.items()}
    return (settings["x"] - 1) ** 2 + abs(np.log10(settings["rate"]) + 3)


def searched(sampler: optuna.samplers.BaseSampler, n_trials: int = 60) -> optuna.Study:
    study = optuna.create_study(study_name="s", sampler=sampler)
    study.optimize(objective, n_trials=n_trials)
    return study


def read(study: optuna.Study) -> ForeignArm:
    return arm_of(record_of(study), reading=Reading(sampler="random"))


@pytest.mark.slow
def test_random_search_is_believed_nearly_always():
    """Of 300 studies at most two may be doubted, at a level of one in 1,000."""
    doubted = uneven_ones = 0
    for seed in range(300):
        study = searched(optuna.samplers.RandomSampler(seed=seed), 25)
        scores = -np.array([trial.value for trial in study.trials])
        doubted += doubt(study.trials, scores) is not None
        uneven_ones += uneven(study.trials) is not None
    assert doubted <= 2 and uneven_ones == 0


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        (optuna.samplers.TPESampler(seed=0, multivariate=True), "tpe"),
        (optuna.samplers.NSGAIISampler(seed=0, population_size=10), "nsgaii"),
        (optuna.samplers.GridSampler({"x": [0.0, 1.0]}), "grid"),
    ],
)
def test_samplers_are_known_by_their_marks(sampler: optuna.samplers.BaseSampler, name: str):
    study = optuna.create_study(study_name="s", sampler=sampler, direction="minimize")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=30)
    assert marked_sampler(record_of(study)) == name
    assert arm_of(record_of(study)).arm.sampler == name
    found = read(study)
    assert found.arm.sampler == name and not found.arm.random
    assert any(f"bear the marks of the sampler {name}" in note for note in found.notes)


def test_random_search_bears_no_marks():
    assert marked_sampler(record_of(searched(optuna.samplers.RandomSampler(seed=0), 5))) is None


@pytest.mark.parametrize("seed", range(3))
def test_tpe_passed_off_as_random_search_is_found_out(seed: int):
    learned = searched(optuna.samplers.TPESampler(seed=seed), 100)
    unmarked = optuna.create_study(study_name="s")
    for trial in learned.trials:
        trial.system_attrs = {}
        unmarked.add_trial(trial)
    found = read(unmarked)
    assert found.arm.sampler == "other"
    assert any("do not count as random draws" in note for note in found.notes)


def test_scores_with_a_trend_are_no_random_draws():
    scores = np.linspace(0, 1, 30)
    trials = [create_trial(value=score) for score in scores]
    assert "the scores rise with the trial number" in str(doubt(trials, scores))
    assert doubt(trials, np.random.default_rng(0).permutation(scores)) is None


def test_settings_that_come_closer_to_the_best_are_no_random_draws():
    """The scores say nothing; half of the trials lack one hyperparameter."""
    rng = np.random.default_rng(0)
    ranges = {"x": FloatDistribution(0, 1), "y": CategoricalDistribution(("a", "b"))}
    scores = rng.uniform(size=60)
    best = scores.argmax()

    def setting(number: int, width: float) -> dict[str, object]:
        kind = {"y": "a" if rng.uniform() > width else "b"} if number % 2 or number == best else {}
        return {"x": 0.5 if number == best else 0.5 + width * rng.uniform(-0.5, 0.5), **kind}

    def trials(closing: float) -> list[FrozenTrial]:
        settings = [setting(number, 1 - closing * number / 60) for number in range(60)]
        return [
            create_trial(
                value=score, params=made, distributions={key: ranges[key] for key in made}
            )
            for score, made in zip(scores, settings, strict=True)
        ]

    assert "the settings come closer to the best one" in str(doubt(trials(0.9), scores))
    assert doubt(trials(0.0), scores) is None


def test_a_search_that_draws_no_setting_twice_is_no_random_search():
    def few(trial: optuna.Trial) -> float:
        return trial.suggest_int("n", 1, 8) * trial.suggest_categorical("c", (1, 2, 3, 4, 5))

    study = optuna.create_study(study_name="s", sampler=optuna.samplers.RandomSampler(seed=0))
    study.optimize(few, n_trials=40)
    assert read(study).arm.sampler == "random"
    settings = [(n, c) for n in range(1, 9) for c in range(1, 6)]
    grid = optuna.create_study(study_name="s")
    for index in np.random.default_rng(0).permutation(40):
        n, c = settings[index]
        ranges = {"n": IntDistribution(1, 8), "c": CategoricalDistribution((1, 2, 3, 4, 5))}
        grid.add_trial(create_trial(value=n * c, params={"n": n, "c": c}, distributions=ranges))
    found = read(grid)
    assert found.arm.sampler == "other"
    assert any("none of 40 possible settings was drawn twice" in note for note in found.notes)


def test_values_of_one_part_of_a_range_are_spoken_of():
    study = optuna.create_study(study_name="s", sampler=optuna.samplers.RandomSampler(seed=0))
    distributions = {"x": FloatDistribution(0, 1)}
    values = np.random.default_rng(0).uniform(0.4, 0.6, 80)
    study.add_trials(
        [create_trial(value=v, params={"x": v}, distributions=distributions) for v in values]
    )
    found = read(study)
    assert any("the 80 values of x are not spread over" in note for note in found.notes)
    assert found.arm.sampler == "random"
