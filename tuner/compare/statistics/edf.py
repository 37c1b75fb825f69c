"""Empirical distribution of all trials' scores, failures included, with a simultaneous band.

Optuna's ``plot_edf`` counts finished trials only: eight failures and two good trials draw as two
good ones. Here a failed trial has its chance score and stays in the denominator.
"""

from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from tuner.compare.statistics.bands import order_statistic_intervals
from tuner.compare.statistics.estimate import Floats
from tuner.errors import InvalidInput

LARGEST_EXACT_N = 5_000
"""Trials up to which the band is opda's; above it is DKW's, which is wider at both ends only."""


@dataclass(frozen=True)
class Edf:
    """Share of trials that score at most x, at every distinct score.

    Between two scores the curve and its band keep the values of the lower one.

    Args:
        scores: The d distinct scores, ascending, shape [d].
        share: Share of all trials at or below each, shape [d].
        low: Lower bound of the distribution function from each score to the next, shape [d].
        high: Upper bound, shape [d].
        below: Upper bound left of the lowest score; the lower one is 0 there.
    """

    scores: Floats
    share: Floats
    low: Floats
    high: Floats
    below: float


def empirical_distribution(scores: Floats, *, confidence: float = 0.95) -> Edf:
    """The empirical distribution function with a band that holds everywhere at once.

    F(x_(i)) lies in the interval of the i-th of n uniform order statistics. Valid for independent
    trials of any distribution; ties only make it wider than it need be.

    Args:
        scores: One per trial, failed ones at chance, shape [n].
        confidence: Chance that the whole distribution function lies in the band, in (0, 1).

    Raises:
        InvalidInput: If there is no score, or one is not finite.

    Source: opda's "ld_equal_tailed" band (see ``bands``); above ``LARGEST_EXACT_N`` trials the
    Dvoretzky-Kiefer-Wolfowitz band, share +- sqrt(ln(2 / (1 - confidence)) / 2n), Massart (1990).
    """
    n = scores.size
    if n == 0 or not np.isfinite(scores).all():
        bad = int((~np.isfinite(scores)).sum())
        raise InvalidInput(
            f"empirical distribution: needs at least one score and all finite, got {n} scores, "
            f"{bad} of them not finite; score a failed trial as chance"
        )
    distinct, counts = np.unique(scores, return_counts=True)
    upto = counts.cumsum()
    if n > LARGEST_EXACT_N:
        half = sqrt(log(2 / (1 - confidence)) / (2 * n))
        low, high = np.maximum(upto / n - half, 0.0), np.minimum(upto / n + half, 1.0)
        return Edf(distinct, upto / n, low, high, half)
    lows, highs = order_statistic_intervals(n, confidence)
    # Up to the next score, F is below that score's own bound: the one after the last tie.
    above = np.append(highs, 1.0)[upto]
    return Edf(distinct, upto / n, lows[upto - 1], above, float(highs[0]))
