"""Every figure of a comparison."""

from collections.abc import Iterator

from matplotlib.figure import Figure

from tuner.compare import shown
from tuner.compare.budgets import budget_figure
from tuner.compare.comparison import Comparison
from tuner.compare.edf import edf_figure
from tuner.compare.figures import figure
from tuner.compare.importance import importance_figure
from tuner.compare.plane import flip_law_figure, plane_figure
from tuner.compare.styles import arm_styles
from tuner.compare.traces import traces_figure


def pictures(comparison: Comparison) -> dict[str, Figure]:
    """Name -> figure, in the order of the report; only ``tuning_curves`` without details."""
    return {"tuning_curves": figure(comparison), **dict(_behind(comparison))}


def _behind(comparison: Comparison) -> Iterator[tuple[str, Figure]]:
    if not comparison.details:
        return
    unit = comparison.protocol.unit
    styles = arm_styles([arm.name for arm in comparison.arms])
    single = shown.searched_once(comparison)
    curves = [curve for one in single for curve in one.budgets]
    yield "budgets", budget_figure(curves, comparison.protocol, styles)
    yield "distribution", edf_figure([one.arm for one in single], comparison.protocol, styles)
    if traces := shown.traces(comparison):
        yield "repeated_searches", traces_figure(traces, styles, unit=unit)
    if filters := shown.filters(comparison):
        scores = {one.arm.name: one.arm.scores for one in single}
        plane = [(name, found, scores[name]) for name, found in filters.items()]
        yield "filters", plane_figure(plane, unit, styles)
    if flips := shown.flips(comparison):
        yield "flip_ratio", flip_law_figure(list(flips.items()), styles)
    if importances := shown.importances(comparison):
        yield "importance", importance_figure(list(importances.items()))
