"""Repeated searches: the best so far over the repeats.

Optuna's history plot draws a standard deviation of the repeats and forgets those that ended
early. Here the median is drawn with its exact interval, and an ended search keeps its best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from tuner.compare.axes import in_unit, legend_below, tidy, title
from tuner.compare.log_ticks import log_axis, plain
from tuner.compare.protocol import ACCURACY, Floats, Ints
from tuner.compare.styles import Style
from tuner.errors import InvalidInput

_CELLS = 2**20


@dataclass(frozen=True)
class Traces:
    """The best so far after 1..m trials, over r independent repeats of a search.

    Args:
        median: Median over the repeats, shape [m].
        low: Lower bound of its pointwise interval, shape [m]; ``None`` where r is too small.
        high: Upper bound, likewise.
        lengths: Trials of each repeat, shape [r]; a shorter one keeps its best up to m.
    """

    median: Floats
    low: Floats | None
    high: Floats | None
    lengths: Ints


def median_ranks(r: int, *, confidence: float = 0.95) -> tuple[int, int] | None:
    """Ranks d and r + 1 - d (from 1) of the order statistics around the median of r values.

    The largest d with 2 P(Bin(r, 1/2) < d) <= 1 - confidence, so the interval covers for every
    distribution, ties included; ``None`` where no d does (r < 6 at 95%).

    Raises:
        InvalidInput: If r is below 1.
    """
    if r < 1:
        raise InvalidInput(f"interval of a median: needs r >= 1 values, got {r}")
    tails = 2 * stats.binom.cdf(np.arange((r + 1) // 2), r, 0.5)
    d = int((tails <= 1 - confidence + 1e-12).sum())
    return (d, r + 1 - d) if d else None


def incumbent_traces(searches: Sequence[Floats], *, confidence: float = 0.95) -> Traces:
    """Median best so far with its interval at every number of trials.

    Args:
        searches: Scores of each repeat in trial order, higher is better; lengths may differ.
        confidence: In (0, 1), at each number of trials by itself.

    Raises:
        InvalidInput: If there is no search, or one has no trial or a score that is not finite.
    """
    if not searches:
        raise InvalidInput("incumbent traces: needs at least one search, got none")
    for number, scores in enumerate(searches):
        if scores.size == 0 or not np.isfinite(scores).all():
            raise InvalidInput(
                f"incumbent traces: every search needs at least one trial and finite scores, "
                f"search {number} has {scores.size} trials, "
                f"{int((~np.isfinite(scores)).sum())} of them not finite"
            )
    best = [np.maximum.accumulate(scores) for scores in searches]
    lengths = np.array([scores.size for scores in searches])
    r, m = len(best), int(lengths.max())
    ranks = median_ranks(r, confidence=confidence)
    rows = np.empty((3, m))
    block = max(1, _CELLS // r)
    for start in range(0, m, block):
        columns = np.arange(start, min(start + block, m))
        ordered = np.sort(
            np.stack([one[np.minimum(columns, one.size - 1)] for one in best]), axis=0
        )
        rows[0, columns] = (ordered[(r - 1) // 2] + ordered[r // 2]) / 2
        if ranks:
            rows[1, columns], rows[2, columns] = (ordered[rank - 1] for rank in ranks)
    return Traces(rows[0], rows[1] if ranks else None, rows[2] if ranks else None, lengths)


def traces_figure(
    arms: Mapping[str, Traces], styles: Mapping[str, Style], *, unit: str = ACCURACY
) -> Figure:
    """Median best so far of each arm as steps, with its pointwise interval where there is one.

    Args:
        arms: Arm name -> its traces.
        styles: Arm name -> its style.
        unit: Of the scores.
    """
    drawing = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = drawing.subplots()
    for name, traces in arms.items():
        _steps(axes, name, traces, styles[name])
    log_axis(axes.xaxis, plain, least=1)
    axes.set_xlim(1, max([2, *(traces.median.size for traces in arms.values())]))
    axes.set_xlabel("trials")
    axes.set_ylabel(f"best {'validation accuracy' if unit == ACCURACY else unit} so far")
    title(axes, "Incumbent: median over repeats")
    legend_below(drawing, axes.get_legend_handles_labels()[0])
    in_unit(axes.yaxis, unit)
    tidy(axes)
    return drawing


def _steps(axes: Axes, name: str, traces: Traces, style: Style) -> None:
    trials = np.arange(1, traces.median.size + 1)
    r = traces.lengths.size
    if traces.low is not None and traces.high is not None:
        axes.fill_between(
            trials,
            traces.low,
            traces.high,
            step="post",
            color=style.colour,
            alpha=0.14,
            linewidth=0,
        )
    axes.step(
        trials,
        traces.median,
        where="post",
        color=style.colour,
        linestyle=style.line,
        linewidth=1.8,
        marker=style.marker,
        markersize=5,
        markevery=[traces.median.size - 1],
        clip_on=False,
        label=f"{name} ({r} repeat{'s' if r > 1 else ''})",
    )
