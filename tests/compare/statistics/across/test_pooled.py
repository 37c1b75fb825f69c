"""The speed-up over workloads: values by hand, misses, and simulated coverage."""

from functools import cache
from itertools import islice
from math import exp, inf, log, sqrt

import numpy as np
import pytest
from scipy import stats

from tests.compare.statistics.test_coverage import REPEATS, assert_covers
from tuner.compare.statistics.across.pooled import FEWEST_WORKLOADS, pooled_speedup, without_each
from tuner.compare.statistics.speedup import Speedup, speedup_in_trials

Z = stats.norm.ppf(0.975)


def measured(factor: float, error: float = 0.0) -> Speedup:
    return Speedup(factor, factor * exp(-Z * error), factor * exp(Z * error))


def at_least(factor: float) -> Speedup:
    return Speedup(None, factor, None, "only a lower bound can be given")


def at_most(factor: float) -> Speedup:
    return Speedup(None, None, factor, "only an upper bound can be given")


UNKNOWN = Speedup(None, None, None, "neither space reached the target")


def test_it_is_the_t_interval_of_the_logarithms():
    factors = [1.0, 2.0, 4.0, 8.0]
    pooled = pooled_speedup([measured(factor, 0.1) for factor in factors])
    y = np.log(factors)
    low, high = stats.t.interval(0.95, 3, y.mean(), stats.sem(y))
    assert pooled.speedup.value == pytest.approx(sqrt(8))  # the geometric mean
    assert (pooled.speedup.low, pooled.speedup.high) == pytest.approx((exp(low), exp(high)))
    assert pooled.between == pytest.approx(sqrt(y.var(ddof=1) - 0.01))
    further = stats.t.ppf(0.975, 3) * y.std(ddof=1) * sqrt(5 / 4)
    assert pooled.another is not None
    assert pooled.another.high == pytest.approx(sqrt(8) * exp(further))


def test_workloads_that_agree_by_chance_leave_what_each_was_measured_with():
    pooled = pooled_speedup([measured(3.0, 0.4)] * 4)
    assert pooled.between == 0
    assert pooled.speedup.low == pytest.approx(3 * exp(-Z * 0.4 / 2))
    assert pooled.speedup.high == pytest.approx(3 * exp(Z * 0.4 / 2))


def test_seen_from_the_old_arm_it_is_the_inverse():
    speedups = [measured(2.0, 0.3), measured(3.0, 0.2), measured(0.5, 0.1), measured(5.0, 0.4)]
    forward = pooled_speedup(speedups).speedup.inverse()
    backward = pooled_speedup([each.inverse() for each in speedups]).speedup
    for ours, theirs in zip(vars(forward).values(), vars(backward).values(), strict=True):
        assert ours == pytest.approx(theirs)


def test_a_miss_of_the_old_arm_counts_at_its_bound_and_leaves_a_lower_bound_alone():
    known = [measured(2.0, 0.1), measured(3.0, 0.1), measured(2.5, 0.1)]
    with_miss = pooled_speedup([*known, at_least(6.0)])
    assert with_miss.missed_by_old == 1
    assert (with_miss.speedup.value, with_miss.speedup.high, with_miss.between) == (None,) * 3
    assert with_miss.speedup.low == pytest.approx(
        pooled_speedup([*known, measured(6.0)]).speedup.low
    )
    assert "only a lower bound can be given: the old arm missed" in with_miss.speedup.reason
    turned = pooled_speedup([each.inverse() for each in [*known, at_least(6.0)]])
    assert turned.speedup.high == pytest.approx(1 / with_miss.speedup.low)
    assert (turned.speedup.low, turned.missed_by_new) == (None, 1)


def test_misses_on_both_sides_leave_no_bound():
    pooled = pooled_speedup([measured(2.0), at_least(3.0), at_most(0.5), measured(4.0)])
    assert vars(pooled.speedup) == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "the old arm missed the target on 1 workload and the new one on 1 other, so "
        "neither bound can be given",
    }


def test_a_workload_that_both_missed_says_nothing_and_is_counted():
    known = [measured(2.0), measured(3.0), measured(4.0), measured(5.0)]
    pooled = pooled_speedup([*known, UNKNOWN])
    assert pooled.speedup == pooled_speedup(known).speedup
    assert (pooled.n, pooled.left_out) == (4, 1)
    assert pooled_speedup([UNKNOWN]).speedup.value is None


def test_too_few_workloads_have_an_estimate_without_an_interval():
    pooled = pooled_speedup([measured(2.0)] * (FEWEST_WORKLOADS - 1))
    assert pooled.speedup.value == pytest.approx(2.0)
    assert (pooled.speedup.low, pooled.speedup.high, pooled.another) == (None,) * 3
    assert "an interval needs 4 workloads that an arm reached, got 3" in pooled.speedup.reason


def test_without_each_leaves_one_out_in_turn():
    factors = [1.0, 1.0, 1.0, 1.0, 16.0]
    values = [each.speedup.value for each in without_each([measured(f) for f in factors])]
    assert values == pytest.approx([2.0, 2.0, 2.0, 2.0, 1.0])


@cache
def of_counts(new: int, old: int, n: int) -> Speedup:
    return speedup_in_trials(np.arange(n) < new, np.arange(n) < old)


POPULATIONS = {
    "alike": lambda _, size: np.zeros(size),
    "normal": lambda rng, size: rng.normal(0, 0.7, size),
    "uniform": lambda rng, size: rng.uniform(-1.2, 1.2, size),
}


@pytest.mark.slow
@pytest.mark.parametrize("population", POPULATIONS)
@pytest.mark.parametrize(
    ("workloads", "n", "share"),
    [(FEWEST_WORKLOADS, 200, 0.2), (5, 40, 0.15), (5, 40, 0.03), (10, 40, 0.1), (10, 200, 0.1)],
)
def test_the_interval_covers_the_speedup_of_the_population(workloads, n, share, population):
    """With shares of .03 of 40 trials the old arm often misses: then the bounds stated count."""
    rng = np.random.default_rng([workloads, n, int(100 * share), len(population)])
    truth = log(3.0)

    def covered():
        while True:
            theta = truth + POPULATIONS[population](rng, workloads)
            old = np.minimum(share * np.exp(rng.normal(0, 0.5, workloads)), 0.97 / np.exp(theta))
            hits = zip(rng.binomial(n, old * np.exp(theta)), rng.binomial(n, old), strict=True)
            pooled = pooled_speedup([of_counts(int(x), int(y), n) for x, y in hits]).speedup
            low = -inf if pooled.low is None else log(pooled.low)
            yield low <= truth <= (inf if pooled.high is None else log(pooled.high))

    assert_covers(islice(covered(), REPEATS))
