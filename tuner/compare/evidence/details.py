"""What lies behind an arm's numbers: distribution, budgets, repeats, filters, importance.

What the data do not allow is left out: a single search has no median, a study without recorded
filters no redundancy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.compare.arm import Arm
from tuner.compare.evidence.budget_curves import BudgetCurve, budget_curves
from tuner.compare.evidence.optimism import Optimism, optimism
from tuner.compare.evidence.redundancy import Cell, Redundancy, redundancy, useful_cells
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.best_of_k import BestOfK
from tuner.compare.statistics.edf import Edf, empirical_distribution
from tuner.compare.statistics.ranking import Importance
from tuner.compare.statistics.traces import Traces, incumbent_traces


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


def details(
    arms: Sequence[Arm], curves: Sequence[Sequence[BestOfK]], protocol: Protocol
) -> tuple[ArmDetail, ...]:
    """What lies behind each arm's numbers.

    Args:
        arms: The arms compared.
        curves: The tuning curve of each, in the same order; empty but for random search.
        protocol: The declaration.
    """
    useful: frozenset[Cell] = frozenset()
    if protocol.target is not None:
        for arm in arms:
            if arm.filters is not None:
                useful |= useful_cells(arm.filters, arm.scores, protocol.target)
    return tuple(
        _detail(arm, curve, protocol, useful) for arm, curve in zip(arms, curves, strict=True)
    )


def _detail(
    arm: Arm, curve: Sequence[BestOfK], protocol: Protocol, useful: frozenset[Cell]
) -> ArmDetail:
    level = protocol.confidence
    repeated = len(arm.searches) > 1
    single = arm.searched and protocol.searched_once(arm.name)
    return ArmDetail(
        arm=arm,
        edf=empirical_distribution(arm.scores, confidence=level),
        budgets=budget_curves(arm, curve, epochs=arm.epochs),
        traces=incumbent_traces(arm.searches, confidence=level) if repeated else None,
        optimism=optimism(arm, confidence=level) if arm.searched else None,
        redundancy=redundancy(
            arm.filters,
            arm.scores,
            good=protocol.target,
            useful=useful,
            confidence=level,
            seed=protocol.seed,
        )
        if arm.filters is not None and single
        else None,
        importance=arm.importance,
    )
