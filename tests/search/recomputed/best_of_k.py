"""The best of k random trials, from its definition: by counting the subsets of k trials.

Numbers that the report finds by drawing are stated as the range that they must lie in: the
quantile at level q of N draws lies between the true ones at the levels of ``_levels``, but for
one case in 10,000 at either end.
"""

from functools import cache
from math import comb, inf, isfinite, sqrt
from statistics import NormalDist

import numpy as np
from recomputed.rows import Trials
from recomputed.walk import Within
from scipy.stats import beta

_RARE = 1e-4
_OWN_DRAWS = 20_000
_OWN_ERROR = 0.0045
"""Of a quantile's level, near ``TAIL``: four standard errors of our own draws."""
TAIL = 0.025


def weights(n: int, k: int) -> np.ndarray:
    """Chance that each of n sorted trials is the best of k of them, drawn without replacement."""
    return np.array([comb(i - 1, k - 1) / comb(n, k) for i in range(1, n + 1)])


def expected(scores: np.ndarray, k: int) -> float:
    return float(weights(len(scores), k) @ np.sort(scores))


def median(scores: np.ndarray, k: int) -> float:
    """The median over all subsets of k trials of their best one, in whole numbers of subsets."""
    ordered, subsets = np.sort(scores), comb(len(scores), k)
    upto = [comb(i, k) for i in range(1, len(scores) + 1)]
    first = next(i for i, count in enumerate(upto) if 2 * count >= subsets)
    above = first + 1 if 2 * upto[first] == subsets else first
    return float(ordered[first] / 2 + ordered[above] / 2)


def fewest_for_interval(k: int) -> int:
    return 1000 if k == 1 else max(20, 10 * k)


def fewest_for_ends(k: int) -> int:
    """Trials per arm from which on both ends of a difference of medians are finite.

    One is not where all trials of one arm, or none of the other's, lie below the quantile.
    """
    level = 0.5 ** (1 / k)
    return next(n for n in range(1, 100 * k) if (1 - level**n) * (1 - (1 - level) ** n) > 1 - TAIL)


def wins(first: Trials, second: Trials, k: int) -> dict[str, float | None]:
    """P(best of k of the first beats the second's), ties half, with Wilson's interval."""
    a, b = np.sort(first.scores), np.sort(second.scores)
    beaten = (a[:, None] > b) + (a[:, None] == b) / 2
    share = float(weights(len(a), k) @ beaten @ weights(len(b), k))
    n = min(first.n, second.n)
    if n < fewest_for_interval(k):
        return {"value": share, "low": None, "high": None}
    z, searches = NormalDist().inv_cdf(1 - TAIL), n / k
    middle = (share + z**2 / (2 * searches)) / (1 + z**2 / searches)
    half = z * sqrt(share * (1 - share) / searches + z**2 / (4 * searches**2))
    half /= 1 + z**2 / searches
    return {"value": share, "low": middle - half, "high": middle + half}


def bounded(
    arms: list[Trials], k: int, *, bounds: tuple[float, float], draws: int
) -> dict[str, object]:
    """The expected best of k of an arm, or of the first less the second; its interval as drawn.

    The chances that a fresh trial falls below each of n sorted scores are n sorted uniform
    numbers: fresh trials between two scores lie at the lower ones, or all at the upper ones.
    """
    values = [expected(arm.scores, k) for arm in arms]
    value = values[0] if len(arms) == 1 else values[0] - values[1]
    if min(arm.n for arm in arms) < fewest_for_interval(k):
        return {"value": value, "low": None, "high": None}
    ends = []
    for number, arm in enumerate(arms):
        steps = _chances(arm.n, number, k)
        ordered = np.sort(arm.scores)
        least = steps @ np.append(bounds[0], ordered)
        greatest = steps @ np.append(ordered, bounds[1])
        ends.append((least, greatest))
    lower, upper = ends[0]
    if len(arms) == 2:
        lower, upper = lower - ends[1][1], upper - ends[1][0]
    first, last = _levels(draws)
    levels = max(first - _OWN_ERROR, 0.0), last + _OWN_ERROR
    low = Within(*(min(value, float(np.quantile(lower, q))) for q in levels))
    high = Within(*(max(value, float(np.quantile(upper, 1 - q))) for q in levels[::-1]))
    return {"value": value, "low": low, "high": high}


@cache
def _chances(n: int, number: int, k: int) -> np.ndarray:
    """Of each draw: the chance that the best of k fresh trials lies between two neighbours."""
    return np.diff(_uniforms(n, number) ** k, axis=1)


@cache
def _uniforms(n: int, number: int) -> np.ndarray:
    """Rows of n sorted uniform numbers, with 0 before and 1 behind them."""
    drawn = np.random.default_rng([n, number]).random((_OWN_DRAWS, n))
    return np.pad(np.sort(drawn, axis=1), ((0, 0), (1, 1)), constant_values=(0.0, 1.0))


def unbounded(arms: list[Trials], k: int, *, draws: int) -> dict[str, object]:
    """The median best of k of an arm, or of the first less the second; its interval as drawn.

    The number of trials below the quantile at 1/2^(1/k) is binomial, so the chance of each lower
    and upper end is known.
    """
    values = [median(arm.scores, k) for arm in arms]
    value = values[0] if len(arms) == 1 else values[0] - values[1]
    sides = [_sides(arm.scores, k) for arm in arms]
    (lower, upper), chances = sides[0][:2], sides[0][2]
    if len(arms) == 2:
        lower, upper = (
            np.subtract.outer(ours, theirs).ravel()
            for ours, theirs in ((lower, sides[1][1]), (upper, sides[1][0]))
        )
        chances = np.multiply.outer(chances, sides[1][2]).ravel()
    low = [min(value, _quantile(lower, chances, q)) for q in _levels(draws)]
    high = [max(value, -_quantile(-upper, chances, q)) for q in _levels(draws)[::-1]]
    for ends in (low, high):
        assert isfinite(ends[0]) == isfinite(ends[1]), "hangs on the draws; take other studies"
    if not all(map(isfinite, low + high)):
        return {"value": value, "low": None, "high": None}
    return {"value": value, "low": Within(*low), "high": Within(*high)}


def _sides(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores below and above the quantile for each number of trials below it, and its chance."""
    n, level = len(scores), 0.5 ** (1 / k)
    ordered = np.concatenate([[-inf], np.sort(scores), [inf]])
    chances = [comb(n, j) * level**j * (1 - level) ** (n - j) for j in range(n + 1)]
    return ordered[:-1], ordered[1:], np.array(chances)


def _quantile(values: np.ndarray, chances: np.ndarray, level: float) -> float:
    order = np.argsort(values)
    place = np.searchsorted(np.cumsum(chances[order]), level)
    return float(values[order[place]])


def _levels(draws: int) -> tuple[float, float]:
    """Between which true levels the quantile at ``TAIL`` of so many draws lies."""
    below = TAIL * (draws - 1)  # draws below it, by the definition of a sample's quantile
    first, last = int(below) + 1, int(below) + 2
    low = float(beta.ppf(_RARE, first, draws + 1 - first))
    high = float(beta.ppf(1 - _RARE, last, draws + 1 - last))
    return low, high
