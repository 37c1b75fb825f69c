"""Tuning curves against trials, epochs and seconds, a panel each."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.axes import (
    broken,
    in_unit,
    label_target,
    legend_below,
    mark_target,
    tidy,
    title,
)
from tuner.compare.evidence.budgets import BudgetCurve, known_axes
from tuner.compare.log_ticks import log_axis, plain
from tuner.compare.protocol import Protocol
from tuner.compare.styles import Style


def budget_figure(
    curves: Sequence[BudgetCurve], protocol: Protocol, styles: Mapping[str, Style]
) -> Figure:
    """The same curves against trials, epochs and seconds: a panel for each that is known.

    Each panel names the arms whose costs are not known on its axis.

    Args:
        curves: Of all arms shown, in the comparison's order.
        protocol: For the unit, the target and the level.
        styles: Arm name -> its style.
    """
    known = known_axes(curves)
    drawing = Figure(figsize=(max(3.8 * len(known), 6.8), 4.2), layout="constrained")
    panels = drawing.subplots(1, len(known), sharey=True, squeeze=False)[0]
    for axes, axis in zip(panels, known, strict=True):
        labelled: set[str] = set()
        for curve in curves:
            if curve.axis == axis and curve.x.size:
                _line(axes, curve, styles[curve.arm], labelled=curve.arm not in labelled)
                labelled.add(curve.arm)
        _finish(axes, axis, [curve for curve in curves if curve.axis == axis], protocol)
    label_target(panels[-1], protocol)
    panels[0].set_ylabel(f"best {words.measure(protocol)}")
    legend_below(drawing, panels[0].get_legend_handles_labels()[0])
    return drawing


def _line(axes: Axes, curve: BudgetCurve, style: Style, *, labelled: bool) -> None:
    if curve.low is not None and curve.high is not None:
        axes.fill_between(
            curve.x, curve.low, curve.high, color=style.colour, alpha=0.14, linewidth=0
        )
    label = curve.arm if curve.independent else f"{curve.arm} (best so far)"
    axes.plot(
        curve.x,
        curve.value,
        color=style.colour,
        linestyle=style.line,
        linewidth=2 if curve.independent else 1.2,
        drawstyle="default" if curve.independent else "steps-post",
        marker=style.marker,
        markersize=5,
        markevery=[curve.x.size - 1],
        label=label if labelled else None,
    )


def _finish(axes: Axes, axis: str, curves: Sequence[BudgetCurve], protocol: Protocol) -> None:
    shown = [curve for curve in curves if curve.x.size]
    if all(curve.x[-1] > 0 for curve in shown):
        log_axis(axes.xaxis, plain, least=1 if axis == "trials" else 0)
    mark_target(axes, protocol)
    mean = any(curve.independent for curve in shown) and axis != "trials"
    told = f"{axis} (k times the mean per trial)" if mean else axis
    missing = ", ".join(dict.fromkeys(curve.arm for curve in curves if not curve.x.size))
    if missing:
        told += "\n" + broken(f"left out, cost unknown: {missing}", 44)
    axes.set_xlabel(told)
    title(axes, f"By {axis}")
    in_unit(axes.yaxis, protocol.unit)
    tidy(axes)
