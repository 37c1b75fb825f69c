"""The simultaneous band of n sorted uniform numbers, and the bands that follow from it."""

from functools import cache
from math import comb, inf, isfinite

import numpy as np
from recomputed.walk import Within
from scipy.stats import beta

_LEVEL_TOLERANCE = 2e-3
"""Of the logarithm of the level of each interval: the report states it to a thousandth."""


@cache
def _intervals(n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Equal-tailed beta intervals of the n order statistics, each at this level of error."""
    i = np.arange(1, n + 1)
    return beta.ppf(level / 2, i, n + 1 - i), beta.ppf(1 - level / 2, i, n + 1 - i)


def all_inside(low: np.ndarray, high: np.ndarray) -> float:
    """Chance that low_i <= U_(i) <= high_i for every i of n sorted uniform numbers.

    By the number j of them below each bound in turn: of the n - j others a binomial number falls
    below the next bound. At a lower bound i at most i - 1 may lie below it, at an upper one at
    least i.
    """
    n = len(low)
    stops = sorted(
        [(at, 0, i) for i, at in enumerate(low)] + [(at, 1, i) for i, at in enumerate(high)]
    )
    chances, before = np.eye(1, n + 1)[0], 0.0
    binomials = np.array([[comb(m, j) for j in range(n + 1)] for m in range(n + 1)], dtype=float)
    arrivals, rest = np.arange(n + 1), np.arange(n + 1)[:, None]
    for at, is_upper, i in stops:
        p = (at - before) / (1 - before)
        falls = binomials * p**arrivals * (1 - p) ** np.maximum(rest - arrivals, 0)
        moved = np.zeros(n + 1)
        for j in range(n + 1):
            moved[j:] += chances[j] * falls[n - j, : n + 1 - j]
        if is_upper:
            moved[: i + 1] = 0
        else:
            moved[i + 1 :] = 0
        chances, before = moved, at
    return float(chances.sum())


@cache
def _level(n: int) -> float:
    """The level at which all intervals hold together with 95%, by bisection."""
    low, high = np.log(0.05 / (2 * n)), np.log(0.05)
    while high - low > 1e-5:
        middle = (low + high) / 2
        low, high = (
            (middle, high) if all_inside(*_intervals(n, np.exp(middle))) > 0.95 else (low, middle)
        )
    return float(np.exp(low))


def _both(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The intervals at both ends of the level's tolerance, the wider ones first."""
    factors = np.exp([-_LEVEL_TOLERANCE, _LEVEL_TOLERANCE])
    return [_intervals(n, float(_level(n) * factor)) for factor in factors]


def bounded_curve(scores: np.ndarray, k: int, value: float) -> tuple[Within, Within]:
    """The band of the expected best of k of scores in [0, 1].

    The distribution function that lies as high as it may, with the rest at 0, and the one that
    lies as low as it may, with the rest at 1.
    """
    ordered = np.sort(scores)
    low, high = [], []
    for below, above in _both(len(scores)):
        least, greatest = np.append(0.0, ordered), np.append(ordered, 1.0)
        low.append(min(value, float(least @ np.diff(np.concatenate([[0], above, [1]]) ** k))))
        high.append(max(value, float(greatest @ np.diff(np.concatenate([[0], below, [1]]) ** k))))
    return Within(*low), Within(*high[::-1])


def unbounded_curve(
    scores: np.ndarray, k: int, value: float
) -> tuple[Within | None, Within | None]:
    """The band of the median best of k: the sorted scores that surely lie below and above it."""
    ordered, level = np.sort(scores), 0.5 ** (1 / k)
    low, high = [], []
    for below, above in _both(len(scores)):
        low.append(min([value, max(ordered[above <= level], default=-inf)]))
        high.append(max([value, min(ordered[below >= level], default=inf)]))
    return _known(low), _known(high[::-1])


def _known(ends: list[float]) -> Within | None:
    assert isfinite(ends[0]) == isfinite(ends[1])
    return Within(float(ends[0]), float(ends[1])) if isfinite(ends[0]) else None


def distribution(scores: np.ndarray) -> dict[str, object]:
    """The share of trials at or below each distinct score, and its band up to the next one."""
    n, distinct = len(scores), sorted(set(scores.tolist()))
    upto = [int((scores <= score).sum()) for score in distinct]
    (low, high), (least, most) = _both(n)
    highs, mosts = np.append(high, 1.0), np.append(most, 1.0)
    return {
        "scores": distinct,
        "share": [count / n for count in upto],
        "low": [Within(float(low[m - 1]), float(least[m - 1])) for m in upto],
        "high": [Within(float(mosts[m]), float(highs[m])) for m in upto],
        "below": Within(float(most[0]), float(high[0])),
    }
