"""Best-of-k estimators for random search: the expectation and the probability to win.

All of them rest on one table. Draw k of n trials without replacement: the chance that the best is
among the lowest m is

    F(m) = C(m, k) / C(n, k),   m = 0..n,

so the i-th smallest score is the best with weight F(i) - F(i - 1) = C(i-1, k-1) / C(n, k). They
hold for independent, identically distributed trials (random search) and for nothing else: the
trials of a sampler that learns are neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuner.compare.protocol import Floats
from tuner.errors import InvalidInput


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; a bound is ``None`` where none can be stated."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or ``None``."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def clipped(self, least: float, greatest: float) -> "Estimate":
        """Without what the interval holds beyond the values possible."""
        if self.interval is None:
            return self
        low, high = self.interval
        return Estimate(self.value, max(low, least), min(high, greatest))


def classify(
    estimate: Estimate, rope: float
) -> Literal["supported", "equivalent", "inconclusive"]:
    """Whether an interval lies inside +-rope, else whether it excludes zero, else neither."""
    if estimate.interval is None:
        return "inconclusive"
    low, high = estimate.interval
    if -rope <= low and high <= rope:
        return "equivalent"
    return "supported" if low > 0 or high < 0 else "inconclusive"


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


def plug_in_best_of_k(scores: Floats, ks: Sequence[int]) -> Floats:
    """The popular but low-biased expectation of the best of k, one value per k.

    V_k = sum_i [(i/n)^k - ((i-1)/n)^k] x_(i), which draws with replacement.

    Source: Dodge et al. (2019), "Show your work".
    """
    ordered = np.sort(scores)
    share = np.arange(ordered.size + 1) / ordered.size
    return np.array([np.diff(share**k) @ ordered for k in ks])


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
