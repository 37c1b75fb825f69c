"""Tuning curves against trials, epochs and seconds, a panel each."""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.evidence.budget_curves import AXES, BudgetCurve, known_axes
from tuner.compare.evidence.details import ArmDetail
from tuner.compare.figures.axes import (
    broken,
    in_unit,
    label_target,
    legend_below,
    mark_target,
    plain,
    tidy,
    title,
)
from tuner.compare.figures.captions import left_out, target_line
from tuner.compare.figures.log_ticks import log_axis, plain_number
from tuner.compare.figures.styles import Style, arm_styles
from tuner.compare.protocol import Protocol


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
    panels[0].set_ylabel(plain(f"best {words.measure(protocol)}"))
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
        label=plain(label) if labelled else None,
    )


def _finish(axes: Axes, axis: str, curves: Sequence[BudgetCurve], protocol: Protocol) -> None:
    shown = [curve for curve in curves if curve.x.size]
    if all(curve.x[-1] > 0 for curve in shown):
        log_axis(axes.xaxis, plain_number, least=1 if axis == "trials" else 0)
    mark_target(axes, protocol)
    mean = any(curve.independent for curve in shown) and axis != "trials"
    label = f"{axis} (k times the mean per trial)" if mean else axis
    missing = ", ".join(dict.fromkeys(curve.arm for curve in curves if not curve.x.size))
    if missing:
        label += "\n" + broken(f"left out, cost unknown: {missing}", 44)
    axes.set_xlabel(label)
    title(axes, f"By {axis}")
    in_unit(axes.yaxis, protocol)
    tidy(axes)


def arms(comparison: Comparison) -> list[ArmDetail]:
    """The single searches, as far as there are details."""
    return comparison.single_details


def draw(comparison: Comparison) -> Figure:
    """The curves of all arms shown."""
    curves = [curve for arm in arms(comparison) for curve in arm.budgets]
    return budget_figure(curves, comparison.protocol, arm_styles(comparison.names))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms and axes are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    details = arms(comparison)
    curves = [curve for detail in details for curve in detail.budgets if curve.x.size]
    missing = [axis for axis in AXES if axis not in known_axes(curves)]
    unknown = f"; their {' and '.join(missing)} are not known" if missing else ""
    yield f"The same arms against what their trials cost{unknown}."
    if any(curve.independent and curve.axis != "trials" for curve in curves):
        yield "k random trials cost k times the mean trial."
    if any(curve.low is not None for curve in curves):
        yield f"Shaded: the curves' {words.level(comparison.protocol)} bands."
    steps = {curve.arm for curve in curves if not curve.independent}
    if steps:
        pruned = any(detail.arm.pruned.any() for detail in details if detail.arm.name in steps)
        included = ", pruned ones included" if pruned else ""
        yield f"Steps: the best score so far, at what the trials really cost{included}."
    yield from target_line(comparison.protocol)
    yield from left_out(
        comparison.arms, comparison.single, {detail.arm.name for detail in details}
    )
