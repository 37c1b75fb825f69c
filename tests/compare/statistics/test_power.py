import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.compare.made_scores import Quantile, diverging, near_normal
from tuner.compare.statistics.best_of_k import best_of_k_difference
from tuner.compare.statistics.endpoints import signed_rank_p
from tuner.compare.statistics.power import (
    detectable_difference,
    detectable_paired_effect,
    detectable_share_ratio,
    detectable_signed_rank_effect,
    detectable_unpaired_effect,
    smallest_signed_rank_p,
)
from tuner.compare.statistics.speedup import share_ratio_interval
from tuner.errors import InvalidInput


def test_five_pairs_never_reach_five_percent_and_six_do() -> None:
    assert [smallest_signed_rank_p(r) for r in (1, 5, 6, 10)] == [1, 0.0625, 0.03125, 2**-9]
    for r in (1, 5, 6, 10):
        assert signed_rank_p(np.arange(1.0, r + 1), np.zeros(r)) == (
            pytest.approx(smallest_signed_rank_p(r))
        )


def test_detectable_effects_have_the_tables_values() -> None:
    # Cohen (1988) and G*Power: two-sided .05, power .8.
    assert detectable_paired_effect(10).value == pytest.approx(0.9960, abs=1e-3)
    assert detectable_paired_effect(34).value == pytest.approx(0.4948, abs=1e-3)
    assert detectable_unpaired_effect(26).value == pytest.approx(0.792, abs=2e-3)
    assert detectable_unpaired_effect(64).value == pytest.approx(0.4990, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("r", [6, 10, 31])
def test_the_signed_rank_test_finds_its_effect_four_times_in_five(r: int) -> None:
    effect = detectable_signed_rank_effect(r).value
    assert effect is not None and effect > (detectable_paired_effect(r).value or np.inf)
    rng = np.random.default_rng(r)
    found = [signed_rank_p(rng.normal(effect, 1, r), np.zeros(r)) <= 0.05 for _ in range(1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_too_few_repeats_detect_nothing_and_say_why() -> None:
    assert detectable_signed_rank_effect(5).value is None
    assert detectable_signed_rank_effect(5).reason == (
        "5 pairs cannot give p below 0.0625, whatever they show"
    )
    assert detectable_signed_rank_effect(5, confidence=0.9).value is not None
    for alone in (detectable_paired_effect(1), detectable_unpaired_effect(1)):
        assert alone.value is None and alone.reason is not None and "at least two" in alone.reason
    two = detectable_paired_effect(2).value
    assert two is not None and two > 10


@pytest.mark.slow
@pytest.mark.parametrize(("n", "share"), [(20, 0.1), (60, 0.05)])
def test_a_detectable_ratio_is_found_with_the_chance_it_states(n: int, share: float) -> None:
    ratio = detectable_share_ratio(n, share).value
    assert ratio is not None
    by_hand = sum(
        float(stats.binom.pmf(x, n, ratio * share) * stats.binom.pmf(y, n, share))
        for x in range(n + 1)
        for y in range(n + 1)
        if share_ratio_interval((x, y), (n, n))[0] > 1
    )
    assert by_hand == pytest.approx(0.8, abs=1e-4)


@pytest.mark.slow
@given(st.floats(0.02, 0.3), st.integers(20, 300))
def test_more_trials_or_less_power_detect_smaller_ratios(share: float, n: int) -> None:
    few = detectable_share_ratio(n, share).value or np.inf
    many = detectable_share_ratio(4 * n, share).value or np.inf
    weak = detectable_share_ratio(n, share, power=0.5).value or np.inf
    assert 1 < many <= few and weak <= few


def test_shares_that_no_ratio_can_part_are_told() -> None:
    lost = detectable_share_ratio(5, 0.9)
    assert lost.value is None
    assert lost.reason is not None and lost.reason.startswith("5 trials are too few")
    assert detectable_share_ratio(1, 0.5).value is None


def test_twenty_thousand_trials_are_still_exact() -> None:
    ratio = detectable_share_ratio(20_000, 0.01).value
    assert ratio == pytest.approx(1.298, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("quantile", [diverging, near_normal])
@pytest.mark.parametrize(("n", "k"), [(60, 3), (200, 10)])
def test_the_detectable_difference_is_found_about_four_times_in_five(
    quantile: Quantile, n: int, k: int
) -> None:
    rng = np.random.default_rng(n)
    spread = quantile(rng.random((4000, k))).max(axis=1).std()
    unit, found = detectable_difference(n, k).value, {0.6: 0, 1.1: 0}
    assert unit is not None
    for times in found:
        for seed in range(200):
            a, b = quantile(rng.random(n)) + times * unit * spread, quantile(rng.random(n))
            found[times] += (best_of_k_difference(a, b, k, seed=seed, draws=200).low or 0) > 0
    assert found[0.6] / 200 < 0.85 and found[1.1] / 200 > 0.75


def test_the_detectable_difference_is_told_in_spreads_of_the_best_of_k() -> None:
    # k = 1: sqrt(2 / n) (t sqrt(n / (n - 1)) + z), t = 1.9623 at 999, z = .8416.
    assert detectable_difference(1000, 1).value == pytest.approx(
        np.sqrt(2 / 1000) * (1.9623 * np.sqrt(1000 / 999) + 0.8416), abs=1e-4
    )


def test_no_difference_is_detectable_where_no_interval_is_stated() -> None:
    short = detectable_difference(60, 10)
    assert short.value is None
    assert short.reason == "no interval of the best of 10 is stated below 100 trials"


def test_questions_without_an_answer_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"k must be in 1..n, got k=9 with n=8"):
        detectable_difference(8, 9)
    with pytest.raises(InvalidInput, match=r"power: must lie in \(0.05, 1\), got 1"):
        detectable_paired_effect(10, power=1.0)
    with pytest.raises(InvalidInput, match="n >= 1 and 0 < share < 1, got 60, 1"):
        detectable_share_ratio(60, 1.0)
    with pytest.raises(InvalidInput, match="r >= 1 pairs, got 0"):
        smallest_signed_rank_p(0)
