"""Which arms each figure behind the verdict shows; the figures and their captions both ask here.

Those that search many times or nothing have no place among the single searches, unless there are
no others.
"""

from typing import TYPE_CHECKING

from tuner.compare.comparison import Comparison
from tuner.compare.filters import Filters
from tuner.compare.statistics.importance import Importance
from tuner.compare.statistics.traces import Traces

if TYPE_CHECKING:
    from tuner.compare.evidence.details import ArmDetail


def searched_once(comparison: Comparison) -> "list[ArmDetail]":
    """The single searches, or all arms if there is none."""
    once, details = comparison.protocol.searched_once, comparison.details
    return [one for one in details if once(one.arm.name, one.arm.sampler)] or list(details)


def traces(comparison: Comparison) -> dict[str, Traces]:
    """Arm name -> the best so far over its repeats."""
    return {one.arm.name: one.traces for one in comparison.details if one.traces is not None}


def filters(comparison: Comparison) -> dict[str, Filters]:
    """Arm name -> its filters, of single searches of which a trial has a real one."""
    return {
        one.arm.name: one.arm.filters
        for one in searched_once(comparison)
        if one.arm.filters is not None and one.arm.filters.real.any()
    }


def flips(comparison: Comparison) -> dict[str, Filters]:
    """The same, of those of which a trial has both flip ratios."""
    return {name: one for name, one in filters(comparison).items() if one.flipped.any()}


def importances(comparison: Comparison) -> dict[str, Importance]:
    """Arm name -> how much its hyperparameters matter, where that could be computed."""
    return {
        one.arm.name: one.importance
        for one in searched_once(comparison)
        if one.importance is not None and one.importance.rankings
    }
