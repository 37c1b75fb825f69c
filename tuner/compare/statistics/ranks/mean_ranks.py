"""Many arms at once: mean ranks over blocks, which of them differ, and every pair by itself.

A *block* is one score of each arm that were won alike. For one workload it is one search of each
space: the b-th k random draws of every space and what their best reaches. Trials of one number
have one seed in all spaces, hence the same first weights and the same order of the data, so that
the scores of a block have in common what the ranks within it leave out; from one block to the
next everything is drawn anew. What the draws mean differs from space to space, so nothing finer
than a search is paired: two trials of one seed try settings that have nothing to do with each
other. For several workloads a block is a workload, and then alone do the ranks speak of others.

*Friedman's test* asks whether all arms do the same: then each order within a block is as likely
as any other. Its statistic is used in Iman and Davenport's form; the chi-square that textbooks
give finds less. *Nemenyi's critical difference* says how far two mean ranks must lie apart. Mean
ranks hang on who else is ranked: an arm more may move two others together or apart. So the picture
is for the eye, and what two arms do is said by *pairs*: an exact rank-sum test of each pair's own
scores, by Holm's procedure for all of them together. Blocks only make it cautious, for what two
scores have in common cancels in their difference. All error rates are simulated in the tests.

Source: Demsar (2006), JMLR 7, for the use; Iman and Davenport (1980), Communications in Statistics
A9; Nemenyi (1963), thesis; Benavoli, Corani and Mangili (2016), JMLR 17, for what is wrong with
pairs of mean ranks.
"""

from dataclasses import dataclass
from itertools import combinations
from math import inf, sqrt

import numpy as np
import scipy

from tuner.compare.statistics.endpoints import holm
from tuner.compare.statistics.estimate import Floats
from tuner.errors import InvalidInput

FEWEST_BLOCKS = 5
"""Below, neither test finds anything that is not seen by eye."""


@dataclass(frozen=True)
class MeanRanks:
    """Arms ranked within blocks.

    Args:
        n: Blocks.
        ranks: Mean rank of each arm, 1 for the best, ties shared, shape [arms].
        p: Friedman's, that all arms do the same.
        critical: How far two mean ranks must lie apart to differ (Nemenyi).
        groups: Each largest run of arms, by place in ``ranks`` and best first, of which no two
            differ so; runs of one arm are left out.
    """

    n: int
    ranks: Floats
    p: float
    critical: float
    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Pair:
    """Two arms by themselves.

    Args:
        first: Place of one.
        second: Place of the other.
        wins: Share of all pairs of their scores that the first wins, ties half.
        p: That both have one distribution: exact rank-sum test.
        p_holm: The same for all pairs together.
    """

    first: int
    second: int
    wins: float
    p: float
    p_holm: float


def mean_ranks(scores: Floats, *, confidence: float = 0.95) -> MeanRanks:
    """Friedman's test and Nemenyi's critical difference.

    Args:
        scores: One score of each arm in each block, higher is better, shape [blocks, arms].
        confidence: In (0, 1), of the critical difference.

    Raises:
        InvalidInput: If there are fewer than ``FEWEST_BLOCKS`` blocks or 3 arms.
    """
    n, arms = scores.shape
    if n < FEWEST_BLOCKS or arms < 3:
        raise InvalidInput(
            f"mean ranks: needs at least {FEWEST_BLOCKS} blocks and 3 arms, got {n} and {arms}"
        )
    within = scipy.stats.rankdata(-scores, axis=1)
    ranks = within.mean(axis=0)
    quantile = float(scipy.stats.studentized_range.ppf(confidence, arms, inf))
    critical = quantile * sqrt(arms * (arms + 1) / (12 * n))
    return MeanRanks(n, ranks, _friedman_p(within), critical, _groups(ranks, critical))


def _friedman_p(within: Floats) -> float:
    """Of ranks within blocks: the F statistic of a two-way layout without interaction."""
    n, arms = within.shape
    between = n * float(((within.mean(axis=0) - (arms + 1) / 2) ** 2).sum())
    total = float(((within - (arms + 1) / 2) ** 2).sum())
    if total - between <= 1e-12 * total:  # every block ranks alike, or nothing is ranked at all
        return 1.0 if total == 0 else 0.0
    f = (n - 1) * between / (total - between)
    return float(scipy.stats.f.sf(f, arms - 1, (arms - 1) * (n - 1)))


def _groups(ranks: Floats, critical: float) -> tuple[tuple[int, ...], ...]:
    order = np.argsort(ranks, kind="stable")
    ends = np.searchsorted(ranks[order], ranks[order] + critical, "right")
    runs, reached = [], 0
    for start, end in enumerate(ends.tolist()):
        if end > reached and end - start > 1:
            runs.append(tuple(order[start:end].tolist()))
        reached = max(reached, end)
    return tuple(runs)


def all_pairs(scores: Floats) -> tuple[Pair, ...]:
    """Every two arms by themselves, in the order of their places.

    Args:
        scores: As in ``mean_ranks``.
    """
    pairs = list(combinations(range(scores.shape[1]), 2))
    tests = [rank_sum(scores[:, a], scores[:, b]) for a, b in pairs]
    adjusted = holm([p for _, p in tests])
    return tuple(
        Pair(a, b, wins, p, p_holm)
        for (a, b), (wins, p), p_holm in zip(pairs, tests, adjusted, strict=True)
    )


def rank_sum(first: Floats, second: Floats) -> tuple[float, float]:
    """Share of pairs that the first wins, ties half, and the exact two-sided rank-sum p.

    The p is over all ways to deal the scores out to the two arms, exact also with ties: doubled
    mid-ranks are whole numbers, so the sum of n of them is counted.

    Args:
        first: Scores of independent runs, shape [n].
        second: The other's, shape [m].
    """
    n, m = first.size, second.size
    doubled = np.rint(2 * scipy.stats.rankdata(np.concatenate([first, second]))).astype(np.int64)
    ways = np.zeros((n + 1, int(doubled.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in doubled.tolist():
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    middle, observed = n * (n + m + 1), int(doubled[:n].sum())
    distance = np.abs(np.arange(ways.shape[1]) - middle)
    p = float(ways[n][distance >= abs(observed - middle)].sum() / ways[n].sum())
    return (observed / 2 - n * (n + 1) / 2) / (n * m), min(1.0, p)
