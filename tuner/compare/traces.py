"""The best so far over the repeats of each search."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare.axes import in_unit, legend_below, tidy, title
from tuner.compare.log_ticks import log_axis, plain
from tuner.compare.protocol import ACCURACY
from tuner.compare.statistics.traces import Traces
from tuner.compare.styles import Style


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
