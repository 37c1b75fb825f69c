"""The slice plot: validation score against each hyperparameter by itself."""

from collections.abc import Iterator
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tuner.compare import words
from tuner.compare.figures.axes import (
    MANY,
    PER_ROW,
    QUIET,
    broken,
    in_unit,
    plain,
    tidy,
)
from tuner.compare.figures.log_ticks import log_axis, power
from tuner.compare.figures.trials.tried import (
    BEST,
    RESULT,
    Searched,
    Tried,
    TriedTrial,
    chosen_by,
    drawn,
    pruned_ones,
)
from tuner.compare.statistics.estimate import Floats

_AS_IMAGE = MANY // PER_ROW
"""More points in a panel than this are drawn as an image, also in a vector format."""


def trials(tried: Tried) -> list[TriedTrial]:
    """Those that have a result."""
    return tried.scored if tried.searched else []


def draw(tried: Tried) -> Figure:
    """A panel for each hyperparameter; the best trials in the arm's colour."""
    n = len(tried.searched)
    rows, columns = ceil(n / PER_ROW), min(n, PER_ROW)
    drawing = Figure(figsize=(1.0 + 2.6 * columns, 2.7 * rows), layout="constrained")
    grid = drawing.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for spare in grid[n:]:
        spare.remove()
    for place, (axes, name) in enumerate(zip(grid, tried.searched, strict=False)):
        _panel(axes, tried, name)
        in_unit(axes.yaxis, tried.protocol)
        if place % PER_ROW == 0:
            axes.set_ylabel(plain(words.measure(tried.protocol)))
    return drawing


def caption(tried: Tried) -> str:
    """What is drawn, and what is not."""
    return " ".join(_sentences(tried))


def _sentences(tried: Tried) -> Iterator[str]:
    yield (
        f"Each dot is a trial; in colour, the {BEST} best. Whatever else the trials tried varies "
        "too, so a panel shows what is left of a setting's effect among all others."
    )
    yield from drawn(tried, len(tried.scored), RESULT)
    yield from pruned_ones(tried.scored, "Hollow")
    yield from chosen_by(tried)


def _panel(axes: Axes, tried: Tried, name: str) -> None:
    searched = tried.searched[name]
    x = _places(searched, [searched.number(trial.params[name]) for trial in tried.scored])
    pruned = np.array([trial.pruned for trial in tried.scored], dtype=np.bool_)
    best = np.arange(x.size) >= x.size - BEST
    for which, colour, filled, size, strength in (
        (pruned & ~best, QUIET, False, 12.0, 0.7),
        (~pruned & ~best, QUIET, True, 10.0, 0.5),
        (best, tried.colour, True, 26.0, 1.0),
    ):
        axes.scatter(
            x[which],
            tried.scores[which],
            s=size,
            facecolors=colour if filled else "none",
            edgecolors="none" if filled else colour,
            alpha=strength,
            rasterized=x.size > _AS_IMAGE,
        )
    _x_axis(axes, searched)
    axes.set_xlabel(plain(broken(name, 28)))
    tidy(axes, grid="both")


def _places(searched: Searched, numbers: list[float]) -> Floats:
    """Where the dots stand; those of a choice beside each other, the same way every time."""
    x = np.array(numbers, dtype=np.float64)
    if not searched.choices:
        return x
    beside = 0.22 * np.sin(np.arange(x.size) * 2.399963)  # the golden angle: no rows
    return np.asarray(x + beside, dtype=np.float64)


def _x_axis(axes: Axes, searched: Searched) -> None:
    if searched.choices:
        labels = [plain(str(choice).lower()[:14]) for choice in searched.choices]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif searched.log:
        log_axis(axes.xaxis, power)
        axes.set_xlim(searched.low / 1.15, searched.high * 1.15)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
