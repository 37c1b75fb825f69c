"""Looks at a comparison while it runs, declared beforehand: how often each may miss.

After a share t of the searches planned, what is known of a difference behaves as a Brownian motion
at the time t. O'Brien and Fleming call it a difference where the motion leaves a band of constant
width, chosen so that it leaves it at any of the looks with the probability allowed: an early look
needs much, and the last one hardly more than without the others.

Source: O'Brien and Fleming (1979), Biometrics 35; the probability by the recursion of Armitage,
McPherson and Rowe (1969), Journal of the Royal Statistical Society A 132.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import ceil

import numpy as np
import scipy

FEWEST_SEARCHES = 10
"""Searches of each space below which no interval is stated: it would cover too rarely."""

STRICT = 0.7
"""Share of 1 - confidence that all looks together may miss: the rest is for what the test of few
searches misses more often than it states."""

_NODES = 64


def looks(planned: int, confidence: float, shares: Sequence[float] = ()) -> dict[int, float]:
    """After how many searches of each space an interval is stated -> how often it may miss.

    No look may miss more rarely than n throws of a coin all fall alike: then it says nothing.

    Args:
        planned: Searches of each space.
        confidence: Of all looks together, in (0, 1).
        shares: Of those planned after which an earlier look is taken, each in (0, 1).
    """
    numbers = sorted({*(ceil(share * planned) for share in shares), planned})
    due = tuple(n for n in numbers if n >= FEWEST_SEARCHES)
    if not due:
        return {}
    allowed = levels(tuple(n / planned for n in due), STRICT * (1 - confidence))
    return {n: a for n, a in zip(due, allowed, strict=True) if 2.0 ** (1 - n) <= a}


@lru_cache(maxsize=256)
def levels(times: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """Two-sided level of each look, so that any of them errs with the probability alpha.

    Args:
        times: Shares of what is planned, rising, the last one 1.
        alpha: In (0, 1).
    """
    widest = float(scipy.stats.norm.isf(alpha / 2 / len(times)))
    narrowest = float(scipy.stats.norm.isf(alpha / 2))
    width = (
        narrowest
        if len(times) == 1
        else scipy.optimize.brentq(
            lambda w: _stays(w, times) - (1 - alpha), narrowest / 2, 2 * widest
        )
    )
    return tuple(float(2 * scipy.stats.norm.sf(width / np.sqrt(time))) for time in times)


def _stays(width: float, times: Sequence[float]) -> float:
    """Probability that a Brownian motion is within +-width at each of these times."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    nodes, weights = width * nodes, width * weights
    density, before = scipy.stats.norm.pdf(nodes, scale=np.sqrt(times[0])), times[0]
    for time in times[1:]:
        steps = scipy.stats.norm.pdf(nodes[:, None] - nodes, scale=np.sqrt(time - before))
        density, before = steps @ (weights * density), time
    return float(weights @ density)
