"""The tuning curves and the retrained incumbents, ready for a paper or a README.

Colours are Okabe and Ito's, told apart by every common kind of colour blindness; each arm also
has its own marker and line, so that the figure survives a black-and-white printer.
"""

import re
from collections.abc import Sequence
from io import StringIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from tuner.compare import words
from tuner.compare.comparison import ArmSummary, Comparison
from tuner.compare.protocol import ACCURACY

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", (0, (5, 2)), (0, (1, 1.4)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), "-", "-")
INK, QUIET = "#222222", "#6b6b6b"
FEW_TRIALS = 3
_LEVEL_NAMES = 4


def figure(comparison: Comparison) -> Figure:
    """Expected best of k against k with its bands; beside it each incumbent's test scores.

    Arms whose trials are not independent show their best score so far instead, as steps. Left out
    of the curves are the repeated searches, which have a figure of their own, and arms that search
    nothing; of the test scores the repeated searches.
    """
    retrained = [arm for arm in comparison.arms if arm.retrained is not None]
    drawing = Figure(figsize=(9.6 if retrained else 6.8, 4.4), layout="constrained")
    if retrained:
        left, right = drawing.subplots(1, 2, width_ratios=(2.5, 1))
        _test_scores(right, comparison)
    else:
        left = drawing.subplots()
    _tuning_curves(left, comparison)
    return drawing


def svg(comparison: Comparison) -> str:
    """The figure as an ``<svg>`` element to put into a page."""
    return as_svg(figure(comparison), "tuning_curves")


def as_svg(drawing: Figure, name: str) -> str:
    """A figure as an ``<svg>`` element to put into a page; the same numbers, the same bytes.

    Args:
        drawing: What to write.
        name: Differs between the figures of a page: their parts must not be taken for each
            other's.
    """
    buffer = StringIO()
    with rc_context({"svg.hashsalt": f"tuner {name}", "svg.fonttype": "none"}):
        drawing.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    text = buffer.getvalue()
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", text[text.index("<svg") :])


def _tuning_curves(axes: Axes, comparison: Comparison) -> None:
    protocol = comparison.protocol
    shown = _searched(comparison)
    for number, arm in shown:
        colour = COLOURS[number % len(COLOURS)]
        line = LINES[number % len(LINES)]
        if arm.curve:
            _curve(axes, arm, colour, line, MARKERS[number % len(MARKERS)], comparison.k)
        else:
            _traces(axes, arm, colour)
    axes.set_xscale("log")
    curves = [arm for _, arm in shown if arm.curve]
    longest = max(arm.n if arm.curve else arm.n // len(arm.trace) for _, arm in shown)
    axes.set_xlim(1, max(longest, 2))
    axes.set_ylim(*_limits(comparison))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda k, _: f"{k:,.0f}"))
    if curves:
        axes.axvline(comparison.k, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
        axes.annotate(
            f"k* = {comparison.k:,}",
            (comparison.k, 0.01),
            xycoords=("data", "axes fraction"),
            xytext=(4, 2),
            textcoords="offset points",
            color=QUIET,
            fontsize=8,
        )
    if protocol.target is not None:
        axes.axhline(protocol.target, color=QUIET, linewidth=0.8, linestyle=(0, (6, 3)), zorder=0)
        axes.annotate(
            f"target {words.score(protocol.target, protocol.unit)}",
            (1, protocol.target),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 3),
            textcoords="offset points",
            ha="right",
            color=QUIET,
            fontsize=8,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1},
        )
    axes.set_xlabel("trials k")
    title = f"Tuning curves with simultaneous {words.level(protocol)} bands"
    axes.set_title(title if curves else "Best so far", loc="left", fontsize=10, color=INK)
    axes.set_ylabel(f"{'expected ' if curves else ''}best {words.measure(protocol)}")
    axes.legend(frameon=False, loc="lower right", fontsize=9)
    tidy(axes, protocol.unit)


def _curve(
    axes: Axes, arm: ArmSummary, colour: str, line: object, marker: str, k_star: int
) -> None:
    ks = [point.k for point in arm.curve]
    values = [point.value for point in arm.curve]
    lows = [point.low for point in arm.curve]
    highs = [point.high for point in arm.curve]
    if None not in lows and None not in highs:
        axes.fill_between(ks, _floats(lows), _floats(highs), color=colour, alpha=0.14, linewidth=0)
    axes.plot(ks, values, color=colour, linestyle=line, linewidth=2, label=arm.name)
    for point in arm.best_of:
        if point.k == k_star:
            axes.plot(point.k, point.value, marker=marker, color=colour, markersize=6)
            if point.low is not None and point.high is not None:
                axes.vlines(point.k, point.low, point.high, color=colour, linewidth=2)


def _floats(bounds: Sequence[float | None]) -> np.ndarray:
    return np.array(bounds, dtype=np.float64)


def _traces(axes: Axes, arm: ArmSummary, colour: str) -> None:
    """Every repeat's best score so far, thinner the more there are."""
    width, opacity = (1.8, 1.0) if len(arm.trace) == 1 else (1.0, 0.55)
    for number, trace in enumerate(arm.trace):
        steps = [*(point.trial for point in trace), arm.n // len(arm.trace)]
        best = [*(point.best for point in trace), trace[-1].best]
        label = f"{arm.name} (best so far)" if number == 0 else None
        axes.step(
            steps, best, where="post", color=colour, linewidth=width, alpha=opacity, label=label
        )


def _searched(comparison: Comparison) -> list[tuple[int, ArmSummary]]:
    """The arms whose curves are drawn, each with its number: all, if nothing else is there."""
    once, every = comparison.protocol.searched_once, list(enumerate(comparison.arms))
    return [(number, arm) for number, arm in every if once(arm.name, arm.sampler)] or every


def _limits(comparison: Comparison) -> tuple[float, float]:
    """The scores worth looking at: from the lowest curve at a few trials to the highest score.

    The first two budgets may run out of the picture: where many trials diverge they lie so low
    that everything else would be squeezed into one line.
    """
    arms = [arm for _, arm in _searched(comparison)]
    shown: list[float] = [arm.best for arm in arms]
    for arm in arms:
        shown += [point.value for point in arm.curve if point.k >= min(FEW_TRIALS, arm.n)]
        if not arm.curve:
            shown += [trace[-1].best for trace in arm.trace]
    if comparison.protocol.target is not None:
        shown.append(comparison.protocol.target)
    margin = 0.08 * (max(shown) - min(shown)) or 0.01
    return min(shown) - margin, max(shown) + margin


def _test_scores(axes: Axes, comparison: Comparison) -> None:
    """Every fresh seed as a dot, the mean with its interval beside them."""
    names: list[str] = []
    for number, arm in enumerate(comparison.arms):
        if arm.retrained is None or arm.name in (comparison.protocol.repeated or ()):
            continue
        place, colour = len(names), COLOURS[number % len(COLOURS)]
        names.append(arm.name)
        scores = np.array(arm.retrained.test_scores)
        spread = np.linspace(-0.12, 0.12, scores.size) if scores.size > 1 else np.zeros(1)
        axes.plot(
            place + spread,
            scores,
            ".",
            color=colour,
            alpha=0.45,
            markersize=7,
            markeredgewidth=0,
        )
        mean = arm.retrained.test
        low, high = mean.interval or (mean.value, mean.value)
        axes.vlines(place + 0.28, low, high, color=colour, linewidth=2)
        axes.plot(
            place + 0.28,
            mean.value,
            marker=MARKERS[number % len(MARKERS)],
            color=colour,
            markersize=6,
        )
    axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
    if len(names) > _LEVEL_NAMES:
        axes.set_xticklabels(names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.5, len(names) - 0.3)
    axes.set_ylabel("test accuracy" if comparison.protocol.unit == ACCURACY else "test score")
    axes.set_title("Incumbents, fresh seeds", loc="left", fontsize=10, color=INK)
    tidy(axes, comparison.protocol.unit)


def tidy(axes: Axes, unit: str) -> None:
    """Quiet axes, a light grid, per cent where the scores are accuracies."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(QUIET)
    axes.grid(axis="y", color="#888888", alpha=0.18, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(INK)
        label.set_fontsize(9.5)
    if unit == ACCURACY:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
