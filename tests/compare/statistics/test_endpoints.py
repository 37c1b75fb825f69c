from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.compare.statistics.endpoints import (
    holm,
    mean_interval,
    paired_difference,
    unpaired_difference,
)
from tuner.errors import InvalidInput

PAIRED = np.array([0.55, 0.05, 0.75, 0.55, 0.35, 0.75, 0.55, 0.35])


def test_paired_difference_has_the_reference_values() -> None:
    estimate, p = paired_difference(PAIRED, np.zeros(8))
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx(
        (0.4875, 0.29303, 0.68197), abs=1e-5
    )
    assert p == pytest.approx(0.0078125)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8))
def test_wilcoxon_p_enumerates_every_sign(differences: list[int]) -> None:
    d = np.array(differences, dtype=float)
    ranks = np.where(d == 0, 0, stats.rankdata(np.abs(d)))
    observed = abs((ranks * np.sign(d)).sum())
    sums = [abs((ranks * signs).sum()) for signs in product([-1, 1], repeat=d.size)]
    by_hand = np.mean(np.array(sums) >= observed - 1e-9)
    assert paired_difference(d, np.zeros(d.size))[1] == pytest.approx(by_hand)


def test_five_pairs_can_never_reach_five_percent() -> None:
    assert paired_difference(np.arange(1.0, 6), np.zeros(5))[1] == 0.0625


def test_wilcoxon_without_ties_is_scipys_exact_test() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 12)
    exact = stats.wilcoxon(d, method="exact").pvalue
    assert paired_difference(d, np.zeros(12))[1] == pytest.approx(exact)


def test_unequal_numbers_of_pairs_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two equally long lists, got 8 and 7"):
        paired_difference(PAIRED, np.zeros(7))


def test_unpaired_difference_is_welchs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 1, 10), rng.normal(0, 3, 14)
    estimate, p = unpaired_difference(a, b)
    va, vb = a.var(ddof=1) / 10, b.var(ddof=1) / 14
    df = (va + vb) ** 2 / (va**2 / 9 + vb**2 / 13)
    half = stats.t.ppf(0.975, df) * np.sqrt(va + vb)
    assert estimate.value == pytest.approx(a.mean() - b.mean())
    assert estimate.high == pytest.approx(estimate.value + half)
    assert p == pytest.approx(2 * stats.t.sf(abs(estimate.value) / np.sqrt(va + vb), df))


def test_runs_without_spread_or_company_get_no_false_interval() -> None:
    same, p = unpaired_difference(np.full(3, 0.9), np.full(3, 0.8))
    assert same.interval == pytest.approx((0.1, 0.1)) and p == 0.0
    alone, p = unpaired_difference(np.array([0.9]), np.full(3, 0.8))
    assert alone.interval is None and p is None
    assert mean_interval(np.array([0.9])).interval is None


def test_holm_steps_down_in_the_order_given() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
