"""Performance profiles against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.compare.statistics.across.profiles import (
    performance_profile,
    performance_ratios,
    round_factors,
)
from tuner.errors import InvalidInput

MISS = np.inf
COSTS = np.array([[2.0, 4.0], [10.0, 5.0], [3.0, MISS], [MISS, MISS], [7.0, 7.0]])


def test_a_ratio_is_to_the_least_cost_of_the_workload_and_a_miss_is_infinite():
    ratios = performance_ratios(COSTS)
    expected = [[1, 2], [2, 1], [1, MISS], [MISS, MISS], [1, 1]]
    np.testing.assert_array_equal(ratios, expected)


def test_a_workload_that_nobody_solved_stays_in_the_denominator():
    ratios = performance_ratios(COSTS)
    first = [each.value for each in performance_profile(ratios[:, 0], (1, 2, 1e9))]
    second = [each.value for each in performance_profile(ratios[:, 1], (1, 1.99, 2, 1e9))]
    assert first == [3 / 5, 4 / 5, 4 / 5]
    assert second == [2 / 5, 2 / 5, 3 / 5, 3 / 5]


def test_the_share_has_the_exact_interval_of_a_binomial_one():
    (share,) = performance_profile(np.ones(5), (1.0,))
    assert share.value == share.high == 1
    assert share.low == pytest.approx(0.025 ** (1 / 5))


def test_factors_of_a_table_double_until_every_finite_ratio_is_within():
    assert round_factors(np.array([1.0, 5.0, MISS])) == (1, 2, 4, 8)
    assert round_factors(np.array([1.0, 8.0])) == (1, 2, 4, 8)
    assert round_factors(np.array([MISS])) == (1, 2)


@pytest.mark.parametrize("cost", [0.0, -1.0, np.nan])
def test_a_cost_that_is_none_is_refused(cost):
    with pytest.raises(InvalidInput, match="needs a cost above 0 of each arm"):
        performance_ratios(np.array([[1.0, cost]]))


COST = st.one_of(st.floats(1e-3, 1e6), st.just(MISS))


@settings(max_examples=30)
@given(st.lists(st.tuples(COST, COST, COST), min_size=1, max_size=8))
def test_profiles_rise_and_somebody_is_best_wherever_anybody_is(rows):
    costs = np.array(rows)
    ratios = performance_ratios(costs)
    solved = np.isfinite(costs).any(axis=1)
    np.testing.assert_array_equal((ratios == 1).any(axis=1), solved)
    np.testing.assert_array_equal(np.isfinite(ratios), np.isfinite(costs))
    for arm in ratios.T:
        shares = [each.value for each in performance_profile(arm, (1, 2, 10, 1e12))]
        assert shares == sorted(shares)
        assert shares[-1] == np.isfinite(arm).mean()


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1), st.floats(0.1, 10))
def test_the_unit_of_a_workloads_cost_does_not_matter(rows, scale):
    costs = np.array(rows)
    np.testing.assert_allclose(performance_ratios(costs * scale), performance_ratios(costs))
