"""Parallel coordinates: each trial a line through its settings to its validation score."""

from collections.abc import Iterable, Iterator, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.figures.axes import INK, QUIET, broken, plain
from tuner.compare.figures.log_ticks import FONT_SIZE
from tuner.compare.figures.trials.tried import (
    RESULT,
    Searched,
    Tried,
    TriedTrial,
    chosen_by,
    drawn,
    pruned_ones,
    thinned,
)
from tuner.compare.protocol import ACCURACY, Protocol

MOST_LINES = 500
"""More lines than this only cover each other."""
AS_IMAGE = 200
"""More lines than this are drawn as an image, also in a vector format."""
_COLOURS = "viridis_r"
_MOST_LABELS = 8


def trials(tried: Tried) -> list[TriedTrial]:
    """Those that have a result, or some of them if there are many."""
    return thinned(tried.scored, MOST_LINES) if tried.searched else []


def draw(tried: Tried) -> Figure:
    """The lines, the best on top, and an axis for each hyperparameter and for the score."""
    lines = trials(tried)
    names = [*tried.searched, tried.protocol.unit]
    drawing = Figure(figsize=(max(4.5, 1.5 + 1.45 * len(names)), 3.9), layout="constrained")
    axes = drawing.subplots()
    score = _scores(lines)
    heights = np.array(
        [
            [searched.height(trial.params[name]) for name, searched in tried.searched.items()]
            + [score.height(trial.score)]
            for trial in lines
        ]
    ).reshape(len(lines), len(names))
    ranks = np.linspace(0.0, 1.0, len(lines))
    for stopped in (False, True):
        mine = [i for i, trial in enumerate(lines) if trial.pruned is stopped]
        axes.add_collection(
            LineCollection(
                [list(enumerate(heights[i])) for i in mine],
                colors=matplotlib.colormaps[_COLOURS](ranks[mine]),
                linewidths=1.1,
                linestyles=":" if stopped else "-",
                alpha=0.75,
                rasterized=len(lines) > AS_IMAGE,
            )
        )
    for place, (name, searched) in enumerate(tried.searched.items()):
        _axis(axes, place, name, _labels(searched))
    _axis(axes, len(names) - 1, names[-1], _score_labels(score, tried.protocol))
    axes.set_xlim(-0.35, len(names) - 0.35)
    axes.set_ylim(-0.06, 1.06)
    axes.set_axis_off()
    return drawing


def caption(tried: Tried) -> str:
    """What is drawn, and what is not."""
    return " ".join(_sentences(tried))


def _sentences(tried: Tried) -> Iterator[str]:
    lines = trials(tried)
    yield (
        f"Each line is a trial, from its settings to its {words.measure(tried.protocol)}; by its "
        f"rank among those drawn from yellow, the {_ends(tried)[0]}, to purple, the "
        f"{_ends(tried)[1]}."
    )
    yield from drawn(tried, len(lines), RESULT)
    yield from pruned_ones(lines, "Dotted")
    yield from chosen_by(tried)


def _ends(tried: Tried) -> tuple[str, str]:
    """What the worst score is, and the best."""
    return ("highest", "lowest") if tried.protocol.minimized else ("lowest", "highest")


def _scores(lines: Sequence[TriedTrial]) -> Searched:
    """The last axis, from the worst to the best score."""
    scores = [trial.score for trial in lines] or [0.0, 1.0]
    return Searched(min(scores), max(scores))


def _axis(axes: Axes, place: int, name: str, labels: Iterable[tuple[float, str]]) -> None:
    """A vertical axis with its name above and a few of its values beside it."""
    axes.plot([place, place], [0, 1], color=QUIET, linewidth=1.0, zorder=3)
    axes.annotate(
        plain(broken(name, 14)),
        (place, 1.04),
        ha="center",
        va="bottom",
        color=INK,
        fontsize=9.5,
        annotation_clip=False,
    )
    for height, label in labels:
        axes.annotate(
            plain(label),
            (place, height),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
            fontsize=FONT_SIZE - 1,
            bbox={
                "boxstyle": "round,pad=0.15",
                "facecolor": "white",
                "alpha": 0.7,
                "linewidth": 0,
            },
            zorder=4,
        )


def _score_labels(score: Searched, protocol: Protocol) -> Iterator[tuple[float, str]]:
    """The worst score, the best, and what is between them."""
    for value in dict.fromkeys((score.low, (score.low + score.high) / 2, score.high)):
        own = protocol.own(value)
        words_of = f"{own:.1%}" if protocol.unit == ACCURACY else f"{own:.3g}"
        yield score.height(value), words_of


def _labels(searched: Searched) -> Iterator[tuple[float, str]]:
    """Height and words of an axis's values: its choices, or three numbers."""
    if searched.choices:
        every = max(1, len(searched.choices) // _MOST_LABELS)
        for choice in searched.choices[::every]:
            yield searched.height(choice), str(choice).lower()[:14]
        return
    ends = np.array([searched.low, searched.high])
    middle = float(np.sqrt(ends.prod()) if searched.log else ends.mean())
    for value in dict.fromkeys((searched.low, middle, searched.high)):
        yield searched.height(value), f"{value:.2g}"
