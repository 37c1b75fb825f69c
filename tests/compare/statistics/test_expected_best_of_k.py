from itertools import combinations, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_scores import plug_in_best_of_k
from scipy import stats

from tuner.compare.statistics.best_of_k import (
    best_of_k_cdf,
    expected_best_of_k,
    probability_best_of_k_beats,
)
from tuner.errors import InvalidInput

A = np.array([88, 87, 86.5, 85, 60])
B = np.array([88.5, 86, 84, 50, 10])
FIVE = np.array([0.70, 0.80, 0.60, 0.90, 0.75])

score_lists = st.lists(st.integers(0, 12), min_size=1, max_size=8).map(
    lambda scores: np.array(scores, dtype=float)
)
"""Few different values, so that ties are common."""


def test_expected_best_of_k_has_the_reference_values() -> None:
    expected = [3 / 4, 41 / 50, 171 / 200, 22 / 25, 9 / 10]
    assert expected_best_of_k(FIVE, range(1, 6)) == pytest.approx(expected, abs=1e-14)
    assert expected_best_of_k(A, range(1, 6)) == pytest.approx([81.3, 87.1, 87.55, 87.8, 88])
    assert expected_best_of_k(B, range(1, 6)) == pytest.approx([63.7, 83, 87.3, 88, 88.5])


def test_plug_in_best_of_k_has_the_reference_values_and_is_biased_low() -> None:
    values = plug_in_best_of_k(FIVE, range(1, 6))
    assert values == pytest.approx([0.75, 0.806, 0.834, 0.85112, 0.8628], abs=1e-12)
    assert (values[1:] < expected_best_of_k(FIVE, range(2, 6))).all()


@pytest.mark.parametrize("n", [1, 2, 7, 200, 20_000])
def test_expected_best_of_the_first_n_numbers_has_its_closed_form(n: int) -> None:
    ks = np.unique(np.geomspace(1, n, 25).astype(int))
    expected = ks * (n + 1) / (ks + 1)
    assert expected_best_of_k(np.arange(1.0, n + 1), ks) == pytest.approx(expected, rel=1e-11)


def test_best_of_k_distribution_is_the_ratio_of_binomials() -> None:
    for n, k in ((6, 1), (6, 4), (6, 6), (40, 13)):
        expected = [comb(m, k) / comb(n, k) for m in range(n + 1)]
        assert best_of_k_cdf(n, k) == pytest.approx(expected, rel=1e-13)


@given(score_lists, st.data())
def test_expected_best_of_k_is_the_mean_over_all_subsets(
    scores: np.ndarray, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, scores.size))
    by_hand = np.mean([max(subset) for subset in combinations(scores, k)])
    assert expected_best_of_k(scores, [k])[0] == pytest.approx(by_hand, abs=1e-12)


@given(score_lists)
def test_expected_best_of_k_rises_from_the_mean_to_the_maximum(scores: np.ndarray) -> None:
    curve = expected_best_of_k(scores, range(1, scores.size + 1))
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[0] == pytest.approx(scores.mean())
    assert curve[-1] == scores.max()


@given(score_lists, st.floats(0.01, 100), st.floats(-100, 100))
def test_expected_best_of_k_follows_a_change_of_units(
    scores: np.ndarray, scale: float, shift: float
) -> None:
    ks = range(1, scores.size + 1)
    moved = expected_best_of_k(scale * scores + shift, ks)
    assert moved == pytest.approx(scale * expected_best_of_k(scores, ks) + shift, abs=1e-9)


def test_probability_to_win_has_the_reference_values() -> None:
    found = [probability_best_of_k_beats(A, B, k) for k in range(1, 6)]
    assert found == pytest.approx([17 / 25, 57 / 100, 2 / 5, 1 / 5, 0], abs=1e-14)


@given(score_lists, score_lists, st.data())
def test_probability_to_win_counts_all_pairs_of_subsets_with_ties_half(
    a: np.ndarray, b: np.ndarray, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, min(a.size, b.size, 4)))
    ours = [max(subset) for subset in combinations(a, k)]
    theirs = [max(subset) for subset in combinations(b, k)]
    by_hand = np.mean([(x > y) + (x == y) / 2 for x, y in product(ours, theirs)])
    assert probability_best_of_k_beats(a, b, k) == pytest.approx(by_hand, abs=1e-12)


@given(score_lists, score_lists, st.data())
def test_probabilities_of_both_arms_add_up_to_one(
    a: np.ndarray, b: np.ndarray, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, min(a.size, b.size)))
    total = probability_best_of_k_beats(a, b, k) + probability_best_of_k_beats(b, a, k)
    assert total == pytest.approx(1, abs=1e-12)


@given(score_lists, score_lists)
def test_probability_to_win_of_single_trials_is_mann_whitney(a: np.ndarray, b: np.ndarray) -> None:
    u = stats.mannwhitneyu(a, b, method="asymptotic").statistic if np.ptp([*a, *b]) else None
    expected = 0.5 if u is None else u / (a.size * b.size)
    assert probability_best_of_k_beats(a, b, 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("k", [0, 6])
def test_a_budget_outside_the_trials_is_refused(k: int) -> None:
    with pytest.raises(InvalidInput, match=rf"k must be in 1\.\.n, got k={k} with n=5"):
        expected_best_of_k(FIVE, [k])
