import warnings

import numpy as np
import pytest
from made_scores import plug_in_best_of_k
from opda.nonparametric import EmpiricalDistribution

from tuner.compare.statistics.bands import (
    noncrossing_probability,
    order_statistic_intervals,
    tuning_curve_band,
)


def test_noncrossing_probability_of_one_and_two_draws_has_its_closed_form() -> None:
    assert noncrossing_probability(np.array([0.2]), np.array([0.7])) == pytest.approx(0.5)
    # Both draws below .8, the lower one below .3, the upper one above .1.
    low, high = np.array([0.0, 0.1]), np.array([0.3, 0.8])
    by_hand = 2 * (0.3 * 0.8 - 0.3**2 / 2) - 0.1**2
    assert noncrossing_probability(low, high) == pytest.approx(by_hand)


def test_noncrossing_probability_agrees_with_simulation() -> None:
    low, high = order_statistic_intervals(30, 0.8)
    draws = np.sort(np.random.default_rng(0).random((40_000, 30)), axis=1)
    inside = ((low <= draws) & (draws <= high)).all(axis=1).mean()
    assert noncrossing_probability(low, high) == pytest.approx(0.8, abs=1e-3)
    assert inside == pytest.approx(0.8, abs=0.008)


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 17, 60])
def test_the_band_is_the_one_that_opda_simulates(n: int) -> None:
    scores = np.random.default_rng(n).random(n)
    ks = np.unique([1, 2, n // 3 + 1, n])
    lower, _, upper = EmpiricalDistribution.confidence_bands(
        scores, 0.95, 0.0, 1.0, generator=np.random.default_rng(0),
        method="ld_equal_tailed", n_jobs=1,
    )  # fmt: skip
    low, high = tuning_curve_band(scores, ks)
    assert low == pytest.approx(upper.average_tuning_curve(ks), abs=2e-3)
    assert high == pytest.approx(lower.average_tuning_curve(ks), abs=2e-3)


def test_the_band_holds_the_whole_true_curve_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    ks = np.arange(1, 41)
    held = 0
    for _ in range(400):
        low, high = tuning_curve_band(rng.random(40), ks)
        held += bool(((low <= ks / (ks + 1)) & (ks / (ks + 1) <= high)).all())
    assert held / 400 >= 0.93


def test_ties_and_a_single_trial_have_a_band_around_the_curve() -> None:
    for scores in (np.full(50, 0.9), np.array([0.4]), np.array([0.1] * 30 + [0.95] * 20)):
        ks = np.arange(1, scores.size + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            low, high = tuning_curve_band(scores, ks)
        curve = plug_in_best_of_k(scores, ks)
        assert (low <= curve + 1e-12).all() and (curve <= high + 1e-12).all()
        assert (low >= 0).all() and (high <= 1).all()


def test_scores_without_a_known_bound_have_no_band_on_that_side() -> None:
    scores = -np.random.default_rng(0).random(30)
    low, high = tuning_curve_band(scores, [1, 5], bounds=(-np.inf, 0.0))
    assert (low == -np.inf).all()
    assert np.isfinite(high).all()


@pytest.mark.parametrize(("n", "confidence"), [(1500, 0.95), (4000, 0.8), (17_000, 0.95)])
def test_intervals_of_many_draws_hold_together_as_often_as_stated(n: int, confidence: float):
    """Their level is extrapolated from fewer draws; the chance itself is exact."""
    low, high = order_statistic_intervals(n, confidence)
    tolerance = 2e-3 * (1 - confidence)
    assert noncrossing_probability(low, high) == pytest.approx(confidence, abs=tolerance)
