"""The plane of gradient filters: where each trial of an arm lies in it, and the flip-rate law."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from tuner.compare.figures import COLOURS, INK, MARKERS, QUIET
from tuner.compare.filters import Filters, check_scores
from tuner.compare.protocol import ACCURACY, Floats
from tuner.errors import InvalidInput

MANY = 1000
"""More points than this are drawn as an image, also in a vector format."""


def plane_figure(arms: Sequence[tuple[str, Filters, Floats]], unit: str) -> Figure:
    """Every trial in the plane (alpha, gamma), coloured by its score: one panel per arm.

    Discs are trials that violate no condition of the equivalence, hollow triangles those that
    do; better trials lie on top. Trials without a real filter are counted in words.

    Args:
        arms: Name, filters and scores [n] of each arm.
        unit: Of the scores: ``"accuracy"``, or any other name.

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
        colormaps["viridis"],
    )
    drawing = Figure(figsize=(1.4 + 3.2 * len(arms), 3.6), layout="constrained")
    panels = drawing.subplots(1, len(arms), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, filters, scores) in zip(panels, arms, strict=True):
        _panel(axes, filters, scores, colours)
        axes.set_title(name, loc="left", fontsize=10, color=INK)
    panels[0].set_ylabel("gamma", fontsize=9.5, color=INK)
    bar = drawing.colorbar(colours, ax=list(panels), pad=0.01)
    bar.set_label("validation accuracy" if unit == ACCURACY else unit, color=INK, fontsize=9.5)
    if unit == ACCURACY:
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    bar.ax.tick_params(colors=QUIET, labelsize=9)
    kinds = [
        Line2D([], [], marker="o", linestyle="", color=INK, label="all conditions hold"),
        Line2D([], [], marker="^", linestyle="", color=INK, mfc="none", label="one is violated"),
    ]
    drawing.legend(handles=kinds, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return drawing


def _panel(axes: Axes, filters: Filters, scores: Floats, colours: ScalarMappable) -> None:
    order = np.argsort(scores, kind="stable")
    shown = order[filters.real[order]]
    for violated, marker in ((True, "^"), (False, "o")):
        at = shown[filters.any_violated[shown] == violated]
        shades = [tuple(shade) for shade in colours.to_rgba(scores[at]).tolist()]
        axes.scatter(
            filters.alpha[at],
            filters.gamma[at],
            s=16,
            marker=marker,
            facecolors="none" if violated else shades,
            edgecolors=shades,
            linewidths=0.9 if violated else 0.0,
            rasterized=shown.size > MANY,
        )
    _log_log(axes)
    axes.set_xlabel("alpha", fontsize=9.5, color=INK)
    words = f"{filters.n - shown.size:,} of {filters.n:,} trials\nwithout a real filter"
    axes.annotate(words, (0.02, 0.02), xycoords="axes fraction", fontsize=8, color=INK)


def flip_law_figure(arms: Sequence[tuple[str, Filters]]) -> Figure:
    """Measured flip ratio against the law's, both logarithmic, with the diagonal of agreement.

    Filled markers are trials that violate no condition, hollow ones those that do; a trial is
    missing where the law says nothing, or where no flip was measured.

    Args:
        arms: Name and filters of each arm.

    Raises:
        InvalidInput: If there is no arm.
    """
    if not arms:
        raise InvalidInput("flip law figure: needs at least one arm, got none")
    drawing = Figure(figsize=(5.4, 4.6), layout="constrained")
    axes = drawing.subplots()
    for number, (name, filters) in enumerate(arms):
        law, measured = filters.flip_ratio_law, filters.flip_ratio_measured
        shown = (law > 0) & (measured > 0)
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        for violated in (True, False):
            at = shown & (filters.any_violated == violated)
            axes.plot(
                law[at],
                measured[at],
                marker,
                color=colour,
                markerfacecolor="none" if violated else colour,
                markersize=4,
                markeredgewidth=0.8,
                alpha=0.5 if violated else 0.9,
                rasterized=int(shown.sum()) > MANY,
            )
        told = f"{name}: {int(shown.sum()):,} of {filters.n:,} trials"
        axes.plot([], [], marker, color=colour, label=told)
    _log_log(axes)
    axes.axline(
        (1e-3, 1e-3), (1e-2, 1e-2), color=QUIET, linewidth=0.9, linestyle=(0, (6, 3)), zorder=0
    )
    axes.set_xlabel("flip ratio per step, law", fontsize=9.5, color=INK)
    axes.set_ylabel("flip ratio per step, measured", fontsize=9.5, color=INK)
    axes.set_title("hollow: a condition is violated", loc="left", fontsize=9, color=QUIET)
    axes.legend(frameon=False, loc="upper left", fontsize=9)
    return drawing


def _log_log(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(color="#888888", alpha=0.18, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=QUIET, labelsize=9)
