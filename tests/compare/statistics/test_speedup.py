from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from tuner.compare.statistics.speedup import (
    chance_to_win,
    share_ratio_interval,
    share_ratio_score,
    speedup_in_cost,
    speedup_in_trials,
)
from tuner.errors import InvalidInput


def hits(count: int, n: int) -> np.ndarray:
    return np.arange(n) < count


def test_few_hits_have_the_exact_interval_of_two_poisson_counts() -> None:
    # 12 of 12 hits are the new space's: its share of the hits is at least .025^(1/12).
    low, high = share_ratio_interval((12, 0), (60, 60))
    least = 0.025 ** (1 / 12)
    assert low == pytest.approx(least / (1 - least)) and high == np.inf
    low, high = share_ratio_interval((26, 2), (60, 60))
    assert (low, high) == pytest.approx((3.254690, 113.018628), rel=1e-6)
    # One hit of two: 1 - (1 - p)^2 = .025 at the lower end.
    low, high = share_ratio_interval((1, 1), (1, 1))
    assert (low, 1 / high) == pytest.approx((0.975**-0.5 - 1, 0.975**-0.5 - 1))


def test_the_score_statistic_uses_the_most_likely_shares_of_that_ratio() -> None:
    x, y, n, m, theta = 12, 5, 60, 40, 2.5

    def unlikely(p: float) -> float:
        return -float(stats.binom.logpmf(x, n, theta * p) + stats.binom.logpmf(y, m, p))

    p = optimize.minimize_scalar(unlikely, bounds=(1e-6, 0.399), method="bounded",
                                 options={"xatol": 1e-12}).x  # fmt: skip
    variance = theta * p * (1 - theta * p) / n + theta**2 * p * (1 - p) / m
    by_hand = (x / n - theta * y / m) / np.sqrt(variance * 100 / 99)
    assert share_ratio_score((x, y), (n, m), theta) == pytest.approx(by_hand, rel=1e-5)
    # At theta = 1 both have the pooled share: .1 / sqrt(2 (17/120) (103/120) / 60 * 120/119).
    pooled = 7 / 60 / np.sqrt(17 * 103 / 120**2 / 30 * 120 / 119)
    assert share_ratio_score((12, 5), (60, 60), 1.0) == pytest.approx(pooled)


def test_many_hits_have_the_score_interval() -> None:
    low, high = share_ratio_interval((12, 5), (60, 60))
    assert (low, high) == pytest.approx((0.941900, 6.261023), rel=1e-6)
    for bound, z in ((low, 1.959964), (high, -1.959964)):
        assert share_ratio_score((12, 5), (60, 60), bound) == pytest.approx(z, abs=1e-5)


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
)
def test_the_interval_holds_the_ratio_and_turns_round_with_the_arms(
    new: tuple[int, int], old: tuple[int, int]
) -> None:
    (n, x), (m, y) = new, old
    low, high = share_ratio_interval((x, y), (n, m))
    turned = share_ratio_interval((y, x), (m, n))
    assert 0 <= low < high
    assert (low == 0) == (x == 0) and (high == np.inf) == (y == 0)
    if y:
        assert low <= x * m / (n * y) <= high
    assert low == pytest.approx(1 / turned[1] if turned[1] else np.inf, rel=1e-6)


def test_the_speedup_in_trials_is_the_ratio_of_the_shares() -> None:
    speedup = speedup_in_trials(hits(12, 60), hits(5, 60))
    assert speedup.value == pytest.approx(float(Fraction(12, 5)))
    assert (speedup.low, speedup.high) == pytest.approx((0.941900, 6.261023), rel=1e-6)
    assert speedup.reason is None


def test_a_target_one_arm_never_reached_leaves_one_bound_and_says_so() -> None:
    lower = speedup_in_trials(hits(12, 60), hits(0, 60))
    assert lower.value is None and lower.high is None
    assert lower.low == pytest.approx(2.778597, rel=1e-6)
    assert lower.reason == (
        "only a lower bound can be given; hits: 12/60 in the new space, 0/60 in the old"
    )
    upper = speedup_in_trials(hits(0, 60), hits(12, 60))
    assert upper.value is None and upper.low is None
    assert upper.high == pytest.approx(1 / 2.778597, rel=1e-6)
    assert upper.reason is not None and "only an upper bound" in upper.reason


def test_a_target_no_arm_reached_gives_no_estimate() -> None:
    none = speedup_in_trials(hits(0, 60), hits(0, 1))
    assert (none.value, none.low, none.high) == (None, None, None)
    assert none.reason is not None and "neither space reached the target" in none.reason
    costs = speedup_in_cost(
        hits(0, 60), hits(0, 60), new_costs=np.arange(60.0), old_costs=np.arange(60.0)
    )
    assert costs.value is None and costs.high is None
    assert costs.reason is not None and "neither space" in costs.reason


def test_trials_that_all_cost_the_same_scale_the_interval() -> None:
    new, old = hits(12, 60), hits(5, 60)
    by_trials = speedup_in_trials(new, old)
    by_cost = speedup_in_cost(new, old, new_costs=np.full(60, 2.0), old_costs=np.full(60, 3.0))
    assert by_trials.value and by_trials.low and by_trials.high
    assert (by_cost.value, by_cost.low, by_cost.high) == pytest.approx(
        (1.5 * by_trials.value, 1.5 * by_trials.low, 1.5 * by_trials.high)
    )


def test_costs_that_vary_widen_the_interval_and_costly_hits_move_it() -> None:
    rng = np.random.default_rng(0)
    new, old = rng.permutation(hits(20, 60)), rng.permutation(hits(15, 60))
    costs = rng.lognormal(0, 1, 60)
    varied = speedup_in_cost(new, old, new_costs=costs, old_costs=costs)
    alike = speedup_in_trials(new, old)
    assert varied.low and varied.high and alike.low and alike.high
    assert varied.value == pytest.approx(alike.value)
    assert varied.low < alike.low and alike.high < varied.high
    # Hits that cost more by themselves take back part of what more hits gain.
    dear = np.where(new, 3.0, 1.0), np.where(old, 3.0, 1.0)
    tied = speedup_in_cost(new, old, new_costs=dear[0], old_costs=dear[1])
    assert tied.low and tied.high
    assert tied.high / tied.low < alike.high / alike.low


def test_a_batch_that_shares_its_time_is_one_observation_of_it() -> None:
    new, old, batches = hits(24, 48), hits(12, 48), np.repeat(np.arange(4), 12)
    shared = np.random.default_rng(0).lognormal(0, 0.5, 4)[batches]
    each = speedup_in_cost(new, old, new_costs=shared, old_costs=shared)
    batched = speedup_in_cost(
        new, old, new_costs=shared, old_costs=shared, new_batches=batches, old_batches=batches
    )
    assert each.value == batched.value
    assert each.low and each.high and batched.low and batched.high
    assert batched.high / batched.low > 1.5 * each.high / each.low
    one = np.zeros(48, dtype=np.int64)
    alone = speedup_in_cost(
        new, old, new_costs=shared, old_costs=shared, new_batches=one, old_batches=batches
    )
    assert (alone.value, alone.low, alone.high) == (each.value, None, None)
    assert alone.reason is not None and "a single observation" in alone.reason


def test_one_arm_without_a_hit_still_bounds_the_speedup_in_cost() -> None:
    rng = np.random.default_rng(0)
    speedup = speedup_in_cost(
        hits(12, 60), hits(0, 60), new_costs=rng.random(60), old_costs=4 * rng.random(60)
    )
    assert speedup.value is None and speedup.high is None
    assert speedup.low is not None and 2.8 < speedup.low < 4 * 2.78


def test_unknown_costs_are_left_out_and_refused_where_none_is_left() -> None:
    new, old = hits(12, 60), hits(5, 60)
    costs = np.where(np.arange(60) % 2, 2.0, np.nan)
    half = speedup_in_cost(new, old, new_costs=costs, old_costs=np.full(60, 2.0))
    assert half.value == pytest.approx(2.4)
    nobody = speedup_in_cost(new, old, new_costs=np.full(60, np.nan), old_costs=np.full(60, 2.0))
    assert (nobody.value, nobody.low, nobody.high) == (None, None, None)
    assert nobody.reason == "needs two trials of each space with a known cost above 0"
    free = speedup_in_cost(new, old, new_costs=np.zeros(60), old_costs=np.full(60, 2.0))
    assert free.reason == nobody.reason


def test_all_trials_hitting_or_a_single_trial_have_an_interval() -> None:
    always = speedup_in_trials(hits(60, 60), hits(60, 60))
    assert always.value == 1 and always.low and always.high and always.low < 1 < always.high
    single = speedup_in_trials(hits(1, 1), hits(1, 1))
    assert single.value == 1 and single.low is not None and single.low < 0.03
    rng = np.random.default_rng(0)
    costs = speedup_in_cost(
        hits(60, 60), hits(60, 60), new_costs=rng.random(60) + 1, old_costs=rng.random(60) + 1
    )
    assert costs.low and costs.high and costs.value and costs.low < costs.value < costs.high


def test_twenty_thousand_trials_have_a_narrow_interval() -> None:
    speedup = speedup_in_trials(hits(2000, 20_000), hits(1000, 20_000))
    assert (speedup.low, speedup.high) == pytest.approx((1.858, 2.153), abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 25])
def test_the_chance_to_win_counts_every_pair_of_hits(n: int) -> None:
    share, better = 0.2, 0.7
    by_hand = sum(
        float(stats.binom.pmf(x, n, better) * stats.binom.pmf(y, n, share))
        for x in range(n + 1)
        for y in range(n + 1)
        if share_ratio_interval((x, y), (n, n))[0] > 1
    )
    assert by_hand > 0.1
    assert chance_to_win(n, share)(better) == pytest.approx(by_hand, abs=1e-9)


def test_what_cannot_be_a_trial_or_a_cost_is_refused() -> None:
    good = np.ones(3)
    with pytest.raises(InvalidInput, match=r"0 <= hits <= n and n >= 1, got 4/3"):
        share_ratio_interval((4, 1), (3, 3))
    with pytest.raises(InvalidInput, match=">= 1 trial, got 0 and 3"):
        speedup_in_trials(hits(0, 0), hits(1, 3))
    with pytest.raises(InvalidInput, match="new space: needs one cost per trial, got 2 for 3"):
        speedup_in_cost(hits(1, 3), hits(1, 3), new_costs=np.ones(2), old_costs=good)
    with pytest.raises(InvalidInput, match=r"old space: a cost must be >= 0 and finite.* got -1"):
        speedup_in_cost(hits(1, 3), hits(1, 3), new_costs=good, old_costs=np.array([1, -1, 1.0]))
