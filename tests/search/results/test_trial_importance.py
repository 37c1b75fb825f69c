from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.compare.statistics.ranking import METHOD, Importance
from tuner.errors import InvalidInput
from tuner.search.results.scores import score
from tuner.search.results.trial_importance import FEWEST, MOST, importances

LINEAR = {
    "x": FloatDistribution(0.0, 1.0),
    "y": FloatDistribution(0.0, 1.0),
    "kind": CategoricalDistribution(("a", "b", "c")),
}


def assessed(trials: list[FrozenTrial], scores: np.ndarray, **options: Any) -> Importance:
    return importances(trials, scores, **({"sampler": "random"} | options))


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


def shares(found: Importance) -> dict[str, float]:
    assert found.ranking is not None, found.reason
    return {name: share.value for name, share in found.ranking.shares.items()}


def test_the_one_hyperparameter_that_matters_is_found():
    found = assessed(*drawn(100, LINEAR, lambda p: p["x"]))
    assert (found.reason, found.left_out, found.notes) == (None, {}, ())
    assert (found.n, found.n_used, found.method) == (100, 100, METHOD)
    ranked = found.ranking
    assert ranked is not None
    assert next(iter(ranked.shares)) == "x"
    assert ranked.shares["x"].value > 0.9
    assert sum(share.value for share in ranked.shares.values()) == pytest.approx(1)
    assert ranked.effective.value == 1
    assert 0.8 < ranked.explained < 1
    for share in ranked.shares.values():
        assert share.interval is not None
        assert 0 <= share.interval[0] <= share.value <= share.interval[1] <= 1
    assert ranked.shares["x"].low > 0.5 > ranked.shares["y"].high  # type: ignore[operator]


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
    logs, exponents = shares(assessed(trials, scores)), shares(assessed(renamed, scores))
    assert logs == pytest.approx(exponents, abs=1e-9)
    assert logs["x"] > 0.5


@pytest.mark.parametrize("choices", [2, 4])
def test_a_categorical_hyperparameter_matters_as_its_integer_twin_does(choices: int):
    space = {
        "choice": CategoricalDistribution(tuple(f"choice {i}" for i in range(choices))),
        "integer": IntDistribution(0, choices - 1),
        "y": FloatDistribution(0.0, 1.0),
    }
    rng = np.random.default_rng(1)
    trials, scores = [], []
    for _ in range(200):
        level, integer, y = rng.integers(choices), int(rng.integers(choices)), rng.random()
        params = {"choice": f"choice {level}", "integer": integer, "y": y}
        scores.append((level + integer) / (choices - 1) + 0.2 * y)
        trials.append(create_trial(params=params, distributions=space, value=scores[-1]))
    found = assessed(trials, np.array(scores))
    assert shares(found)["choice"] == pytest.approx(shares(found)["integer"], rel=0.25)


def test_a_categorical_of_two_numbers_is_the_integer_of_the_two():
    trials, scores = drawn(80, {**LINEAR, "kind": IntDistribution(0, 1)}, lambda p: p["x"])
    scores = scores + np.array([0.5 * trial.params["kind"] for trial in trials])
    space = {**LINEAR, "kind": CategoricalDistribution((0, 1))}
    twins = [
        create_trial(params=trial.params, distributions=space, value=trial.value)
        for trial in trials
    ]
    assert assessed(trials, scores) == assessed(twins, scores)


def test_integers_on_a_logarithmic_range_are_assessed():
    space = {"width": IntDistribution(8, 512, log=True), "y": FloatDistribution(0.0, 1.0)}
    assert shares(assessed(*drawn(60, space, lambda p: np.log(p["width"]))))["width"] > 0.9


def test_two_that_matter_equally_are_both_counted():
    space = {name: FloatDistribution(0.0, 1.0) for name in ("a", "b", "c", "d", "e")}
    found = assessed(*drawn(200, space, lambda p: p["a"] + p["b"]))
    assert found.ranking is not None
    assert found.ranking.effective.value == 2
    assert found.ranking.effective.interval == (2, 2)


def test_an_interaction_counts_for_both_that_take_part():
    space = {name: FloatDistribution(-1.0, 1.0) for name in ("a", "b", "c", "d")}
    found = shares(assessed(*drawn(200, space, lambda p: p["a"] * p["b"])))
    assert found["a"] == pytest.approx(0.5, abs=0.1) == found["b"]


def test_nothing_but_the_order_of_the_scores_matters():
    trials, scores = drawn(80, LINEAR, lambda p: p["x"] + 0.5 * p["y"])
    scores[3] = scores.min() - 1
    exploded = np.where(np.arange(80) == 3, -np.finfo(float).max, scores)
    assert assessed(trials, exploded) == assessed(trials, scores)
    assert assessed(trials, np.exp(scores)) == assessed(trials, scores)


def test_ranges_as_wide_as_numbers_are_do_no_harm():
    most = np.finfo(float).max
    space = {"x": FloatDistribution(-most, most), "y": FloatDistribution(0.0, 1.0)}
    rng = np.random.default_rng(0)
    trials = [
        create_trial(
            params={"x": most * rng.uniform(-1, 1), "y": rng.random()},
            distributions=space,
            value=0.0,
        )
        for _ in range(80)
    ]
    found = assessed(trials, np.array([trial.params["x"] for trial in trials]))
    assert shares(found)["x"] > 0.9


def test_trials_that_do_not_tell_are_said_not_to():
    trials, _ = drawn(60, LINEAR, lambda _: 0.9)
    said = [assessed(trials, np.random.default_rng(seed).random(60)) for seed in range(5)]
    assert all(found.ranking is None for found in said)
    assert "these trials do not tell: a forest that learns from the others" in said[0].reason
    assert "standard errors are" in said[0].reason


@pytest.mark.parametrize(
    ("sampler", "reason"),
    [
        ("tpe", "the tpe sampler chose its trials by what it had seen"),
        ("other", "the other sampler chose its trials by what it had seen"),
        ("unknown", "nobody recorded the sampler, and only trials drawn at random tell"),
    ],
)
def test_only_trials_drawn_at_random_tell(sampler: str, reason: str):
    found = assessed(*drawn(80, LINEAR, lambda p: p["x"]), sampler=sampler)
    assert found.ranking is None
    assert found.reason is not None and found.reason.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"x": FloatDistribution(0.5, 0.5)}, "it is fixed: every trial has the same value"),
        ({"kind": CategoricalDistribution(("a",))}, "it is fixed: every trial has the same value"),
    ],
)
def test_a_fixed_hyperparameter_has_no_importance(change: dict[str, Any], reason: str):
    found = assessed(*drawn(60, LINEAR | change, lambda p: p["y"]))
    assert found.left_out == dict.fromkeys(change, reason)
    assert set(shares(found)) == LINEAR.keys() - change.keys()


def test_a_hyperparameter_that_always_had_the_same_value_is_fixed_whatever_its_range():
    trials, scores = drawn(60, LINEAR, lambda p: p["y"])
    for trial in trials:
        trial.params = {**trial.params, "x": 0.25}
    found = assessed(trials, scores)
    assert found.left_out == {"x": "it is fixed: every trial has the same value"}


def test_a_conditional_hyperparameter_or_one_of_two_ranges_is_left_out_and_said_so():
    first, _ = drawn(40, LINEAR, lambda p: p["y"])
    wider = {"x": FloatDistribution(0.0, 2.0), "y": LINEAR["y"]}
    second, _ = drawn(40, wider, lambda p: p["y"], seed=1)
    scores = np.array([trial.value for trial in first + second])
    found = assessed(first + second, scores)
    assert found.left_out == {
        "kind": "only 40 of 80 trials have it",
        "x": "its range differs between trials (2 ranges)",
    }
    assert shares(found) == {"y": 1}
    assert found.ranking is not None and found.ranking.shares["y"].interval == (1, 1)


@pytest.mark.parametrize("n", [1, 2, 3, FEWEST - 1])
def test_few_trials_have_no_importance(n: int):
    found = assessed(*drawn(n, LINEAR, lambda p: p["x"]))
    assert (found.ranking, found.n) == (None, n)
    assert found.reason == f"needs at least {FEWEST} finished trials, got {n}"


def test_equal_scores_have_no_importance():
    found = assessed(*drawn(65, LINEAR, lambda _: 0.1))
    assert (found.ranking, found.reason) == (None, "all 65 scores are equal (0.1)")


def test_a_space_in_which_nothing_varies_has_no_importance():
    trials, _ = drawn(65, {"x": FloatDistribution(0.5, 0.5)}, lambda _: 0.1)
    found = assessed(trials, np.arange(65.0))
    assert found.reason == "no hyperparameter varies over one range in all trials"
    assert set(found.left_out) == {"x"}


def test_a_single_different_score_tells_nothing():
    trials, _ = drawn(60, LINEAR, lambda _: 0.9)
    for place in range(4):
        found = assessed(trials, np.eye(60)[place])
        assert found.ranking is None and "do not tell" in (found.reason or "")


def test_two_levels_of_scores_tell_what_divides_them():
    trials, _ = drawn(100, LINEAR, lambda _: 0.9)
    scores = np.array([float(trial.params["x"] > 0.6) for trial in trials])
    assert shares(assessed(trials, scores))["x"] > 0.9


def test_failed_and_diverged_trials_keep_the_score_of_chance():
    trials, _ = drawn(60, LINEAR, lambda _: 0.9)
    broken = [trial.params["x"] < 0.4 for trial in trials]
    for trial, failed in zip(trials, broken, strict=True):
        if failed:
            trial.state, trial.values = TrialState.FAIL, None
    found = assessed(trials, score(trials, "old", worst=0.1))
    assert found.n_used == 60
    assert shares(found)["x"] > 0.9


def test_trials_that_failed_before_a_hyperparameter_was_drawn_are_counted_out_loud():
    trials, scores = drawn(60, LINEAR, lambda p: p["x"])
    bare = create_trial(state=TrialState.FAIL)
    found = assessed([bare, *trials], np.concatenate([[0.0], scores]))
    assert (found.n, found.n_used) == (61, 60)
    assert found.notes == ("1 of 61 trials has no hyperparameters and is left out.",)
    assert found.left_out == {}
    assert found.ranking == assessed(trials, scores).ranking


@pytest.mark.slow
def test_of_many_trials_some_are_used_and_it_is_said():
    space = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    found = assessed(*drawn(MOST + 200, space, lambda p: p["x"]))
    assert (found.n, found.n_used) == (MOST + 200, MOST)
    assert found.notes[0].startswith(
        f"Computed from {MOST} of {MOST + 200} trials, drawn at random"
    )
    assert shares(found)["x"] > 0.9


@pytest.mark.slow
def test_of_many_trials_that_are_nearly_all_equal_the_drawn_ones_may_be_equal():
    trials, _ = drawn(40 * MOST, {"x": FloatDistribution(0.0, 1.0)}, lambda _: 0.1)
    found = assessed(trials, np.eye(1, 40 * MOST, 7)[0])
    assert found.ranking is None
    assert found.reason == f"all {MOST} scores are equal (0)"


def test_the_seed_decides_every_number():
    trials, scores = drawn(60, LINEAR, lambda p: p["x"] + p["y"])
    first, again, other = (assessed(trials, scores, seed=s) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        (np.zeros(3), {}, "one finite score for each of 65 trials, got shape .3. with 3 finite"),
        (np.full(65, np.nan), {}, "with 0 finite; score a failed trial as chance"),
        (np.arange(65.0), {"confidence": 0.0}, r"confidence: must be in \(0, 1\), got 0"),
    ],
)
def test_what_does_not_fit_is_refused(scores: np.ndarray, options: dict[str, Any], message: str):
    trials, _ = drawn(65, LINEAR, lambda p: p["x"])
    with pytest.raises(InvalidInput, match=message):
        assessed(trials, scores, **options)
