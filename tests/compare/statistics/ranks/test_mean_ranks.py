"""Many arms: mean ranks, Friedman, Nemenyi and all pairs, against references and simulation."""

from itertools import combinations, permutations

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from tuner.compare.statistics.ranks.mean_ranks import (
    FEWEST_BLOCKS,
    all_pairs,
    mean_ranks,
    rank_sum,
)
from tuner.errors import InvalidInput

DEMSAR = 2.728
"""Critical value q of five arms at 95%, table 5 of Demsar (2006)."""


def draw(rng, blocks, arms, *, shift=0.0):
    """Scores of alike arms but the last: a seed of each block in common, and ties by rounding."""
    scores = rng.normal(size=(blocks, arms)) + rng.normal(size=(blocks, 1))
    scores[:, -1] += shift
    return np.round(scores, 1)


def test_the_statistic_is_iman_and_davenports_of_scipys_friedman():
    rng = np.random.default_rng(0)
    for _ in range(5):
        scores = draw(rng, 12, 6)
        chi_square = scipy.stats.friedmanchisquare(*scores.T).statistic
        f = 11 * chi_square / (12 * 5 - chi_square)
        assert mean_ranks(scores).p == pytest.approx(scipy.stats.f.sf(f, 5, 55))


def test_the_critical_difference_is_the_tables():
    scores = draw(np.random.default_rng(1), 30, 5)
    ranked = mean_ranks(scores)
    assert ranked.critical == pytest.approx(DEMSAR * np.sqrt(5 * 6 / (6 * 30)), rel=1e-3)
    assert ranked.ranks.sum() == pytest.approx(5 * 6 / 2)


def test_the_best_arm_has_rank_one_and_groups_are_runs_within_the_critical_difference():
    steps = np.array([4.0, 3.0, 2.0, 1.0, 0.0])
    blocks = np.stack([steps] * 20)
    ranked = mean_ranks(blocks)
    assert ranked.ranks.tolist() == [1, 2, 3, 4, 5]
    assert ranked.p == 0
    assert 1 < ranked.critical < 2
    assert ranked.groups == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert mean_ranks(blocks[:, ::-1]).groups == ((4, 3), (3, 2), (2, 1), (1, 0))


def test_arms_that_always_tie_do_the_same():
    ranked = mean_ranks(np.ones((6, 4)))
    assert ranked.p == 1
    assert ranked.groups == ((0, 1, 2, 3),)
    assert {(pair.wins, pair.p) for pair in all_pairs(np.ones((6, 4)))} == {(0.5, 1.0)}


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
    st.lists(st.integers(0, 4), min_size=1, max_size=4),
)
def test_the_rank_sum_p_counts_all_ways_to_deal_the_scores_out(first, second):
    pooled, n = np.array([*first, *second], dtype=float), len(first)

    def wins(ours):
        theirs = [i for i in range(pooled.size) if i not in ours]
        signs = [np.sign(pooled[i] - pooled[j]) for i in ours for j in theirs]
        return float(np.mean(signs) + 1) / 2

    dealt = [wins(ours) for ours in combinations(range(pooled.size), n)]
    share, p = rank_sum(pooled[:n], pooled[n:])
    assert share == pytest.approx(wins(tuple(range(n))))
    extreme = [abs(each - 0.5) >= abs(share - 0.5) - 1e-9 for each in dealt]
    assert p == pytest.approx(np.mean(extreme))


def test_the_rank_sum_p_is_scipys_without_ties():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=10), rng.normal(size=8) + 1
    expected = scipy.stats.mannwhitneyu(first, second, method="exact").pvalue
    assert rank_sum(first, second)[1] == pytest.approx(expected)


def test_pairs_do_not_hang_on_the_arms_beside_them_but_mean_ranks_do():
    """Of two arms of one distribution the third decides how far apart their mean ranks lie."""
    rng = np.random.default_rng(3)
    two = rng.normal(size=(10, 2))
    two[:, 1] += 2.0
    between = two.mean(axis=1, keepdims=True) + np.zeros((10, 6))
    alone, beside = (np.hstack([two, more]) for more in (np.full((10, 6), -9.0), between))
    pairs = [all_pairs(scores)[0] for scores in (alone, beside)]
    assert pairs[0].wins == pairs[1].wins and pairs[0].p == pairs[1].p
    apart = [
        abs(mean_ranks(scores).ranks[0] - mean_ranks(scores).ranks[1])
        for scores in (alone, beside)
    ]
    assert apart[1] > 2 * apart[0]


@pytest.mark.slow
@pytest.mark.parametrize(("blocks", "arms"), [(10, 4), (6, 8), (20, 11)])
def test_alike_arms_are_told_apart_about_as_rarely_as_stated(blocks, arms):
    """Of 300 draws 5% are 15, and more than 25 has a chance of less than 1%."""
    rng = np.random.default_rng(blocks)
    friedman = nemenyi = pairs = 0
    for _ in range(300):
        scores = draw(rng, blocks, arms)
        ranked = mean_ranks(scores)
        friedman += ranked.p < 0.05
        nemenyi += np.ptp(ranked.ranks) > ranked.critical
        if arms <= 8:
            pairs += min(pair.p_holm for pair in all_pairs(scores)) < 0.05
    assert 4 <= friedman <= 25
    assert nemenyi <= 25
    assert pairs <= 25


@pytest.mark.slow
def test_where_one_arm_is_better_the_others_are_still_not_told_apart():
    rng, wrong, right = np.random.default_rng(5), 0, 0
    for _ in range(200):
        found = all_pairs(draw(rng, 10, 5, shift=3.0))
        wrong += any(pair.p_holm < 0.05 for pair in found if pair.second < 4)
        right += sum(pair.p_holm < 0.05 for pair in found if pair.second == 4)
    assert wrong <= 18
    assert right > 0.6 * 4 * 200


def test_the_order_of_the_arms_changes_nothing():
    scores = draw(np.random.default_rng(6), 8, 4)
    ranked = mean_ranks(scores)
    for order in permutations(range(4)):
        other = mean_ranks(scores[:, order])
        assert other.ranks.tolist() == ranked.ranks[list(order)].tolist()
        assert other.p == pytest.approx(ranked.p)


@pytest.mark.parametrize("shape", [(FEWEST_BLOCKS - 1, 5), (20, 2)])
def test_too_few_blocks_or_arms_are_refused(shape):
    with pytest.raises(InvalidInput, match="needs at least 5 blocks and 3 arms"):
        mean_ranks(np.zeros(shape))
