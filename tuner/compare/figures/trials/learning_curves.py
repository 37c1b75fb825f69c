"""The learning curve of every trial: its validation score after each epoch."""

from collections.abc import Iterator

from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tuner.compare import words
from tuner.compare.figures.axes import QUIET, in_unit, plain, tidy
from tuner.compare.figures.trials.tried import (
    BEST,
    CURVE,
    Tried,
    TriedTrial,
    drawn,
    pruned_ones,
    thinned,
)

MOST_CURVES = 200
"""More curves than this cannot be told apart."""


def trials(tried: Tried) -> list[TriedTrial]:
    """Those that have a curve, or some of them if there are many."""
    return thinned(tried.with_curves, MOST_CURVES)


def draw(tried: Tried) -> Figure:
    """Every curve in grey, the best in the arm's colour."""
    drawing = Figure(figsize=(6.8, 3.8), layout="constrained")
    axes = drawing.subplots()
    curves = trials(tried)
    others, best = curves[:-BEST], curves[-BEST:]
    for some, colour, width, strength in (
        (others, QUIET, 0.7, 0.35),
        (best, tried.colour, 1.6, 0.95),
    ):
        lines = [list(zip(trial.epochs, trial.values, strict=True)) for trial in some]
        axes.add_collection(LineCollection(lines, colors=colour, linewidths=width, alpha=strength))
    stopped = [trial for trial in curves if trial.pruned]
    axes.plot(
        [trial.epochs[-1] for trial in stopped],
        [trial.values[-1] for trial in stopped],
        "x",
        color=QUIET,
        markersize=4,
    )
    axes.autoscale_view()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(plain(words.measure(tried.protocol)))
    in_unit(axes.yaxis, tried.protocol)
    tidy(axes)
    return drawing


def caption(tried: Tried) -> str:
    """What is drawn, and what is not."""
    return " ".join(_sentences(tried))


def _sentences(tried: Tried) -> Iterator[str]:
    curves = trials(tried)
    measure = words.measure(tried.protocol)
    yield (
        f"{measure[:1].upper()}{measure[1:]} after each epoch; in colour, the {BEST} trials that "
        "ended best."
    )
    yield from drawn(tried, len(curves), CURVE)
    yield from pruned_ones(curves, "Crosses")
