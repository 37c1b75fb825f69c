"""Simultaneous confidence bands of a tuning curve.

The band of the scores' distribution function becomes a band of the curve through opda's
``EmpiricalDistribution``. opda finds the level of that band by simulation (100,000 samples: seven
seconds at n = 200, 1.6 GB at n = 2,000); here it is computed exactly, in 60 ms and kilobytes.

Source: Learned-Miller & DeStefano (2008); Lourie, Cho & He (2023), arXiv:2311.09480. The exact
level is the two-sided boundary crossing probability of Khmaladze & Shinjikashvili (2001).
"""

from collections.abc import Sequence
from functools import cache
from math import exp, log

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Floats, Ints

_FEW, _MANY = 1000, 16_000
_STEP = 0.02


def tuning_curve_band(
    scores: Floats,
    ks: Sequence[int],
    *,
    confidence: float = 0.95,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> tuple[Floats, Floats]:
    """Lower and upper bound of the expected best of k, holding at every k at once.

    Valid for any distribution within ``bounds``; ties only make it wider than it need be.

    Args:
        scores: Scores of independent trials, shape [n].
        ks: Budgets, at least 1.
        confidence: Chance that the whole curve lies in the band, in (0, 1).
        bounds: Least and greatest score possible; where infinite, so is that side of the band.

    Returns:
        Two arrays of shape [len(ks)].
    """
    least, greatest = bounds
    low, high = order_statistic_intervals(scores.size, confidence)
    ordered = np.sort(scores)
    budgets = np.asarray(ks)
    # Mass of the upper band of the distribution function on (least, x_(1), ..), of the lower one
    # on (x_(1), .., greatest): the first gives the curve's lower bound, the second its upper.
    pessimist = np.diff(np.concatenate([[0.0], high, [1.0]]))
    optimist = np.diff(np.concatenate([[0.0], low, [1.0]]))
    return (
        _expected_best(np.concatenate([[least], ordered]), pessimist, budgets),
        _expected_best(np.concatenate([ordered, [greatest]]), optimist, budgets),
    )


def _expected_best(values: Floats, masses: Floats, ks: Ints) -> Floats:
    if not np.isfinite(values).all():
        return np.full(len(ks), values[~np.isfinite(values)][0])
    from opda.nonparametric import EmpiricalDistribution  # scipy.stats takes a second to import

    curve: Floats = EmpiricalDistribution(values, ws=masses).average_tuning_curve(ks)
    return curve


@cache
def order_statistic_intervals(n: int, confidence: float) -> tuple[Floats, Floats]:
    """Equal-tailed intervals that hold all n uniform order statistics at once, shapes [n].

    Each is a beta interval of one level, chosen so that all hold together with ``confidence``.
    """
    return _intervals(n, _log_level(n, confidence))


def _intervals(n: int, log_level: float) -> tuple[Floats, Floats]:
    i = np.arange(1, n + 1)
    low = scipy.special.betaincinv(i, n + 1 - i, exp(log_level) / 2)
    return low, 1 - low[::-1]


@cache
def _log_level(n: int, confidence: float) -> float:
    """Logarithm of the level of each interval, to a thousandth.

    It is nearly a parabola over log log n: those of fewer draws, which are found soon, lead to
    it, and from 16,000 draws on to a thousandth already.
    """
    if n > _FEW:
        sizes = (n // 4, n // 16, n // 64)
        known = [_log_level(size, confidence) for size in sizes]
        parabola = np.polyfit([log(log(size)) for size in sizes], known, 2)
        start = end = float(np.polyval(parabola, log(log(n))))
        if n > _MANY:
            return start

    @cache
    def excess(log_level: float) -> float:
        return noncrossing_probability(*_intervals(n, log_level)) - confidence

    alone = log(1 - confidence)
    if n == 1:
        return alone
    if n <= _FEW:
        start, end = alone - log(2 * n), alone
    else:
        step = _STEP if excess(start) > 0 else -_STEP
        while excess(start) * excess(end) > 0:
            start, end = end, end + step
    return float(scipy.optimize.brentq(excess, start, end, xtol=1e-3))


def noncrossing_probability(low: Floats, high: Floats) -> float:
    """Chance that low_i <= U_(i) <= high_i for every i, for n sorted uniform draws.

    The number of draws below t is a Poisson process of rate n, given that n fall in [0, 1]. It is
    followed from one bound to the next, and every count that breaks a bound is dropped.

    Args:
        low: Non-decreasing lower bounds in [0, 1], shape [n].
        high: Non-decreasing upper bounds in [0, 1], shape [n], none below ``low``.
    """
    n = low.size
    times = np.concatenate([np.sort(np.concatenate([low, high])), [1.0]])
    fewest = np.searchsorted(high, times, side="right")
    most = np.searchsorted(low, times, side="left")
    fewest[-1] = most[-1] = n
    means = n * np.diff(times, prepend=0.0)
    counts = np.arange(n + 1)
    log_factorial = scipy.special.gammaln(counts + 1.0)
    chances, first = np.ones(1), 0
    for mean, least, greatest in zip(means.tolist(), fewest.tolist(), most.tolist(), strict=True):
        if mean > 0:
            reach = min(greatest - first, int(mean + 10 * mean**0.5 + 25)) + 1
            arrivals = np.exp(counts[:reach] * log(mean) - mean - log_factorial[:reach])
            chances = np.convolve(chances, arrivals)
        chances = chances[least - first : greatest - first + 1]
        first = least
    return float(chances[-1] / scipy.stats.poisson.pmf(n, n))
