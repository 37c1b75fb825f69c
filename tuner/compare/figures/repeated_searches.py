"""The best so far over the repeats of each search."""

from collections.abc import Iterator, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.arm import DEFAULTS
from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import in_unit, legend_below, plain, tidy, title
from tuner.compare.figures.captions import listed
from tuner.compare.figures.log_ticks import log_axis, plain_number
from tuner.compare.figures.styles import Style, arm_styles
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.traces import Traces
from tuner.wording import count


def traces_figure(
    arms: Mapping[str, Traces], protocol: Protocol, styles: Mapping[str, Style]
) -> Figure:
    """Median best so far of each arm as steps, with its pointwise interval where there is one.

    Args:
        arms: Arm name -> its traces.
        protocol: For the unit and the direction.
        styles: Arm name -> its style.
    """
    drawing = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = drawing.subplots()
    for name, traces in arms.items():
        _steps(axes, name, traces, styles[name])
    log_axis(axes.xaxis, plain_number, least=1)
    axes.set_xlim(1, max([2, *(traces.median.size for traces in arms.values())]))
    axes.set_xlabel("trials")
    axes.set_ylabel(plain(f"best {words.measure(protocol)} so far"))
    title(axes, "Incumbent: median over repeats")
    legend_below(drawing, axes.get_legend_handles_labels()[0])
    in_unit(axes.yaxis, protocol)
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
        label=plain(f"{name} ({count(r, 'repeat')})"),
    )


def arms(comparison: Comparison) -> dict[str, Traces]:
    """Arm name -> the best so far over its repeats, of those that were repeated."""
    return {
        detail.arm.name: detail.traces
        for detail in comparison.details
        if detail.traces is not None
    }


def draw(comparison: Comparison) -> Figure:
    """The traces of all arms shown."""
    return traces_figure(arms(comparison), comparison.protocol, arm_styles(comparison.names))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    drawn = arms(comparison)
    yield "Searches repeated: the median of their best scores so far."
    if any(traces.low is not None for traces in drawn.values()):
        every = all(traces.low is not None for traces in drawn.values())
        enough = "" if every else ", where there are repeats enough"
        level = words.level(comparison.protocol)
        yield f"Shaded: its {level} interval at each number of trials{enough}."
    if any(traces.lengths.min() < traces.lengths.max() for traces in drawn.values()):
        yield "A search that ended earlier keeps its best."
    yield from listed(
        "Left out",
        {
            arm.name: "no search" if arm.sampler == DEFAULTS else "searched once"
            for arm in comparison.arms
            if arm.name not in drawn
        },
    )
