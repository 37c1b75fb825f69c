"""Performance profiles: share of the workloads within a factor of the best, against it."""

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tuner.compare import words
from tuner.compare.figures.axes import legend_below, plain, tidy, title
from tuner.compare.figures.log_ticks import log_axis, plain_number
from tuner.compare.figures.styles import arm_styles
from tuner.compare.statistics.across.profiles import performance_profile
from tuner.compare.suite.outcome import Suite

_BEYOND = 1.15
"""The axis ends so far beyond the last step."""


def draw(suite: Suite) -> Figure:
    """A rising step of each arm, with the interval of its share at each factor."""
    drawing = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = drawing.subplots()
    styles = arm_styles(suite.arms)
    finite = suite.ratios[np.isfinite(suite.ratios)]
    last = max(2.0, float(finite.max()) if finite.size else 1.0) * _BEYOND
    for place, arm in enumerate(suite.arms):
        ratios = suite.ratios[:, place]
        steps = np.unique([1.0, *ratios[np.isfinite(ratios)], last])
        shares = performance_profile(ratios, steps.tolist(), confidence=suite.protocol.confidence)
        style = styles[arm]
        axes.fill_between(
            steps,
            [share.low or 0.0 for share in shares],
            [share.high or 0.0 for share in shares],
            step="post",
            color=style.colour,
            alpha=0.1,
            linewidth=0,
        )
        axes.step(
            steps,
            [share.value for share in shares],
            where="post",
            color=style.colour,
            linestyle=style.line,
            linewidth=1.8,
            marker=style.marker,
            markersize=5,
            markevery=slice(len(steps) - 1),
            clip_on=False,
            label=plain(arm),
        )
    log_axis(axes.xaxis, plain_number, least=1)
    axes.set_xlim(1, last)
    axes.set_ylim(0, 1.03)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("factor of the fewest random trials to the target")
    axes.set_ylabel("share of the workloads")
    title(axes, "Performance profile")
    legend_below(drawing, axes.get_legend_handles_labels()[0])
    tidy(axes)
    return drawing


def caption(suite: Suite) -> str:
    """What is drawn, and what a miss is."""
    return " ".join(_sentences(suite))


def _sentences(suite: Suite) -> Iterator[str]:
    yield (
        "Of each arm, the share of the workloads on which it reaches the target within so many "
        "times the fewest random trials of any arm here. At 1: where it needs the fewest. At the "
        "right end: where it reaches the target at all; a miss is infinitely far."
    )
    yield (
        f"Shaded: the {words.level(suite.protocol)} interval of the share at each factor, of a "
        "random draw of workloads, by the numbers of trials as they were measured."
    )
    if len(suite.arms) > 2:
        yield "Who is the best is decided among all of these arms: without one, others may be."
