import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_filters import filters
from scipy import stats

from tuner.compare.evidence.predictions import Prediction, _in_space, _on_a_line
from tuner.compare.evidence.redundancy import Redundancy, redundancy, useful_cells
from tuner.compare.report.evidence_rows import FAILS, redundancy_rows
from tuner.compare.trial_filters import TrialFilters
from tuner.optim.equivalence.conditions import INERT
from tuner.optim.equivalence.record import describe
from tuner.rules import RULES

NAN = math.nan


def drawn(n: int, seed: int = 0) -> tuple[TrialFilters, np.ndarray]:
    """Random search of latent SGD whose score is a function of eta * lambda and momentum."""
    rng = np.random.default_rng(seed)
    rate, decay = 10 ** rng.uniform(-3, 0, n), 10 ** rng.uniform(-4, -1, n)
    gamma = 10 ** rng.uniform(-2, 0, n)
    scores = 1 - 0.03 * (np.log10(rate * decay) + 4) ** 2 - 0.05 * np.log10(gamma) ** 2
    return filters(rate * decay, gamma, learning_rate=rate, weight_decay=decay), scores


def found(of: Redundancy, coordinates: str) -> Prediction:
    return next(one for one in of.predictions if one.coordinates == coordinates)


# Classes


def test_trials_are_counted_by_hand_into_cells_of_a_quarter_of_a_decade():
    decays = ("constant", "constant", "cosine", "constant", "constant")
    arm = filters([1e-3, 1.2e-3, 1e-3, 1e-2, NAN], decay=decays)
    result = redundancy(arm, np.zeros(5), good=None)
    assert (result.cells.distinct, result.exact.distinct) == (3, 4)
    assert result.cells.repeats.value == 1 / 5
    assert result.cells.repeats.interval == pytest.approx((0.005051, 0.716418), abs=1e-6)
    assert result.exact.repeats.value == 0
    assert (result.n, result.without_filter.value) == (5, 1 / 5)


def test_a_value_on_a_border_shares_the_cell_above_it_whatever_its_rounding():
    borders = [10 ** (-k * 0.1) for k in range(30)]  # some a rounding error below the border
    for border in borders:
        pair = filters([border, min(1.0, border * 1.2)], cell=0.1)
        assert redundancy(pair, np.zeros(2), good=None).cells.distinct == 1
    assert redundancy(filters(borders, cell=0.1), np.zeros(30), good=None).cells.distinct == 30


def test_a_wider_grid_joins_classes():
    alphas = [1e-3, 3e-3, 9e-3]
    assert redundancy(filters(alphas), np.zeros(3), good=None).cells.distinct == 3
    assert redundancy(filters(alphas, cell=1.0), np.zeros(3), good=None).cells.distinct == 1


def test_filters_are_exactly_the_same_up_to_a_relative_1e_9_even_across_a_border():
    alphas = np.array([1e-3, 1e-3 * (1 - 5e-10), 1e-3 * (1 + 1e-8)])
    result = redundancy(filters(alphas), np.zeros(3), good=None)
    assert result.exact.distinct == 2
    assert result.exact.repeats.value == 1 / 3


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1e-5, 3e-5, 1e-3, 0.7, NAN]),
            st.sampled_from([0.01, 0.013, 1.0]),
            st.sampled_from(["constant", "step"]),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_the_number_of_classes_is_that_of_brute_force(trials: list[tuple[float, float, str]]):
    alpha, gamma, decay = zip(*trials, strict=True)
    gamma = [NAN if math.isnan(a) else g for a, g in zip(alpha, gamma, strict=True)]
    result = redundancy(filters(alpha, gamma, decay=decay), np.zeros(len(trials)), good=None)
    real = [(a, g, d) for a, g, d in zip(alpha, gamma, decay, strict=True) if a == a]
    cells = {(math.floor(4 * math.log10(a)), math.floor(4 * math.log10(g)), d) for a, g, d in real}
    assert result.exact.distinct == len(set(real))
    assert result.cells.distinct == len(cells)
    assert result.cells.repeats.value * result.n == pytest.approx(len(real) - len(cells))


# Budget


def test_inert_unstable_and_missing_filters_are_one_share_without_double_counting():
    violated = {
        "alpha_not_inert": [True, True, False, False, False, False],
        "stable": [False, True, True, False, False, False],
        "clip_inactive": [False, False, False, False, True, False],
    }
    arm = filters([1e-3, 1e-3, 1e-3, NAN, 1e-3, 1e-3], violated=violated)
    result = redundancy(arm, np.zeros(6), good=None)
    assert result.unusable.value == 4 / 6
    assert result.any_violated.value == 4 / 6
    assert {name: share.value for name, share in result.conditions.items()} == {
        "alpha_not_inert": 2 / 6,
        "stable": 2 / 6,
        "clip_inactive": 1 / 6,
    }
    exact = pytest.approx((0.004211, 0.641235), abs=1e-6)
    assert result.conditions["clip_inactive"].interval == exact


def test_a_trial_is_outside_where_no_arm_has_a_good_trial_in_its_cell():
    scores = np.array([0.9, 0.5, 0.5, 0.95])
    ours = filters([1e-3, 1.1e-3, 1e-2, NAN])
    theirs = useful_cells(filters([1.1e-2]), np.array([0.9]), 0.9)
    alone = redundancy(ours, scores, good=0.9)
    together = redundancy(ours, scores, good=0.9, useful=theirs)
    assert alone.outside is not None and together.outside is not None
    assert (alone.outside.value, together.outside.value) == (2 / 4, 1 / 4)
    assert together.good_without_filter == 1


def test_useful_cells_hold_the_decay_and_no_trial_below_the_good_score():
    arm = filters([1e-3, 1e-3, 1e-2], decay=("step", "linear", "step"))
    assert useful_cells(arm, np.array([0.9, 0.8, 0.7]), 0.8) == {
        ("step", -12, -4),
        ("linear", -12, -4),
    }


def test_nothing_is_outside_or_good_where_nothing_is_declared_good():
    result = redundancy(filters([1e-3, NAN]), np.ones(2), good=None)
    assert (result.outside, result.good_without_filter) == (None, 0)


# Predictions


def twin(points: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Leave-one-out means of the nearest neighbours, trial by trial over all distances."""
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    k = max(5, round(math.sqrt(len(scores))))
    guesses = []
    for i in range(len(scores)):
        distances = np.linalg.norm(scaled - scaled[i], axis=1)
        distances[i] = math.inf
        guesses.append(np.sort(scores[np.argsort(distances)[:k]]).mean())
    return np.array(guesses)


@pytest.mark.slow
def test_correlation_and_interval_are_those_of_halves_predicted_trial_by_trial():
    arm, scores = drawn(60)
    scores = np.round(scores, 1)  # with ties
    points, rng = np.log10(np.stack([arm.alpha, arm.gamma], axis=1)), np.random.default_rng(3)

    def correlation(rows: np.ndarray) -> float:
        guesses = twin(points[rows], scores[rows])
        return float(stats.spearmanr(scores[rows], guesses).statistic)

    halves = [correlation(rng.choice(60, 30, replace=False)) for _ in range(200)]
    half = 1.959964 * np.std(np.arctanh(halves), ddof=1)
    value = correlation(np.arange(60))
    one = found(redundancy(arm, scores, good=None, seed=3), "alpha and gamma").correlation
    assert one is not None
    assert one.value == pytest.approx(value, abs=1e-12)
    expected = np.tanh(np.arctanh(value) + np.array([-half, half]))
    assert one.interval == pytest.approx(tuple(expected), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(6, 5), (20, 5), (500, 22)])
def test_the_nearest_on_a_line_are_those_in_space(n: int, k: int):
    values = np.random.default_rng(n).normal(size=n)
    ours, theirs = np.sort(_on_a_line(values, k)), np.sort(_in_space(values[:, None], k))
    assert (ours == theirs).all()


def test_the_filter_predicts_what_neither_rate_alone_does():
    result = redundancy(*drawn(200), good=None)
    value = {p.coordinates: p.correlation.value for p in result.predictions if p.correlation}
    assert value["alpha and gamma"] > 0.8
    assert value["learning rate * weight decay"] == pytest.approx(value["alpha"], abs=1e-9)
    assert max(value["learning rate"], value["weight decay"]) < value["alpha"]
    for one in result.predictions[1:]:
        assert one.lead is not None and one.lead.low is not None
        assert one.lead.low > 0, one.coordinates
        assert one.lead.value == pytest.approx(value["alpha and gamma"] - value[one.coordinates])


@pytest.mark.slow
def test_all_coordinates_are_judged_on_the_same_trials():
    arm, scores = drawn(40)
    alpha, gamma, decay = arm.alpha.copy(), arm.gamma.copy(), arm.weight_decay.copy()
    alpha[:5], gamma[:5], decay[5:7] = NAN, NAN, 0.0
    some = filters(alpha, gamma, learning_rate=arm.learning_rate, weight_decay=decay)
    result = redundancy(some, scores, good=None)
    rest = filters(
        alpha[7:], gamma[7:], learning_rate=arm.learning_rate[7:], weight_decay=decay[7:]
    )
    assert result.predictions == redundancy(rest, scores[7:], good=None).predictions
    assert {one.n for one in result.predictions} == {33}


def test_many_trials_at_one_point_do_not_predict_themselves():
    n = 40
    alpha = np.where(np.arange(n) < n // 2, 1e-3, 1e-2)
    gamma = np.where(np.arange(n) % 2, 0.1, 0.5)
    scores = np.random.default_rng(1).normal(size=n)
    one = found(redundancy(filters(alpha, gamma), scores, good=None), "alpha and gamma")
    assert one.correlation is not None and one.correlation.value < 0.5


@pytest.mark.parametrize("n", [1, 2, 3, 19])
def test_too_few_trials_have_shares_and_no_prediction(n: int):
    arm, scores = drawn(n)
    result = redundancy(arm, scores, good=float(scores.max()))
    assert result.cells.distinct + round(result.cells.repeats.value * n) == n
    for one in result.predictions:
        assert (one.correlation, one.lead, one.n) == (None, None, n)
        assert one.reason == f"needs 20 trials that have all of the arm's coordinates, got {n}"


@pytest.mark.parametrize(
    ("changes", "coordinates", "reason"),
    [
        ({"gamma": np.full(20, 0.1)}, "alpha and gamma", "alpha and gamma: the same in every"),
        ({"learning_rate": np.full(20, 0.1)}, "learning rate", "learning rate: the same in every"),
        ({"weight_decay": np.full(20, NAN)}, "weight decay", "no trial has weight decay"),
        ({"weight_decay": np.zeros(20)}, "weight decay", "no trial has weight decay"),
    ],
)
def test_a_constant_or_missing_coordinate_has_a_reason(
    changes: dict[str, Any], coordinates: str, reason: str
):
    arm, scores = drawn(20)
    known = {"learning_rate": arm.learning_rate, "weight_decay": arm.weight_decay}
    arm = filters(arm.alpha, **({"gamma": arm.gamma} | known | changes))
    result = redundancy(arm, scores, good=None)
    one = found(result, coordinates)
    assert one.correlation is None and one.reason is not None and one.reason.startswith(reason)
    assert found(result, "alpha").correlation is not None


def test_equal_scores_are_not_predicted():
    arm, scores = drawn(30)
    for one in redundancy(arm, np.full_like(scores, 0.1), good=0.5).predictions:
        assert (one.correlation, one.reason) == (None, "all scores are equal")


def test_a_single_different_score_has_a_correlation_without_an_interval():
    arm, _ = drawn(30)
    one = found(redundancy(arm, np.eye(30)[4], good=None), "alpha")
    assert one.correlation is not None and one.correlation.interval is None


def test_an_arm_without_any_real_filter_is_told_as_such():
    arm, scores = drawn(20)
    nothing = np.full(20, NAN)
    bare = filters(nothing, learning_rate=arm.learning_rate, weight_decay=arm.weight_decay)
    result = redundancy(bare, scores, good=0.0)
    assert (result.cells.distinct, result.without_filter.value) == (0, 1)
    assert result.outside is not None and result.outside.value == 1
    assert found(result, "alpha and gamma").reason == "no trial has alpha and gamma"
    rate = found(result, "learning rate")
    assert rate.correlation is not None and rate.lead is None


@pytest.mark.slow
def test_the_seed_decides_every_number():
    arm, scores = drawn(50)
    assert redundancy(arm, scores, good=0.9, seed=4) == redundancy(arm, scores, good=0.9, seed=4)
    first, other = (redundancy(arm, scores, good=0.9, seed=seed) for seed in (4, 5))
    assert first.predictions != other.predictions


@pytest.mark.slow
def test_a_lower_confidence_narrows_every_interval():
    widths = []
    for confidence in (0.95, 0.5):
        result = redundancy(*drawn(50), good=None, confidence=confidence)
        both = (result.cells.repeats.interval, result.predictions[0].correlation.interval)  # type: ignore[union-attr]
        widths.append([high - low for low, high in both])  # type: ignore[misc]
    assert np.all(np.array(widths[1]) < widths[0])


@pytest.mark.slow
def test_of_very_many_trials_4000_are_predicted_and_all_are_counted():
    arm, scores = drawn(20_000)
    result = redundancy(arm, scores, good=0.9)
    assert {one.n for one in result.predictions} == {4000}
    assert result.cells.distinct == len(
        {(a, g) for a, g in np.floor(4 * np.log10(np.c_[arm.alpha, arm.gamma])).tolist()}
    )
    assert result.n == 20_000


# Rows


def test_every_condition_of_every_rule_has_a_readable_name():
    assert {one.name for rule in RULES for one in describe(rule, {}).conditions} == set(FAILS)


def test_a_row_says_what_is_the_case_where_a_condition_fails_and_what_inert_means():
    violated = {"clip_inactive": [True, False], "alpha_not_inert": [False, True]}
    rows = dict(
        redundancy_rows(
            [redundancy(filters([1e-3] * 2, violated=violated), np.ones(2), good=None)]
        )
    )
    assert rows["a condition of the equivalence fails"][0].startswith("100.0%")
    for name in ("the clip can be reached", "alpha is inert, too small to matter in the run"):
        assert rows[f"because {name}"][0].startswith("50.0%")
    assert f"no filter, unstable, or inert (alpha < {INERT:g} / steps)" in rows


@pytest.mark.parametrize(
    ("measured", "told"),
    [([0.02, NAN], "2.00, 1 trial"), ([0.02, 0.01], "1.50 (1.05 to 1.95), 2 trials")],
)
def test_the_ratio_of_a_single_trial_has_no_interval(measured: list[float], told: str):
    one = filters([1e-3] * 2, flip_ratio_law=[0.01] * 2, flip_ratio_measured=measured)
    rows = dict(redundancy_rows([redundancy(one, np.ones(2), good=None)]))
    assert rows["flip ratio, measured / law"] == [told]
