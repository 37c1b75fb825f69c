"""Best of k random trials: the expectation and the probability to win, with their intervals.

All of them rest on one table. Draw k of n trials without replacement: the chance that the best is
among the lowest m is

    F(m) = C(m, k) / C(n, k),   m = 0..n,

so the i-th smallest score is the best with weight F(i) - F(i - 1) = C(i-1, k-1) / C(n, k). They
hold for independent, identically distributed trials (random search) and for nothing else: the
trials of a sampler that learns are neither.

Intervals say what n random trials tell of the best of k. The chances u_1 < ... < u_n that a fresh
trial falls below each of the sorted scores are distributed as n sorted uniform numbers, whatever
the scores' distribution (with ties the interval covers more). So they are drawn, many times over.
A fresh trial falls between two neighbours x_i and x_{i+1} with the chance u_{i+1} - u_i and may
lie anywhere between; at the upper ends, the best of k is

    sum_i x_{i+1} (u_{i+1}^k - u_i^k)   with x_0, x_{n+1} the bounds, u_0 = 0 and u_{n+1} = 1,

and at the lower ends it is the same sum of x_i. The interval reaches from the low quantile of the
lower sums to the high one of the upper sums. With scores of two values it is Clopper and
Pearson's; where a bootstrap repeats the few good trials it has seen, this asks what else they
might have been. That it covers is proved for special cases only, and simulated in the tests. The
probability to win has a score interval, which needs no bounds.

Source: Gaffke (2005), "Three test statistics for a nonparametric one-sided hypothesis on the mean
of a nonnegative variable", for the mean, k = 1; Learned-Miller and Thomas (2019),
arXiv:1905.06208.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Bounds, Estimate, Floats
from tuner.errors import InvalidInput

DRAWS = 2000
SMALLEST_N = 20
"""Fewest trials an arm needs for an interval, beside n >= 10 k."""
MEAN_N = 1000
"""The same for k = 1."""

_CELLS = 2**20
_NEGLIGIBLE = 1e-20
_REMEMBERED = 32


@dataclass(frozen=True)
class BestOfK:
    """Expected best of k random trials; a bound is ``None`` where none can be stated."""

    k: int
    value: float
    low: float | None
    high: float | None


def best_of_k_cdf(n: int, k: int) -> Floats:
    """F(m) = C(m, k) / C(n, k) for m = 0..n, shape [n + 1].

    Built downwards from F(n) = 1 by F(m - 1) = F(m) (m - k) / m: no factorial ever overflows.

    Raises:
        InvalidInput: If k is outside 1..n.
    """
    if not 1 <= k <= n:
        raise InvalidInput(f"best of k: k must be in 1..n, got k={k} with n={n} trials")
    m = np.arange(n, 0, -1, dtype=np.float64)
    ratios = np.maximum(m - k, 0.0) / m
    return np.concatenate(([1.0], np.cumprod(ratios)))[::-1]


def expected_best_of_k(scores: Floats, ks: Sequence[int]) -> Floats:
    """Unbiased expectation of the best of k random trials, one value per k.

    U_k = sum_{i>=k} C(i-1, k-1)/C(n, k) x_(i)

    Args:
        scores: Scores of independent trials, shape [n].
        ks: Budgets in 1..n.

    Raises:
        InvalidInput: If a k is outside 1..n.

    Source: the U-statistic of Lourie, Cho & He (2023), arXiv:2311.09480.
    """
    ordered = np.sort(scores)
    return np.array([np.diff(best_of_k_cdf(ordered.size, k)) @ ordered for k in ks])


def probability_best_of_k_beats(first: Floats, second: Floats, k: int) -> float:
    """Probability that the best of k trials of the first arm beats the second's; ties count half.

    P = sum_ij w_i w_j [1{a_i > b_j} + 1/2 1{a_i = b_j}], by one sort and two searches. At k = 1
    it is the Mann-Whitney statistic U/(nm).

    Raises:
        InvalidInput: If k is above the number of trials of an arm.
    """
    a, b = np.sort(first), np.sort(second)
    below = best_of_k_cdf(b.size, k)
    beaten = (below[np.searchsorted(b, a, "left")] + below[np.searchsorted(b, a, "right")]) / 2
    return float(np.diff(best_of_k_cdf(a.size, k)) @ beaten)


def trials_for_interval(k: int) -> int:
    """Fewest trials per arm for which an interval of the best of k is stated.

    Simulated at n >= 10 k and n >= 20, with diverged trials, plateaus, heavy tails and rare good
    trials, a stated 95% covers at least 93% where the bounds hold. Near k = n the estimate itself
    hangs on one trial. The best of one trial is the mean of all, which hangs on the worst of
    them: with a long lower tail it takes a thousand.
    """
    return max(SMALLEST_N, 10 * k) if k > 1 else MEAN_N


def best_of_k_interval(
    scores: Floats,
    k: int,
    *,
    bounds: Bounds | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """U_k with its interval; without one where n is below ``trials_for_interval(k)``.

    Args:
        scores: Scores of independent trials, shape [n].
        k: Budget in 1..n.
        bounds: Lowest and highest score that any trial may have, seen or not: the interval covers
            where they hold. The scores' own extremes if ``None``.
        confidence: In (0, 1).
        seed: Of the draws.
        draws: How many.
    """
    value = float(expected_best_of_k(scores, [k])[0])
    if scores.size < trials_for_interval(k):
        return Estimate(value)
    rng = np.random.default_rng(seed)
    lower, upper = _ends(scores, k, bounds or _extremes(scores), rng, draws)
    return _between(value, lower, upper, confidence)


def best_of_k_difference(
    first: Floats,
    second: Floats,
    k: int,
    *,
    bounds: Bounds | None = None,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """U_k(first) - U_k(second) with its interval, as ``best_of_k_interval``.

    Args:
        first: Scores of independent trials, shape [n].
        second: The other arm's, shape [m].
        k: Budget, at most min(n, m).
        bounds: Lowest and highest score that any trial of either may have; the extremes of both
            arms' scores if ``None``.
        confidence: In (0, 1).
        seed: Of the draws.
        draws: How many.
    """
    (difference,) = best_of_k_combinations(
        (first, second),
        [(1.0, -1.0)],
        k,
        bounds=bounds or _extremes(np.concatenate([first, second])),
        confidence=confidence,
        seed=seed,
        draws=draws,
    )
    return difference


def best_of_k_combinations(
    arms: Sequence[Floats],
    weightings: Sequence[Sequence[float]],
    k: int,
    *,
    bounds: Bounds,
    confidence: float = 0.95,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Estimate]:
    """sum_a w_a U_k(a) over several arms, each sum with one interval, from the same draws.

    Without intervals where an arm has fewer trials than ``trials_for_interval(k)``.

    Args:
        arms: Scores of independent trials of each arm.
        weightings: The weights w_a of each sum, one for each arm.
        k: Budget, at most the trials of the smallest arm.
        bounds: Lowest and highest score that any trial of any of them may have.
        confidence: In (0, 1).
        seed: Of the draws.
        draws: How many.
    """
    values = np.array([float(expected_best_of_k(arm, [k])[0]) for arm in arms])
    if min(arm.size for arm in arms) < trials_for_interval(k):
        return [Estimate(float(weights @ values)) for weights in np.array(weightings)]
    ends = [
        _ends_at(
            place, np.ascontiguousarray(arm, dtype=np.float64).tobytes(), k, bounds, seed, draws
        )
        for place, arm in enumerate(arms)
    ]
    return [
        _between(float(weights @ values), *weighted_ends(ends, weights), confidence)
        for weights in np.array(weightings)
    ]


def weighted_ends(ends: Sequence[tuple[Floats, Floats]], weights: Floats) -> tuple[Floats, Floats]:
    """Draws of the least and of the greatest weighted sum, from those of each arm.

    Args:
        ends: Draws of the least and the greatest value of each arm.
        weights: One for each arm; where it is 0 an end may be infinite.
    """
    used = [(w, *arm) for w, arm in zip(weights, ends, strict=True) if w]
    lower = sum(w * (low if w > 0 else high) for w, low, high in used)
    upper = sum(w * (high if w > 0 else low) for w, low, high in used)
    return np.asarray(lower), np.asarray(upper)


def mean_ends(
    values: Floats, bounds: Bounds, rng: np.random.Generator, *, draws: int = DRAWS
) -> tuple[Floats, Floats]:
    """Draws of the least and of the greatest mean that these values may have been drawn from.

    They suppose the bounds alone: of ten values without a collapse, up to 31% of all may collapse.

    Args:
        values: Independent values of one distribution, shape [n].
        bounds: Lowest and highest value that any of it may have.
        rng: Of the draws.
        draws: How many.
    """
    return _ends(values, 1, bounds, rng, draws)


def best_of_k_probability(
    first: Floats, second: Floats, k: int, *, confidence: float = 0.95
) -> Estimate:
    """P(best of k of the first beats the second's), ties half, with its interval.

    Wilson's interval for n / k pairs of searches, n of the smaller arm: for k = 1 the variance is
    at most P (1 - P) / n, which one arm without spread attains. Near 1 every resample wins, and a
    bootstrap claims certainty.

    Args:
        first: Scores of independent trials, shape [n].
        second: The other arm's, shape [m].
        k: Budget, at most min(n, m).
        confidence: In (0, 1).

    Source: Birnbaum and Klose (1957), Annals of Mathematical Statistics 28, for the bound.
    """
    probability, n = probability_best_of_k_beats(first, second, k), min(first.size, second.size)
    if n < trials_for_interval(k):
        return Estimate(probability)
    return _wilson(probability, n / k, confidence)


def _wilson(share: float, observations: float, confidence: float) -> Estimate:
    """A share with its score interval (Wilson 1927), clipped to [0, 1] against rounding."""
    z = float(scipy.special.ndtri((1 + confidence) / 2))
    weight = z * z / observations
    middle = (share + weight / 2) / (1 + weight)
    half = sqrt(weight * (share * (1 - share) + weight / 4)) / (1 + weight)
    return Estimate(
        share, max(0.0, min(middle - half, share)), min(1.0, max(middle + half, share))
    )


def _extremes(scores: Floats) -> Bounds:
    return float(scores.min()), float(scores.max())


@lru_cache(maxsize=_REMEMBERED)
def _ends_at(
    place: int, scores: bytes, k: int, bounds: Bounds, seed: int, draws: int
) -> tuple[Floats, Floats]:
    """The ends of an arm at its place in a sum: a report has it in one sum after the other."""
    rng = np.random.default_rng(seed).spawn(place + 1)[place]
    lower, upper = _ends(np.frombuffer(scores), k, bounds, rng, draws)
    lower.setflags(write=False)
    upper.setflags(write=False)
    return lower, upper


def _ends(
    scores: Floats, k: int, bounds: Bounds, rng: np.random.Generator, draws: int
) -> tuple[Floats, Floats]:
    """The best of k with every fresh trial at the lower, then at the upper end of its gap [draws].

    Scores that the best of k lies below with a chance under 1e-20 are one with the lower bound:
    at k = 1,000 of n = 20,000 a draw then has 900 numbers instead of 20,000.
    """
    start = int(np.searchsorted(best_of_k_cdf(scores.size, k)[1:], _NEGLIGIBLE))
    values = np.sort(scores)[start:]
    ends = np.concatenate([[bounds[0]], values, [bounds[1]]])
    rows = max(1, _CELLS // values.size)
    blocks = []
    for first in range(0, draws, rows):
        # Sorted uniforms are sums of exponentials over their total; the first sums start + 1.
        sums = rng.exponential(size=(min(rows, draws - first), values.size + 1))
        sums[:, 0] = rng.gamma(start + 1, size=sums.shape[0])
        np.cumsum(sums, axis=1, out=sums)
        sums /= sums[:, -1:].copy()
        sums **= k
        sums[:, 1:] -= sums[:, :-1].copy()  # in place: fresh memory would take longer than this
        blocks.append(np.stack([sums @ ends[:-1], sums @ ends[1:]]))
    lower, upper = np.concatenate(blocks, axis=1)
    return lower, upper


def _between(value: float, lower: Floats, upper: Floats, confidence: float) -> Estimate:
    tail = (1 - confidence) / 2
    low, high = float(np.quantile(lower, tail)), float(np.quantile(upper, 1 - tail))
    return Estimate(value, min(low, value), max(high, value))
