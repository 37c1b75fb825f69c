"""The median of the best of k random trials: for scores without known bounds.

The expected best of k of a loss hangs on how bad its worst trials may be: one that exploded, or
one penalty of 1e30, decides. Half of all searches of k trials do better than the median, and
nothing need be supposed of trials that nobody has seen. It is the scores' quantile at 1/2^(1/k).
Of n trials a binomial number j of n and that level lie below it, so it lies between the j-th and
the next sorted score: j is drawn, and the interval reaches from the low quantile of the lower
scores to the high one of the upper.

At k = 1 it is the median of the scores: of an incumbent's fresh seeds, the typical one.

Source: Lourie, Cho & He (2023), arXiv:2311.09480, for the median tuning curve; the interval is the
classical one of a quantile by order statistics.
"""

from collections.abc import Sequence
from itertools import count
from math import ceil, log2

import numpy as np

from tuner.compare.statistics.bands import order_statistic_intervals
from tuner.compare.statistics.best_of_k import DRAWS, best_of_k_cdf, weighted_ends
from tuner.compare.statistics.estimate import Bounds, Estimate, Floats

UNBOUNDED = (-np.inf, np.inf)


def median_best_of_k(scores: Floats, ks: Sequence[int]) -> Floats:
    """The score that the best of k of these trials reaches in half of all draws, one per k.

    Args:
        scores: Scores of independent trials, shape [n].
        ks: Budgets in 1..n.

    Raises:
        InvalidInput: If a k is outside 1..n.
    """
    ordered = np.sort(scores)
    medians = []
    for k in ks:
        below = best_of_k_cdf(ordered.size, k)[1:]
        first = int(np.searchsorted(below, 0.5 - 1e-12))
        at_half = first + 1 < ordered.size and abs(below[first] - 0.5) < 1e-12
        above = ordered[first + 1] if at_half else ordered[first]
        medians.append(ordered[first] / 2 + above / 2)
    return np.array(medians)


def trials_for_median(k: int, *, confidence: float = 0.95) -> int:
    """About the fewest trials per arm for which a difference has an interval with finite ends.

    All n trials of an arm lie below the median of the best of k with the chance 2^(-n/k), none of
    them does with (1 - 2^(-1/k))^n. An end is infinite where the first happens in one arm, or the
    second in the other, too often.
    """
    level, tail = 0.5 ** (1 / k), (1 - confidence) / 2
    return next(
        n
        for n in count(ceil(k * log2(1 / tail)))
        if 1 - (1 - level**n) * (1 - (1 - level) ** n) < tail
    )


def median_best_of_k_difference(
    first: Floats,
    second: Floats,
    k: int,
    *,
    bounds: Bounds = UNBOUNDED,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """Difference of two medians of the best of k with its interval; without one if too few.

    Args:
        first: Scores of independent trials, shape [n].
        second: The other arm's, shape [m].
        k: Budget, at most min(n, m).
        bounds: Lowest and highest score possible.
        confidence: In (0, 1).
        seed: Of the draws.
        draws: How many.
    """
    (difference,) = median_best_of_k_combinations(
        (first, second),
        [(1.0, -1.0)],
        k,
        bounds=bounds,
        confidence=confidence,
        seed=seed,
        draws=draws,
    )
    return difference


def median_best_of_k_combinations(
    arms: Sequence[Floats],
    weightings: Sequence[Sequence[float]],
    k: int,
    *,
    bounds: Bounds = UNBOUNDED,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Estimate]:
    """sum_a w_a M_k(a) of the arms' medians M_k, each sum with one interval, by the same draws.

    Without an interval where an end of it would be infinite.

    Args:
        arms: Scores of independent trials of each arm.
        weightings: The weights w_a of each sum, one for each arm.
        k: Budget, at most the trials of the smallest arm.
        bounds: Lowest and highest score that any trial of any of them may have.
        confidence: In (0, 1).
        seed: Of the draws.
        draws: How many.
    """
    values = np.array([float(median_best_of_k(arm, [k])[0]) for arm in arms])
    rngs = np.random.default_rng(seed).spawn(len(arms))
    ends = [_ends(arm, k, bounds, rng, draws) for arm, rng in zip(arms, rngs, strict=True)]
    return [
        _between(float(weights @ values), *weighted_ends(ends, weights), confidence)
        for weights in np.array(weightings)
    ]


def median_curve_band(
    scores: Floats, ks: Sequence[int], *, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Bounds of the median best of k that hold at every k at once; infinite where unknown.

    Args:
        scores: Scores of independent trials, shape [n].
        ks: Budgets, at least 1.
        confidence: Chance that the whole curve lies in the band, in (0, 1).
    """
    below, above = order_statistic_intervals(scores.size, confidence)
    ordered = np.concatenate([[-np.inf], np.sort(scores), [np.inf]])
    level = 0.5 ** (1 / np.asarray(ks))
    # x_(i) lies below the quantile where its level surely does, above it likewise.
    return (
        ordered[np.searchsorted(above, level, "right")],
        ordered[np.searchsorted(below, level, "left") + 1],
    )


def _ends(
    scores: Floats, k: int, bounds: Bounds, rng: np.random.Generator, draws: int
) -> tuple[Floats, Floats]:
    """The sorted scores around the quantile, for each number of trials below it [draws]."""
    ends = np.concatenate([[bounds[0]], np.sort(scores), [bounds[1]]])
    below = rng.binomial(scores.size, 0.5 ** (1 / k), size=draws)
    return ends[below], ends[below + 1]


def _between(value: float, lower: Floats, upper: Floats, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low = float(np.quantile(lower, tail, method="lower"))
    high = float(np.quantile(upper, 1 - tail, method="higher"))
    if not (np.isfinite(low) and np.isfinite(high)):
        return Estimate(value)
    return Estimate(value, min(low, value), max(high, value))
