"""The plane of gradient filters: where each trial of an arm lies in it, and the flip-rate law."""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from tuner.compare.axes import (
    DASHED,
    INK,
    PER_ROW,
    QUIET,
    in_unit,
    legend_below,
    panels,
    tidy,
    title,
)
from tuner.compare.filters import Filters, check_scores
from tuner.compare.log_ticks import FONT_SIZE, log_axis, power
from tuner.compare.protocol import ACCURACY
from tuner.compare.statistics.estimate import Bools, Floats
from tuner.compare.styles import Style
from tuner.errors import InvalidInput

MANY = 1000
"""More points than this are drawn as an image, also in a vector format."""


def plane_figure(
    arms: Sequence[tuple[str, Filters, Floats]], unit: str, styles: Mapping[str, Style]
) -> Figure:
    """Every trial in the plane (alpha, gamma), coloured by its score: one panel per arm.

    Filled markers are trials that violate no condition of the equivalence, hollow ones those that
    do; better trials are darker and lie on top. Trials without a real filter are counted in words.

    Args:
        arms: Name, filters and scores [n] of each arm.
        unit: Of the scores: ``"accuracy"``, or any other name.
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
    bar.set_label("validation accuracy" if unit == ACCURACY else unit, color=INK, fontsize=9.5)
    in_unit(bar.ax.yaxis, unit)
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
    axes: Axes, filters: Filters, scores: Floats, colours: ScalarMappable, style: Style
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
    told = f"\n{missing:,} of {filters.n:,} trials have no real filter" if missing else ""
    axes.set_xlabel(f"alpha{told}")
    tidy(axes, grid="both")


def flip_law_figure(arms: Sequence[tuple[str, Filters]], styles: Mapping[str, Style]) -> Figure:
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
        told = f"{name}: {int(shown.sum()):,} of {filters.n:,} trials"
        handles.append(
            Line2D([], [], linestyle="", marker=style.marker, color=style.colour, label=told)
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
