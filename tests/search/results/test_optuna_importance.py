from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.compare.statistics.ranking import Importance
from tuner.errors import InvalidInput
from tuner.search.results.optuna_importance import (
    DEPTH,
    FANOVA,
    MOST,
    PED_ANOVA,
    TREES,
    _evaluated,
    importances,
)
from tuner.search.results.scores import score

LINEAR = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(0.0, 1.0),
    "kind": CategoricalDistribution(("a", "b", "c")),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """As an open database has it: not one line per resample."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


def drawn(
    n: int, space: dict[str, Any], value: Callable[[dict[str, Any]], float], seed: int = 0
) -> tuple[list[FrozenTrial], np.ndarray]:
    """Random search over the space: its trials and their scores."""
    rng = np.random.default_rng(seed)
    trials = []
    for _ in range(n):
        params: dict[str, Any] = {}
        for name, range_ in space.items():
            if isinstance(range_, CategoricalDistribution):
                params[name] = range_.choices[rng.integers(len(range_.choices))]
            elif range_.log:
                drawn_log = rng.uniform(np.log(range_.low), np.log(range_.high))
                params[name] = float(np.clip(np.exp(drawn_log), range_.low, range_.high))
            else:
                params[name] = float(rng.uniform(range_.low, range_.high))
            if isinstance(range_, IntDistribution):
                params[name] = int(params[name])
        trials.append(create_trial(params=params, distributions=space, value=value(params)))
    return trials, np.array([trial.value for trial in trials])


def shares(found: Importance, method: str) -> dict[str, float]:
    return {name: share.value for name, share in found.rankings[method].shares.items()}


@pytest.mark.slow
def test_both_methods_find_the_one_hyperparameter_that_matters():
    found = importances(*drawn(100, LINEAR, lambda p: p["x"]), resamples=20)
    assert (found.reason, found.left_out, found.notes) == (None, {}, ())
    assert (found.n, found.n_used, found.resamples) == (100, 100, 20)
    for method in (PED_ANOVA, FANOVA):
        ranked = found.rankings[method]
        assert next(iter(ranked.shares)) == "x"
        assert ranked.shares["x"].value > 0.9
        assert sum(share.value for share in ranked.shares.values()) == pytest.approx(1)
        assert ranked.effective.value == 1
        for share in ranked.shares.values():
            assert share.interval is not None
            assert share.interval[0] <= share.value <= share.interval[1]
        assert ranked.shares["x"].low > 0.5 > ranked.shares["y"].high  # type: ignore[operator]


@pytest.mark.slow
def test_without_logarithms_the_numbers_are_those_of_optuna_itself():
    trials, scores = drawn(60, LINEAR, lambda p: p["x"] + 0.3 * p["y"] * (p["kind"] == "a"))
    found = importances(trials, scores, resamples=0, seed=7)
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    seed = int(np.random.default_rng(7).integers(2**31))
    for method, evaluator in (
        (PED_ANOVA, PedAnovaImportanceEvaluator()),
        (FANOVA, FanovaImportanceEvaluator(n_trees=TREES, max_depth=DEPTH, seed=seed)),
    ):
        expected = optuna.importance.get_param_importances(study, evaluator=evaluator)
        assert shares(found, method) == pytest.approx(expected, abs=1e-12)
        assert all(one.interval is None for one in found.rankings[method].shares.values())


@pytest.mark.slow
def test_a_logarithmic_range_counts_as_its_logarithm():
    log_range = {"x": FloatDistribution(1e-6, 1.0, log=True), "y": FloatDistribution(0.0, 1.0)}
    trials, scores = drawn(80, log_range, lambda p: -abs(np.log10(p["x"]) + 3) + 2 * p["y"])
    plain = {"x": FloatDistribution(-6.0, 0.0), "y": FloatDistribution(0.0, 1.0)}
    renamed = [
        create_trial(
            params={**trial.params, "x": np.log10(trial.params["x"])},
            distributions=plain,
            value=trial.value,
        )
        for trial in trials
    ]
    found = importances(trials, scores, resamples=5)
    assert found == importances(renamed, scores, resamples=5)
    assert shares(found, FANOVA)["x"] > 0.5


@pytest.mark.slow
def test_integers_on_a_logarithmic_range_are_assessed():
    space = {"width": IntDistribution(8, 512, log=True), "y": FloatDistribution(0.0, 1.0)}
    found = importances(*drawn(40, space, lambda p: np.log(p["width"])), resamples=0)
    assert shares(found, FANOVA)["width"] > 0.9


@pytest.mark.slow
def test_two_that_matter_equally_are_both_counted():
    space = {name: FloatDistribution(0.0, 1.0) for name in ("a", "b", "c", "d", "e")}
    found = importances(*drawn(200, space, lambda p: p["a"] + p["b"]), resamples=10)
    assert found.rankings[FANOVA].effective.value == 2
    assert found.rankings[FANOVA].effective.interval == (2, 2)


@pytest.mark.slow
def test_an_interaction_is_what_single_hyperparameters_leave_unexplained():
    space = {name: FloatDistribution(-1.0, 1.0) for name in ("a", "b")}
    product = importances(*drawn(200, space, lambda p: p["a"] * p["b"]), resamples=0)
    sums = importances(*drawn(200, space, lambda p: p["a"] + p["b"]), resamples=0)
    assert product.rankings[FANOVA].total.value < 0.4
    assert sums.rankings[FANOVA].total.value > 0.8


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": FloatDistribution(0.5, 0.5)}, "it is fixed: every trial has the same value"),
        ({"kind": CategoricalDistribution(("a",))}, "it is fixed: every trial has the same value"),
    ],
)
def test_a_fixed_hyperparameter_has_no_importance(change: dict[str, Any], reason: str):
    found = importances(*drawn(30, LINEAR | change, lambda p: p["y"]), resamples=3)
    assert found.left_out == dict.fromkeys(change, reason)
    assert set(found.rankings[FANOVA].shares) == LINEAR.keys() - change.keys()


def test_a_hyperparameter_that_always_had_the_same_value_is_fixed_whatever_its_range():
    trials, scores = drawn(30, LINEAR, lambda p: p["y"])
    for trial in trials:
        trial.params = {**trial.params, "x": 0.25}
    found = importances(trials, scores, resamples=3)
    assert found.left_out == {"x": "it is fixed: every trial has the same value"}


def test_a_conditional_hyperparameter_or_one_of_two_ranges_is_left_out_and_said_so():
    first, _ = drawn(15, LINEAR, lambda p: p["y"])
    wider = {"x": FloatDistribution(0.0, 2.0), "y": LINEAR["y"]}
    second, _ = drawn(15, wider, lambda p: p["y"], seed=1)
    scores = np.array([trial.value for trial in first + second])
    found = importances(first + second, scores, resamples=3)
    assert found.left_out == {
        "kind": "only 15 of 30 trials have it",
        "x": "its range differs between trials (2 ranges)",
    }
    assert shares(found, PED_ANOVA) == {"y": 1}


@pytest.mark.parametrize("n", [1, 2, 3, 19])
def test_fewer_than_20_trials_have_no_importance(n: int):
    found = importances(*drawn(n, LINEAR, lambda p: p["x"]))
    assert (found.rankings, found.n) == ({}, n)
    assert found.reason == f"needs at least 20 finished trials, got {n}"


def test_equal_scores_have_no_importance():
    found = importances(*drawn(25, LINEAR, lambda _: 0.1))
    assert (found.rankings, found.reason) == ({}, "all 25 scores are equal (0.1)")


def test_a_space_in_which_nothing_varies_has_no_importance():
    trials, _ = drawn(25, {"x": FloatDistribution(0.5, 0.5)}, lambda _: 0.1)
    found = importances(trials, np.arange(25.0))
    assert found.reason == "no hyperparameter varies over one range in all trials"
    assert set(found.left_out) == {"x"}


def test_where_the_best_tenth_ties_with_the_worst_only_fanova_speaks():
    trials, _ = drawn(60, LINEAR, lambda _: 0.9)
    scores = np.where([trial.params["x"] > 0.95 for trial in trials], 1.0, 0.0)
    assert 0 < scores.sum() < 6
    found = importances(trials, scores, resamples=5)
    assert set(found.rankings) == {FANOVA}
    assert found.reason == "PED-ANOVA: the best tenth of the trials ties with the worst"


@pytest.mark.slow
def test_a_single_different_score_ends_in_numbers_or_words_but_in_no_error():
    trials, _ = drawn(20, LINEAR, lambda _: 0.9)
    found = importances(trials, np.eye(20)[3], resamples=40)
    assert all(
        share.interval is None
        for ranked in found.rankings.values()
        for share in ranked.shares.values()
    )


def test_a_forest_that_saw_one_score_only_has_no_importances():
    trials, _ = drawn(20, LINEAR, lambda p: float(p["x"] > 0.93))
    assert sum(trial.value or 0 for trial in trials) == 1
    forests = [_evaluated(trials, ["x", "y"], seed, 1)[FANOVA] for seed in range(20)]
    assert 0 < sum(not forest.any() for forest in forests) < 20


def test_failed_and_diverged_trials_keep_the_score_of_chance():
    trials, _ = drawn(60, LINEAR, lambda _: 0.9)
    broken = [trial.params["x"] < 0.4 for trial in trials]
    for trial, failed in zip(trials, broken, strict=True):
        if failed:
            trial.state, trial.values = TrialState.FAIL, None
    found = importances(trials, score(trials, "old", worst=0.1), resamples=3)
    assert found.n_used == 60
    assert shares(found, FANOVA)["x"] > 0.9


@pytest.mark.slow
def test_trials_that_failed_before_a_hyperparameter_was_drawn_are_counted_out_loud():
    trials, scores = drawn(30, LINEAR, lambda p: p["x"])
    bare = create_trial(state=TrialState.FAIL)
    found = importances([bare, *trials], np.concatenate([[0.0], scores]), resamples=3)
    assert (found.n, found.n_used) == (31, 30)
    assert found.notes == ("1 of 31 trials have no hyperparameters and are left out.",)
    assert found.left_out == {}
    assert found.rankings == importances(trials, scores, resamples=3).rankings


@pytest.mark.slow
def test_of_many_trials_some_are_used_and_it_is_said():
    space = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    found = importances(*drawn(MOST + 200, space, lambda p: p["x"]), resamples=2)
    assert (found.n, found.n_used) == (MOST + 200, MOST)
    assert found.notes[0].startswith(
        f"Computed from {MOST} of {MOST + 200} trials, drawn at random"
    )
    assert shares(found, PED_ANOVA)["x"] > 0.9


@pytest.mark.slow
def test_the_seed_decides_every_number():
    trials, scores = drawn(40, LINEAR, lambda p: p["x"] + p["y"])
    first, again, other = (importances(trials, scores, seed=s, resamples=4) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (np.zeros(3), {}, "one finite score for each of 25 trials, got shape .3. with 3 finite"),
        (np.full(25, np.nan), {}, "with 0 finite; score a failed trial as chance"),
        (np.zeros(25), {"resamples": -1}, "importances.resamples: must be at least 0, got -1"),
        (
            np.arange(25.0),
            {"confidence": 0.0},
            r"confidence: must be in \(0, 1\), got 0",
        ),
    ],
)
def test_what_does_not_fit_is_refused(scores: np.ndarray, options: dict[str, Any], message: str):
    trials, _ = drawn(25, LINEAR, lambda p: p["x"])
    with pytest.raises(InvalidInput, match=message):
        importances(trials, scores, **({"resamples": 0} | options))
