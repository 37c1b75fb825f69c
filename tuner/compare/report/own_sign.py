"""A comparison in the studies' own sign, as the files for programs write it.

Inside, higher is better: the scores of studies that minimize have the opposite sign. Here all of
them are turned back, and the ends of their intervals change places, so that low <= high.
"""

from dataclasses import replace
from typing import Any, TypeVar

from tuner.compare.comparison import Comparison
from tuner.compare.contrast import Contrast
from tuner.compare.evidence.budget_curves import BudgetCurve
from tuner.compare.evidence.details import ArmDetail
from tuner.compare.evidence.optimism import Optimism
from tuner.compare.evidence.over_budgets import OverBudgets
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.best_of_k import BestOfK
from tuner.compare.statistics.edf import empirical_distribution
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.selected import SelectedDifference
from tuner.compare.statistics.traces import Traces
from tuner.compare.summary import ArmSummary, RetrainedSummary, SelectedSummary

_Interval = TypeVar("_Interval", Estimate, BestOfK, BudgetCurve, OverBudgets)


def in_own_sign(comparison: Comparison) -> Comparison:
    """The comparison with the values that the studies have.

    Its texts are in their sign already, so they stay; so do shares, probabilities, p-values and
    factors. ``lowest`` is the lowest value, which is the best one where the studies minimize.
    """
    if not comparison.protocol.minimized:
        return comparison
    level = comparison.protocol.confidence
    over = comparison.over_budgets
    return replace(
        comparison,
        protocol=comparison.protocol.turned,
        arms=tuple(map(_arm, comparison.arms)),
        contrasts=tuple(map(_contrast, comparison.contrasts)),
        details=tuple(_detail(detail, level) for detail in comparison.details),
        over_budgets=None if over is None else _turned(over),
    )


def curve_in_own_sign(summary: ArmSummary, protocol: Protocol) -> tuple[BestOfK, ...]:
    """The tuning curve of a search by itself, with the values that its study has."""
    return tuple(map(_turned, summary.curve)) if protocol.minimized else summary.curve


def _arm(arm: ArmSummary) -> ArmSummary:
    return replace(
        arm,
        best=_opposite(arm.best),
        median=_if_any(arm.median),
        curve=tuple(map(_turned, arm.curve)),
        best_of=tuple(map(_turned, arm.best_of)),
        trace=tuple(
            tuple(replace(point, best=_opposite(point.best)) for point in trace)
            for trace in arm.trace
        ),
        retrained=None if arm.retrained is None else _retrained(arm.retrained),
        selected=None if arm.selected is None else _selected(arm.selected),
    )


def _retrained(runs: RetrainedSummary) -> RetrainedSummary:
    scores = tuple(map(_opposite, runs.test_scores))
    return replace(runs, val=_turned(runs.val), test=_turned(runs.test), test_scores=scores)


def _selected(runs: SelectedSummary) -> SelectedSummary:
    scores = tuple(map(_opposite, runs.scores))
    return replace(runs, median=_turned(runs.median), lowest=min(scores), scores=scores)


def _contrast(contrast: Contrast) -> Contrast:
    repeats, selected = contrast.repeats, contrast.selected
    return replace(
        contrast,
        selected=None if selected is None else _of_searches(selected),
        best_of_k=_if_any(contrast.best_of_k),
        best_of_k_seen=_if_any(contrast.best_of_k_seen),
        repeats=repeats and replace(repeats, difference=_turned(repeats.difference)),
        test=_if_any(contrast.test),
        test_typical=_if_any(contrast.test_typical),
        test_other_images=_if_any(contrast.test_other_images),
        test_typical_other_images=_if_any(contrast.test_typical_other_images),
    )


def _of_searches(searches: SelectedDifference) -> SelectedDifference:
    return replace(
        searches,
        difference=_turned(searches.difference),
        other_images=_if_any(searches.other_images),
    )


def _detail(detail: ArmDetail, level: float) -> ArmDetail:
    """What lies behind an arm, with the distribution of its values in place of the scores'."""
    values = _opposite(detail.arm.scores)
    return replace(
        detail,
        arm=replace(detail.arm, scores=values),
        edf=empirical_distribution(values, confidence=level),
        budgets=tuple(map(_turned, detail.budgets)),
        traces=None if detail.traces is None else _traces(detail.traces),
        optimism=None if detail.optimism is None else _optimism(detail.optimism),
    )


def _traces(traces: Traces) -> Traces:
    median, low, high = map(_opposite, (traces.median, traces.high, traces.low))
    return replace(traces, median=median, low=low, high=high)


def _optimism(optimism: Optimism) -> Optimism:
    return replace(
        optimism,
        best=_opposite(optimism.best),
        selection=_turned(optimism.selection),
        split=_turned(optimism.split),
    )


def _if_any(estimate: Estimate | None) -> Estimate | None:
    return None if estimate is None else _turned(estimate)


def _turned(each: _Interval) -> _Interval:
    """A number, or a curve of numbers, with its interval."""
    low, high = _opposite(each.high), _opposite(each.low)
    return replace(each, value=_opposite(each.value), low=low, high=high)


def _opposite(value: Any) -> Any:  # Any: a number, an array, or None where there is none
    """The value with the opposite sign; -0.0 is written 0.0."""
    return None if value is None else 0.0 - value
