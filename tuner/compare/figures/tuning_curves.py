"""The tuning curves and the retrained incumbents, ready for a paper or a README."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import (
    QUIET,
    broken,
    in_unit,
    label_target,
    legend_below,
    mark_target,
    plain,
    tidy,
    title,
)
from tuner.compare.figures.captions import left_out, listed, target_line
from tuner.compare.figures.incumbents import hidden, scores_panel
from tuner.compare.figures.log_ticks import log_axis, plain_number
from tuner.compare.figures.styles import Style, arm_styles
from tuner.compare.summary import ArmSummary

FEW_TRIALS = 3
_LINE, _GAP = 0.16, 0.06
"""Inches: of a line of an arm's name, and between two names."""


def draw(comparison: Comparison) -> Figure:
    """Expected best of k against k with its bands; beside it each incumbent's test scores.

    Arms whose trials are not those of a random search show their best score so far instead, as
    steps. ``arms`` and ``arms_afresh`` say which arms are drawn.
    """
    looks = arm_styles(comparison.names)
    retrained = arms_afresh(comparison)
    if retrained:
        names = [broken(arm.name, 20) for arm in retrained]
        lines = max(name.count("\n") + 1 for name in names)
        height = max(4.4, 1.2 + (_GAP + _LINE * lines) * len(names))
        drawing = Figure(figsize=(9.8, height), layout="constrained")
        left, right = drawing.subplots(1, 2, width_ratios=(2.4, 1))
        scores_panel(right, retrained, names, looks, comparison.protocol)
    else:
        drawing = Figure(figsize=(6.8, 4.4), layout="constrained")
        left = drawing.subplots()
    _draw_curves(left, comparison, looks)
    legend_below(drawing, left.get_legend_handles_labels()[0])
    return drawing


def arms(comparison: Comparison) -> list[ArmSummary]:
    """The arms whose curves are drawn: those searched once, or all if there is none."""
    return [arm for arm in comparison.arms if arm.name in comparison.single]


def arms_afresh(comparison: Comparison) -> list[ArmSummary]:
    """The arms whose fresh test scores are drawn, but for repeated searches.

    Those of the settings that searches selected, if there are any; else of the incumbents.
    """
    repeated = comparison.protocol.repeated or ()
    single = [arm for arm in comparison.arms if arm.name not in repeated]
    return [arm for arm in single if arm.selected] or [arm for arm in single if arm.retrained]


def banded(arm: ArmSummary) -> bool:
    """Whether the arm's tuning curve has a band."""
    return bool(arm.curve) and all(None not in (point.low, point.high) for point in arm.curve)


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join((*_about_curves(comparison), *_about_incumbents(comparison)))


def _about_curves(comparison: Comparison) -> Iterator[str]:
    drawn, level = arms(comparison), words.level(comparison.protocol)
    curves, steps = [arm for arm in drawn if arm.curve], [arm for arm in drawn if not arm.curve]
    if curves:
        kind = words.best_of(comparison.k, comparison.protocol).split()[0].capitalize()
        yield f"{kind} best of k random trials."
    if any(map(banded, curves)):
        yield f"Shaded: bands that hold the whole curve with {level} confidence."
    at_k = [point for arm in curves for point in arm.best_of if point.k == comparison.k]
    if at_k:
        sure = [point.low is not None for point in at_k]
        interval = f", with its own {level} interval" if any(sure) else ""
        enough = "" if all(sure) or not interval else " where there are trials enough"
        yield f"Marked: that of k* trials{interval}{enough}."
    if steps:
        yield f"Steps: the best score so far ({', '.join(arm.name for arm in steps)})."
    yield from target_line(comparison.protocol)
    yield from left_out(comparison.arms, comparison.single, {arm.name for arm in drawn})


def _about_incumbents(comparison: Comparison) -> Iterator[str]:
    """About the panel of test scores."""
    drawn = arms_afresh(comparison)
    if not drawn:
        return
    selected = any(arm.selected for arm in drawn)
    what = (
        "what each search selected, trained afresh"
        if selected
        else ("incumbents trained again with fresh seeds")
    )
    sentence = f"Beside it, {what}: each run on the test set, and the median"
    medians = [arm.selected.median if arm.selected else None for arm in drawn] + [
        arm.retrained.test if arm.retrained and not arm.selected else None for arm in drawn
    ]
    sure = any(median is not None and median.interval for median in medians)
    yield sentence + (f" with its {words.level(comparison.protocol)} interval." if sure else ".")
    side = "right" if comparison.protocol.minimized else "left"
    yield from listed(
        f"Further to the {side} than the panel reaches, at an arrow",
        hidden(drawn, comparison.protocol),
    )
    there = {arm.name for arm in drawn}
    repeated = comparison.protocol.repeated or ()
    yield from listed(
        "Not beside it",
        {
            arm.name: "repeated searches" if arm.name in repeated else "not trained afresh"
            for arm in comparison.arms
            if arm.name not in there
        },
    )


def _draw_curves(axes: Axes, comparison: Comparison, styles: Mapping[str, Style]) -> None:
    protocol = comparison.protocol
    shown = arms(comparison)
    for arm in shown:
        line = _curve if arm.curve else _traces
        line(axes, arm, styles[arm.name], comparison.k)
    log_axis(axes.xaxis, plain_number, least=1)
    longest = max(arm.n if arm.curve else arm.n // len(arm.trace) for arm in shown)
    axes.set_xlim(1, max(longest, 2))
    axes.set_ylim(*_limits(comparison))
    curves = any(arm.curve for arm in shown)
    if curves:
        axes.axvline(comparison.k, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)), zorder=0)
        axes.annotate(
            f"k* = {comparison.k:,}",
            (comparison.k, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=QUIET,
            fontsize=8,
        )
    mark_target(axes, protocol)
    label_target(axes, protocol)
    axes.set_xlabel("trials k" if curves else "trials")
    bands = f" with simultaneous {words.level(protocol)} bands"
    heading = f"Tuning curves{bands if any(map(banded, shown)) else ''}"
    title(axes, heading if curves else "Best so far", pad=18)
    kind = "expected" if protocol.bounded else "median"
    axes.set_ylabel(plain(f"{f'{kind} ' if curves else ''}best {words.measure(protocol)}"))
    in_unit(axes.yaxis, protocol)
    tidy(axes)


def _curve(axes: Axes, arm: ArmSummary, style: Style, k_star: int) -> None:
    ks = [point.k for point in arm.curve]
    if banded(arm):
        lows, highs = (
            np.array(bounds, dtype=np.float64)
            for bounds in zip(*((point.low, point.high) for point in arm.curve), strict=True)
        )
        axes.fill_between(ks, lows, highs, color=style.colour, alpha=0.14, linewidth=0)
    axes.plot(
        ks,
        [point.value for point in arm.curve],
        color=style.colour,
        linestyle=style.line,
        linewidth=2,
        marker=style.marker,
        markersize=6,
        markevery=[i for i, k in enumerate(ks) if k == k_star],
        label=plain(arm.name),
    )
    for point in arm.best_of:
        if point.k == k_star and point.low is not None and point.high is not None:
            axes.vlines(point.k, point.low, point.high, color=style.colour, linewidth=2)


def _traces(axes: Axes, arm: ArmSummary, style: Style, _: int) -> None:
    """Every repeat's best score so far, thinner the more there are."""
    width, opacity = (1.8, 1.0) if len(arm.trace) == 1 else (1.0, 0.55)
    for number, trace in enumerate(arm.trace):
        axes.step(
            [*(point.trial for point in trace), arm.n // len(arm.trace)],
            [*(point.best for point in trace), trace[-1].best],
            where="post",
            color=style.colour,
            linestyle=style.line,
            linewidth=width,
            alpha=opacity,
            marker=style.marker,
            markersize=5,
            markevery=[len(trace)],
            label=plain(f"{arm.name} (best so far)") if number == 0 else None,
        )


def _limits(comparison: Comparison) -> tuple[float, float]:
    """The scores worth looking at: from the lowest curve at a few trials to the highest score.

    The first two budgets may run out of the picture: where many trials diverge they lie so low
    that everything else would be squeezed into one line.
    """
    shown: list[float] = [arm.best for arm in arms(comparison)]
    for arm in arms(comparison):
        shown += [point.value for point in arm.curve if point.k >= min(FEW_TRIALS, arm.n)]
        if not arm.curve:
            shown += [trace[-1].best for trace in arm.trace]
    if comparison.protocol.target is not None:
        shown.append(comparison.protocol.target)
    margin = 0.08 * (max(shown) - min(shown)) or 0.01
    return min(shown) - margin, max(shown) + margin
