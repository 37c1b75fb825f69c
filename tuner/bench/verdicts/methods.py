"""Intervals for the fresh runs of two spaces' searches, side by side: which covers, how wide.

Only the first is in use; the others are computed here alone. All are held against the median over
all pairs of the difference, which a verdict speaks of.
"""

from collections.abc import Callable, Mapping
from math import floor, sqrt
from types import MappingProxyType

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.selected import median_interval, selected_difference

LEVEL = 0.95

Method = Callable[[Floats, Floats], Estimate]


def in_use(first: Floats, second: Floats) -> Estimate:
    """Brunner and Munzel's test turned into an interval, at the last look."""
    return selected_difference(first, second, confidence=LEVEL).difference


def paired_signs(first: Floats, second: Floats) -> Estimate:
    """Median of the differences pair by pair, by order statistics."""
    return median_interval(first - second, confidence=LEVEL)


def welch(first: Floats, second: Floats) -> Estimate:
    """Welch's t of the means; none where neither sample spreads."""
    value = float(first.mean() - second.mean())
    parts = np.array([each.var(ddof=1) / each.size for each in (first, second)])
    if np.ptp(first) == np.ptp(second) == 0:
        return Estimate(value)
    freedom = parts.sum() ** 2 / (parts**2 / [first.size - 1, second.size - 1]).sum()
    half = float(scipy.stats.t.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(parts.sum()))
    return Estimate(value, value - half, value + half)


def rank_sum(first: Floats, second: Floats) -> Estimate:
    """Hodges and Lehmann's shift with the interval of the rank-sum test.

    It supposes that one distribution is the other, shifted.
    """
    ordered = np.sort((first[:, None] - second).ravel())
    n, m = first.size, second.size
    z = float(scipy.special.ndtri((1 + LEVEL) / 2))
    rank = floor(n * m / 2 - z * sqrt(n * m * (n + m + 1) / 12))
    middle = float(np.median(ordered))
    if rank < 1:
        return Estimate(middle)
    return Estimate(middle, float(ordered[rank - 1]), float(ordered[ordered.size - rank]))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "in use": in_use,
        "paired signs": paired_signs,
        "Welch's t": welch,
        "rank-sum shift": rank_sum,
    }
)
"""Name -> interval of the difference of two samples."""
