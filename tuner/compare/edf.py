"""Empirical distribution of all trials' scores, failures included, with a simultaneous band.

Optuna's ``plot_edf`` counts finished trials only: eight failures and two good trials draw as two
good ones. Here a failed trial has its chance score and stays in the denominator.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.axes import in_unit, legend_below, tidy, title
from tuner.compare.bands import order_statistic_intervals
from tuner.compare.protocol import ACCURACY, Arm, Floats, Protocol
from tuner.compare.styles import Style
from tuner.errors import InvalidInput

LARGEST_EXACT_N = 5_000
"""Trials up to which the band is opda's; above it is DKW's, which is wider at both ends only."""


_MOST_STEPS = 2000
"""More could not be seen, and would make a page of megabytes."""


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


def edf_figure(arms: Sequence[Arm], protocol: Protocol, styles: Mapping[str, Style]) -> Figure:
    """Each arm's empirical distribution; with its band where the trials are independent.

    The further to the right, the better; how far up a curve starts is the share that failed.

    Args:
        arms: Those to show.
        protocol: For the unit and the level.
        styles: Arm name -> its style.
    """
    drawing = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = drawing.subplots()
    everything = np.concatenate([arm.scores for arm in arms]) if arms else np.zeros(1)
    margin = 0.03 * float(np.ptp(everything)) or 0.01
    left, right = float(everything.min()) - margin, float(everything.max()) + margin
    for arm in arms:
        _steps(axes, arm, styles[arm.name], protocol, ends=(left, right))
    axes.set_xlim(left, right)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(words.measure(protocol))
    axes.set_ylabel("share of trials at or below")
    failed = ", failed ones included" if any(arm.failed.any() for arm in arms) else ""
    bands = f", simultaneous {words.level(protocol)} bands"
    title(axes, f"All trials{failed}{bands if any(arm.independent for arm in arms) else ''}")
    legend_below(drawing, axes.get_legend_handles_labels()[0])
    in_unit(axes.xaxis, protocol.unit)
    in_unit(axes.yaxis, ACCURACY)
    tidy(axes)
    return drawing


def _steps(
    axes: Axes, arm: Arm, style: Style, protocol: Protocol, *, ends: tuple[float, float]
) -> None:
    edf = empirical_distribution(arm.scores, confidence=protocol.confidence)
    x = np.concatenate([[ends[0]], edf.scores, [ends[1]]])
    share = np.concatenate([[0.0], edf.share, [1.0]])
    kept = np.unique(np.linspace(0, x.size - 1, min(x.size, _MOST_STEPS)).astype(int))
    x, share = x[kept], share[kept]
    if arm.independent:
        low = np.concatenate([[0.0], edf.low, edf.low[-1:]])[kept]
        high = np.concatenate([[edf.below], edf.high, [1.0]])[kept]
        axes.fill_between(x, low, high, step="post", color=style.colour, alpha=0.14, linewidth=0)
    failed = int(arm.failed.sum())
    axes.step(
        x,
        share,
        where="post",
        color=style.colour,
        linestyle=style.line,
        linewidth=1.8,
        marker=style.marker,
        markersize=5,
        markevery=[int(np.searchsorted(share, 0.5))],
        label=f"{arm.name} ({failed} of {arm.n} failed)" if failed else f"{arm.name} ({arm.n})",
    )
