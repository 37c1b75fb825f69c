from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.compare.statistics.endpoints import (
    holm,
    mean_difference,
    mean_interval,
    signed_rank_p,
)
from tuner.errors import InvalidInput

PAIRED = np.array([0.55, 0.05, 0.75, 0.55, 0.35, 0.75, 0.55, 0.35])


def test_paired_runs_have_the_reference_values() -> None:
    estimate = mean_interval(PAIRED)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (0.4875, 0.29303, 0.68197), abs=1e-5
    )
    assert signed_rank_p(PAIRED, np.zeros(8)) == pytest.approx(0.0078125)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_wilcoxon_p_enumerates_every_sign(differences: list[int]) -> None:
    d = np.array(differences, dtype=float)
    ranks = np.where(d == 0, 0, stats.rankdata(np.abs(d)))
    observed = abs((ranks * np.sign(d)).sum())
    sums = [abs((ranks * signs).sum()) for signs in product([-1, 1], repeat=d.size)]
    by_hand = np.mean(np.array(sums) >= observed - 1e-9)
    assert signed_rank_p(d, np.zeros(d.size)) == pytest.approx(by_hand)


def test_five_pairs_can_never_reach_five_percent() -> None:
    assert signed_rank_p(np.arange(1.0, 6), np.zeros(5)) == 0.0625


def test_wilcoxon_without_ties_is_scipys_exact_test() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 12)
    exact = stats.wilcoxon(d, method="exact").pvalue
    assert signed_rank_p(d, np.zeros(12)) == pytest.approx(exact)


def test_unequal_numbers_of_pairs_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two equally long lists, got 8 and 7"):
        signed_rank_p(PAIRED, np.zeros(7))


def test_the_p_of_two_means_is_welchs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.8, 0.01, 10), rng.normal(0.7, 0.03, 14)
    estimate, p = mean_difference(a, b, (0.0, 1.0))
    assert estimate.value == pytest.approx(a.mean() - b.mean())
    assert p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_the_interval_of_two_means_leaves_room_for_a_collapse_that_no_run_showed() -> None:
    """Of ten runs without one, up to 1 - .025^(1/10) = 31% may collapse, with 97.5%."""
    same = np.full(10, 0.9)
    estimate, _ = mean_difference(same, same, (0.0, 1.0))
    assert estimate.low == pytest.approx(-0.9 * 0.31, abs=0.03)
    many, _ = mean_difference(np.full(2000, 0.9), np.full(2000, 0.9), (0.0, 1.0))
    assert -0.003 < many.low < 0 < many.high < 0.003


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3])
def test_the_interval_of_two_means_holds_them_however_rare_a_collapse_is(rate: float) -> None:
    rng, missed = np.random.default_rng(1), 0
    for seed in range(300):
        runs = [
            np.where(rng.random(10) < p, 0.85, rng.normal(0.95, 0.003, 10)) for p in (rate, 0.0)
        ]
        low, high = mean_difference(*runs, (0.0, 1.0), seed=seed)[0].interval
        missed += not low <= -0.1 * rate <= high
    assert missed / 300 <= 0.07


def test_means_without_known_bounds_have_no_interval_and_no_spread_gives_no_p() -> None:
    same, p = mean_difference(np.full(3, 0.9), np.full(3, 0.8), (-np.inf, np.inf))
    assert same.interval is None and p is None
    assert mean_difference(np.array([0.9]), np.full(3, 0.8), (0.0, 1.0))[1] is None
    assert mean_interval(np.array([0.9])).interval is None


def test_holm_steps_down_in_the_order_given() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
