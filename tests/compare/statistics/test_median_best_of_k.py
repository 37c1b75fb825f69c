from itertools import combinations

import numpy as np
import pytest

from tuner.compare.statistics.median_best_of_k import (
    median_best_of_k,
    median_best_of_k_combinations,
    median_best_of_k_difference,
    median_curve_band,
    trials_for_median,
)


def median_best_of_k_interval(scores, k, **given):
    return median_best_of_k_combinations((scores,), [(1.0,)], k, **given)[0]


SCORES = np.array([0.7, 0.8, 0.6, 0.9, 0.75, 0.72])


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_it_is_the_median_over_all_draws_of_k_trials(k):
    bests = [max(draw) for draw in combinations(SCORES, k)]
    assert median_best_of_k(SCORES, [k])[0] == pytest.approx(np.median(bests))


def test_a_penalty_of_the_largest_float_changes_neither_value_nor_interval_ends():
    rng = np.random.default_rng(0)
    losses = -rng.normal(0.3, 0.01, 40)
    losses[losses.argmin()] = -1e6
    huge = np.where(losses == -1e6, -np.finfo(float).max, losses)
    other = -rng.normal(0.35, 0.01, 40)
    for k in (2, 4):
        a = median_best_of_k_difference(losses, other, k)
        b = median_best_of_k_difference(huge, other, k)
        assert a == b and a.interval is not None and a.interval[0] > 0


@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_fewest_trials_are_those_from_which_on_both_ends_are_finite(k):
    needed = trials_for_median(k)
    rng, few = np.random.default_rng(0), max(1, round(0.8 * needed))
    many, missing = (
        [median_best_of_k_difference(rng.random(n), rng.random(n), k, seed=s) for s in range(5)]
        for n in (needed + round(0.1 * needed), few)
    )
    assert all(each.interval is not None for each in many)
    assert all(each.interval is None for each in missing)


def test_too_few_trials_for_a_finite_end_have_no_interval():
    assert median_best_of_k_interval(np.arange(3.0), 1).interval is None
    assert median_best_of_k_interval(np.arange(3.0), 1, bounds=(0, 5)).interval is not None


def test_the_sum_over_one_arm_twice_is_centred_on_nothing():
    scores = np.random.default_rng(0).normal(size=60)
    (nothing,) = median_best_of_k_combinations((scores, scores), [(1.0, -1.0)], 3)
    assert nothing.value == 0 and nothing.low < 0 < nothing.high


@pytest.mark.parametrize(("n", "k"), [(10, 1), (20, 2), (100, 10)])
def test_the_interval_holds_the_quantile(n, k):
    rng, missed = np.random.default_rng(n), 0
    truth = 0.5 ** (1 / k)  # of uniform scores
    for seed in range(400):
        low, high = median_best_of_k_interval(rng.random(n), k, seed=seed, draws=400).interval
        missed += not low <= truth <= high
    assert missed / 400 <= 0.07


def test_the_band_holds_the_whole_curve():
    rng, missed, ks = np.random.default_rng(0), 0, [1, 2, 5, 10]
    truth = 0.5 ** (1 / np.array(ks))
    for _ in range(400):
        low, high = median_curve_band(rng.random(50), ks)
        missed += not ((low <= truth) & (truth <= high)).all()
    assert missed / 400 <= 0.07
