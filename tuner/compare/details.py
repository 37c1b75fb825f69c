"""What lies behind a comparison's verdict: distributions, budgets, repeats, filters, importance.

``detailed`` adds it to a comparison; ``pictures`` draws it. What the data do not allow is left
out: a study without recorded filters has no plane, a single search no median.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure

from tuner.compare import shown
from tuner.compare.arm import Arm
from tuner.compare.budgets import BudgetCurve, budget_curves, budget_figure
from tuner.compare.comparison import Comparison
from tuner.compare.edf import edf_figure
from tuner.compare.figures import figure
from tuner.compare.importance import importance_figure
from tuner.compare.optimism import Optimism, optimism
from tuner.compare.plane import flip_law_figure, plane_figure
from tuner.compare.redundancy import Cell, Redundancy, redundancy, useful_cells
from tuner.compare.statistics.distribution import Edf, empirical_distribution
from tuner.compare.statistics.importance import Importance
from tuner.compare.statistics.traces import Traces, incumbent_traces
from tuner.compare.styles import arm_styles
from tuner.compare.traces import traces_figure


@dataclass(frozen=True)
class ArmDetail:
    """What lies behind one arm's numbers.

    Args:
        arm: Its trials.
        edf: Distribution of all their scores, failed ones included.
        budgets: Its curve against trials, epochs and seconds.
        traces: The best so far over its repeated searches, ``None`` for one search.
        optimism: What its best score promises too much, ``None`` where it was not retrained.
        redundancy: What its trials are worth as filters, ``None`` where no filter is known, and
            for repeated searches and arms that search nothing.
        importance: How much each hyperparameter matters, ``None`` where it was not computed.
    """

    arm: Arm
    edf: Edf
    budgets: tuple[BudgetCurve, ...]
    traces: Traces | None
    optimism: Optimism | None
    redundancy: Redundancy | None
    importance: Importance | None


def detailed(comparison: Comparison, arms: Sequence[Arm]) -> Comparison:
    """The comparison with what lies behind it.

    Args:
        comparison: What ``compare`` said of these arms.
        arms: The same arms.
    """
    protocol = comparison.protocol
    useful: frozenset[Cell] = frozenset()
    if protocol.target is not None:
        for arm in arms:
            if arm.filters is not None:
                useful |= useful_cells(arm.filters, arm.scores, protocol.target)
    details = tuple(
        ArmDetail(
            arm=arm,
            edf=empirical_distribution(arm.scores, confidence=protocol.confidence),
            budgets=tuple(budget_curves(arm, summary, epochs=arm.epochs)),
            traces=incumbent_traces(arm.searches, confidence=protocol.confidence)
            if len(arm.searches) > 1
            else None,
            optimism=optimism(arm, confidence=protocol.confidence, gaps=protocol.gaps)
            if arm.searched
            else None,
            redundancy=redundancy(
                arm.filters,
                arm.scores,
                good=protocol.target,
                useful=useful,
                confidence=protocol.confidence,
                seed=protocol.seed,
            )
            if arm.filters is not None and protocol.searched_once(arm.name, arm.sampler)
            else None,
            importance=arm.importance,
        )
        for arm, summary in zip(arms, comparison.arms, strict=True)
    )
    return replace(comparison, details=details)


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
