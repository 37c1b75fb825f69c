"""Differences of a few runs: repeats of a search, or an incumbent's fresh seeds."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.errors import InvalidInput


def mean_interval(values: Floats, *, confidence: float = 0.95) -> Estimate:
    """Mean with its t interval; without bounds for a single value."""
    mean = float(values.mean())
    if values.size < 2:
        return Estimate(mean)
    half = stats.t.ppf((1 + confidence) / 2, values.size - 1) * stats.sem(values)
    return Estimate(mean, mean - float(half), mean + float(half))


def paired_difference(
    first: Floats, second: Floats, *, confidence: float = 0.95
) -> tuple[Estimate, float]:
    """Mean of first - second over paired runs with its t interval, and the exact Wilcoxon p.

    Zero differences are ranked with the rest and then count for neither side (Pratt). Fewer than
    six pairs can never reach p < .05.

    Args:
        first: One endpoint per pair, shape [r].
        second: The other arm's, in the same order, shape [r].
        confidence: In (0, 1).

    Raises:
        InvalidInput: If the lengths differ or are zero.
    """
    if first.shape != second.shape or first.size == 0:
        raise InvalidInput(
            f"paired difference: needs two equally long lists, got {first.size} and {second.size}"
        )
    return mean_interval(first - second, confidence=confidence), _wilcoxon_p(first - second)


def _wilcoxon_p(differences: Floats) -> float:
    """Two-sided p of the signed-rank statistic over all 2^r signs, exact also with ties.

    Doubled mid-ranks are whole numbers, so the distribution of their signed sum is a product of
    two-point distributions; scipy's exact method refuses ties.
    """
    ranks = np.rint(2 * stats.rankdata(np.abs(differences))).astype(np.int64)
    ranks = np.where(differences == 0, 0, ranks)
    chances = np.ones(1)
    for rank in ranks[ranks > 0]:
        chances = (np.pad(chances, (rank, 0)) + np.pad(chances, (0, rank))) / 2
    total = int(ranks.sum())
    observed = int(ranks[differences > 0].sum())
    extreme = max(observed, total - observed)
    return float(min(1.0, 2 * chances[extreme:].sum()))


def unpaired_difference(
    first: Floats, second: Floats, *, confidence: float = 0.95
) -> tuple[Estimate, float | None]:
    """Difference of two means with Welch's t interval and p; ``None`` for a single run an arm."""
    difference = float(first.mean() - second.mean())
    if min(first.size, second.size) < 2:
        return Estimate(difference), None
    parts = np.array([_variance_of_mean(first), _variance_of_mean(second)])
    error = float(np.sqrt(parts.sum()))
    if error == 0:
        return Estimate(difference, difference, difference), 1.0 if difference == 0 else 0.0
    freedom = parts.sum() ** 2 / (parts**2 / [first.size - 1, second.size - 1]).sum()
    half = error * float(stats.t.ppf((1 + confidence) / 2, freedom))
    p = 2 * float(stats.t.sf(abs(difference) / error, freedom))
    return Estimate(difference, difference - half, difference + half), p


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
