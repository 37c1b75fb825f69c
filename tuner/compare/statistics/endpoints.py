"""Differences of a few runs: repeats of a search, or an incumbent's fresh seeds."""

from collections.abc import Sequence

import numpy as np
import scipy

from tuner.compare.statistics.best_of_k import mean_ends
from tuner.compare.statistics.estimate import Bounds, Estimate, Floats
from tuner.errors import InvalidInput


def mean_interval(values: Floats, *, confidence: float = 0.95) -> Estimate:
    """Mean with its t interval; without bounds for a single value."""
    mean = float(values.mean())
    if values.size < 2:
        return Estimate(mean)
    half = scipy.stats.t.ppf((1 + confidence) / 2, values.size - 1) * scipy.stats.sem(values)
    return Estimate(mean, mean - float(half), mean + float(half))


def signed_rank_p(first: Floats, second: Floats) -> float:
    """Two-sided exact Wilcoxon signed-rank p of paired runs.

    Zero differences are ranked with the rest and then count for neither side (Pratt). Fewer than
    six pairs can never reach p < .05.

    Args:
        first: One endpoint per pair, shape [r].
        second: The other arm's, in the same order, shape [r].

    Raises:
        InvalidInput: If the lengths differ or are zero.
    """
    if first.shape != second.shape or first.size == 0:
        raise InvalidInput(
            f"paired runs: needs two equally long lists, got {first.size} and {second.size}"
        )
    return _wilcoxon_p(first - second)


def _wilcoxon_p(differences: Floats) -> float:
    """Two-sided p of the signed-rank statistic over all 2^r signs, exact also with ties.

    Doubled mid-ranks are whole numbers, so the distribution of their signed sum is a product of
    two-point distributions; scipy's exact method refuses ties.
    """
    ranks = np.rint(2 * scipy.stats.rankdata(np.abs(differences))).astype(np.int64)
    ranks = np.where(differences == 0, 0, ranks)
    chances = np.ones(1)
    for rank in ranks[ranks > 0]:
        chances = (np.pad(chances, (rank, 0)) + np.pad(chances, (0, rank))) / 2
    total = int(ranks.sum())
    observed = int(ranks[differences > 0].sum())
    extreme = max(observed, total - observed)
    return float(min(1.0, 2 * chances[extreme:].sum()))


def mean_difference(
    first: Floats,
    second: Floats,
    bounds: Bounds,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Estimate, float | None]:
    """Difference of two means with its interval, and Welch's p.

    The interval supposes the bounds alone, so a few runs leave room for a collapse that none of
    them showed: Welch's would miss the mean in half of all cases. It is not stated without bounds.
    The p says whether the runs seen differ; ``None`` for a single run or where neither arm's
    spread.

    Args:
        first: Scores of independent runs, shape [n].
        second: The other's, shape [m].
        bounds: Lowest and highest score that any run may have; infinite where unknown.
        confidence: In (0, 1).
        seed: Of the draws of the interval.
    """
    difference, p = float(first.mean() - second.mean()), _welch_p(first, second)
    if not np.isfinite(bounds).all():
        return Estimate(difference), p
    rngs = np.random.default_rng(seed).spawn(2)
    low_a, high_a = mean_ends(first, bounds, rngs[0])
    low_b, high_b = mean_ends(second, bounds, rngs[1])
    tail = (1 - confidence) / 2
    low = float(np.quantile(low_a - high_b, tail))
    high = float(np.quantile(high_a - low_b, 1 - tail))
    return Estimate(difference, min(low, difference), max(high, difference)), p


def _welch_p(first: Floats, second: Floats) -> float | None:
    if min(first.size, second.size) < 2:
        return None
    parts = np.array([_variance_of_mean(first), _variance_of_mean(second)])
    if parts.sum() == 0:
        return None
    freedom = parts.sum() ** 2 / (parts**2 / [first.size - 1, second.size - 1]).sum()
    t = abs(float(first.mean() - second.mean())) / float(np.sqrt(parts.sum()))
    return 2 * float(scipy.stats.t.sf(t, freedom))


def _variance_of_mean(values: Floats) -> float:
    """Zero where all values agree, in spite of rounding, which scipy's test warns about."""
    return 0.0 if np.ptp(values) == 0 else float(values.var(ddof=1) / values.size)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given."""
    order = np.argsort(p_values)
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values)[order] * factors))
    return [float(p) for p in adjusted]
