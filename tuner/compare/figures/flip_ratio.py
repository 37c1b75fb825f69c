"""Flip ratios measured on each trial against those of the flip-rate law."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import (
    DASHED,
    MANY,
    QUIET,
    legend_below,
    plain,
    tidy,
)
from tuner.compare.figures.captions import left_out
from tuner.compare.figures.log_ticks import log_axis, power
from tuner.compare.figures.styles import Style, arm_styles
from tuner.compare.trial_filters import TrialFilters
from tuner.errors import InvalidInput


def flip_law_figure(
    arms: Sequence[tuple[str, TrialFilters]], styles: Mapping[str, Style]
) -> Figure:
    """Measured flip ratio against the law's, both logarithmic, with the diagonal of agreement.

    Filled markers are trials that violate no condition, hollow ones those that do; a trial is
    missing where the law says nothing, or where no flip was measured.

    Args:
        arms: Name and filters of each arm.
        styles: Arm name -> its style.

    Raises:
        InvalidInput: If there is no arm.
    """
    if not arms:
        raise InvalidInput("flip law figure: needs at least one arm, got none")
    drawing = Figure(figsize=(5.8, 4.6), layout="constrained")
    axes = drawing.subplots()
    handles: list[Artist] = []
    for name, filters in arms:
        style, shown = styles[name], filters.flipped
        for violated in (True, False):
            at = shown & (filters.any_violated == violated)
            axes.plot(
                filters.flip_ratio_law[at],
                filters.flip_ratio_measured[at],
                linestyle="",
                marker=style.marker,
                color=style.colour,
                markerfacecolor="none" if violated else style.colour,
                markersize=4.5,
                markeredgewidth=0.8,
                alpha=0.5 if violated else 0.9,
                rasterized=int(shown.sum()) > MANY,
            )
        label = plain(f"{name}: {int(shown.sum()):,} of {filters.n:,} trials")
        handles.append(
            Line2D([], [], linestyle="", marker=style.marker, color=style.colour, label=label)
        )
    log_axis(axes.xaxis, power)
    log_axis(axes.yaxis, power)
    seen = np.concatenate([f.flip_ratio_law[f.flipped] for _, f in arms])
    low, high = (seen.min(), seen.max()) if seen.size else (1e-3, 1e-2)
    axes.axline(
        (low, low),
        (max(high, 1.01 * low),) * 2,
        color=QUIET,
        linewidth=0.9,
        linestyle=DASHED,
        zorder=0,
    )
    axes.set_xlabel("flip ratio per step, law")
    axes.set_ylabel("flip ratio per step, measured")
    if any((f.any_violated & f.flipped).any() for _, f in arms):
        axes.set_title("hollow: a condition is violated", loc="left", fontsize=9, color=QUIET)
    legend_below(drawing, handles)
    tidy(axes, grid="both")
    return drawing


def arms(comparison: Comparison) -> dict[str, TrialFilters]:
    """Arm name -> its filters, of single searches of which a trial has both flip ratios."""
    return {
        detail.arm.name: detail.arm.filters
        for detail in comparison.single_details
        if detail.arm.filters is not None and detail.arm.filters.flipped.any()
    }


def draw(comparison: Comparison) -> Figure:
    """The flip ratios of all arms shown."""
    return flip_law_figure(list(arms(comparison).items()), arm_styles(comparison.names))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    drawn = arms(comparison)
    yield (
        "Share of weights that flip in a step, measured in the last epochs, against the law for "
        "gradients that are white noise. Dashed: both are the same."
    )
    if any((filters.any_violated & filters.flipped).any() for filters in drawn.values()):
        yield "Hollow: a condition of the equivalence is violated."
    if not all(filters.flipped.all() for filters in drawn.values()):
        yield "A trial is missing where the law says nothing or no flip was measured."
    yield from left_out(
        comparison.arms, comparison.single, drawn, "no trial with both flip ratios"
    )
