"""The plane of gradient filters: where each trial of an arm lies in it."""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import (
    INK,
    MANY,
    PER_ROW,
    QUIET,
    in_unit,
    legend_below,
    panels,
    tidy,
    title,
)
from tuner.compare.figures.captions import left_out
from tuner.compare.figures.log_ticks import FONT_SIZE, log_axis, power
from tuner.compare.figures.styles import Style, arm_styles
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Bools, Floats
from tuner.compare.trial_filters import TrialFilters, check_scores
from tuner.errors import InvalidInput


def plane_figure(
    arms: Sequence[tuple[str, TrialFilters, Floats]],
    protocol: Protocol,
    styles: Mapping[str, Style],
) -> Figure:
    """Every trial in the plane (alpha, gamma), coloured by its score: one panel per arm.

    Filled markers are trials that violate no condition of the equivalence, hollow ones those that
    do; better trials are darker and lie on top. Trials without a real filter are counted in words.

    Args:
        arms: Name, filters and scores [n] of each arm.
        protocol: For the unit and the direction.
        styles: Arm name -> its style.

    Raises:
        InvalidInput: If there is no arm, or scores are not one finite number per trial.
    """
    if not arms:
        raise InvalidInput("plane figure: needs at least one arm, got none")
    for name, filters, scores in arms:
        check_scores(f"plane figure, arm {name!r}", filters, scores)
    everything = np.concatenate([scores for _, _, scores in arms])
    colours = ScalarMappable(
        Normalize(everything.min(), max(everything.max(), everything.min() + 1e-9)),
        colormaps["viridis_r"],
    )
    drawing, grid = panels(len(arms), width=3.2, height=3.5, share=True)
    for axes, (name, filters, scores) in zip(grid, arms, strict=True):
        _panel(axes, filters, scores, colours, styles[name])
        title(axes, name, longest=32)
    for axes in grid[::PER_ROW]:
        axes.set_ylabel("gamma")
    bar = drawing.colorbar(colours, ax=grid, pad=0.01, aspect=20 * ceil(len(grid) / PER_ROW))
    bar.set_label(words.measure(protocol), color=INK, fontsize=9.5)
    in_unit(bar.ax.yaxis, protocol)
    bar.ax.tick_params(colors=QUIET, labelsize=FONT_SIZE)
    violated = np.concatenate([filters.any_violated[filters.real] for _, filters, _ in arms])
    legend_below(drawing, _kinds(violated))
    return drawing


def _kinds(violated: Bools) -> list[Artist]:
    """What filled and hollow markers mean, as far as there are any."""
    kinds: list[Artist] = []
    if not violated.all():
        kinds.append(Patch(color=INK, label="filled: all conditions hold"))
    if violated.any():
        kinds.append(Patch(fc="none", ec=INK, label="hollow: a condition is violated"))
    return kinds


def _panel(
    axes: Axes, filters: TrialFilters, scores: Floats, colours: ScalarMappable, style: Style
) -> None:
    order = np.argsort(scores, kind="stable")
    shown = order[filters.real[order]]
    for violated in (True, False):
        at = shown[filters.any_violated[shown] == violated]
        shades = [tuple(shade) for shade in colours.to_rgba(scores[at]).tolist()]
        axes.scatter(
            filters.alpha[at],
            filters.gamma[at],
            s=22,
            marker=style.marker,
            facecolors="none" if violated else shades,
            edgecolors=shades,
            linewidths=0.9 if violated else 0.0,
            rasterized=shown.size > MANY,
        )
    log_axis(axes.xaxis, power)
    log_axis(axes.yaxis, power)
    missing = filters.n - shown.size
    note = f"\nno real filter: {missing:,} of {filters.n:,} trials" if missing else ""
    axes.set_xlabel(f"alpha{note}")
    tidy(axes, grid="both")


def arms(comparison: Comparison) -> dict[str, Arm]:
    """Arm name -> the arm, of single searches of which a trial has a real filter."""
    return {
        detail.arm.name: detail.arm
        for detail in comparison.single_details
        if detail.arm.filters is not None and detail.arm.filters.real.any()
    }


def draw(comparison: Comparison) -> Figure:
    """The plane of all arms shown."""
    panels = [
        (name, arm.filters, arm.scores)
        for name, arm in arms(comparison).items()
        if arm.filters is not None
    ]
    return plane_figure(panels, comparison.protocol, arm_styles(comparison.names))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    drawn = arms(comparison)
    yield "Each trial in the plane of its filter, coloured by its score: the darker, the better."
    filters = [arm.filters for arm in drawn.values() if arm.filters is not None]
    if any((trials.any_violated & trials.real).any() for trials in filters):
        yield (
            "Hollow: a condition of the equivalence is violated, so its filter does not tell all."
        )
    yield from left_out(comparison.arms, comparison.single, drawn, "no trial with a real filter")
