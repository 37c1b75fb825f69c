"""Comparisons of the same search spaces on several workloads, answered as one. Pure.

Nothing is estimated from trials here: each comparison has its hits, its speed-ups and their
intervals, and ``statistics.across`` puts them together. A workload whose comparison is not there
yet is named, so that nobody takes some of the workloads for all that were declared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol as Shape

import numpy as np

from tuner.compare.contrast import Contrast
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.across.pooled import Pooled, pooled_speedup, without_each
from tuner.compare.statistics.across.profiles import (
    performance_profile,
    performance_ratios,
    round_factors,
)
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.summary import ArmSummary
from tuner.compare.verdict import Verdict
from tuner.errors import InvalidInput

AXES = ("trials", "epochs", "seconds")
"""What a target costs; the first is what the answer is about."""

NOT_KNOWN = Speedup(None, None, None, "unknown on this workload")


class Compared(Shape):
    """What is used of a ``tuner.compare.Comparison``."""

    @property
    def protocol(self) -> Protocol:
        """The declaration."""

    @property
    def arms(self) -> Sequence[ArmSummary]:
        """One summary per arm."""

    @property
    def contrasts(self) -> Sequence[Contrast]:
        """The new arm held against others."""

    @property
    def verdict(self) -> Verdict:
        """Its own, on this workload alone."""


@dataclass(frozen=True)
class Declaration:
    """What was declared of a suite.

    Args:
        name: What it is called.
        description: What it asks, for people.
        arms: The new arm, the old one, and any others.
        comparisons: Names of all comparisons, in order.
        declaration_hash: Of all that was declared.
    """

    name: str
    description: str
    arms: tuple[str, ...]
    comparisons: tuple[str, ...]
    declaration_hash: str


@dataclass(frozen=True)
class Suite:
    """What comparisons over several workloads say together.

    Args:
        declared: What was declared.
        comparisons: Comparison name -> what came out of it, of those that there are.
        costs: Expected random trials until one reaches the target, n / hits, infinite where none
            did, shape [workloads, arms].
        ratios: Each over the least of its workload, infinite likewise, shape [workloads, arms].
        factors: Of the best, at which ``profiles`` are given.
        profiles: Arm -> share of the workloads on which it is within each factor.
        pooled: trials, epochs, seconds -> how many times less of it the new arm needs; only trials
            where the cost is not known on every workload that an arm reached: a miss is not to be
            left out because nobody knows what it cost.
        without: Comparison name -> the same in trials without it.
        against: Each further arm -> the same in trials against it in place of the old arm.
    """

    declared: Declaration
    comparisons: Mapping[str, Compared]
    costs: Floats
    ratios: Floats
    factors: tuple[float, ...]
    profiles: Mapping[str, Sequence[Estimate]]
    pooled: Mapping[str, Pooled]
    without: Mapping[str, Pooled]
    against: Mapping[str, Pooled]

    @property
    def arms(self) -> tuple[str, ...]:
        """The new arm, the old one, and any others."""
        return self.declared.arms

    @property
    def missing(self) -> list[str]:
        """Comparisons declared of which nothing can be said yet."""
        return [name for name in self.declared.comparisons if name not in self.comparisons]

    @property
    def protocol(self) -> Protocol:
        """The rules that all have in common: those of the first."""
        return next(iter(self.comparisons.values())).protocol

    def speedup(self, name: str, axis: str = AXES[0]) -> Speedup:
        """How many times less of something the new arm needs than the old one on one workload."""
        return _speedup(self.comparisons[name], self.arms, axis)


def answered(declared: Declaration, comparisons: Mapping[str, Compared]) -> Suite:
    """What the comparisons say over all of their workloads.

    Args:
        declared: What was declared.
        comparisons: Name -> what came out, of those that there are; at least one.

    Raises:
        InvalidInput: If there is none, or an arm of one has no number of trials to a target.
    """
    if not comparisons:
        raise InvalidInput(
            f"suite {declared.name!r}: none of its comparisons has come out yet; run them first"
        )
    ordered = {name: comparisons[name] for name in declared.comparisons if name in comparisons}
    levels = {each.protocol.confidence for each in ordered.values()}
    if len(levels) > 1:
        raise InvalidInput(f"suite {declared.name!r}: needs one confidence, got {sorted(levels)}")
    (confidence,) = levels
    costs = np.array(
        [[_cost(_summary(each, arm)) for arm in declared.arms] for each in ordered.values()]
    )
    ratios = performance_ratios(costs)
    factors = round_factors(ratios)
    by_axis = {
        axis: [_speedup(each, declared.arms, axis) for each in ordered.values()] for axis in AXES
    }
    return Suite(
        declared=declared,
        comparisons=ordered,
        costs=costs,
        ratios=ratios,
        factors=factors,
        profiles={
            arm: performance_profile(ratios[:, place], factors, confidence=confidence)
            for place, arm in enumerate(declared.arms)
        },
        pooled={
            axis: pooled_speedup(each, confidence=confidence)
            for axis, each in by_axis.items()
            if _is_known(each) == _is_known(by_axis[AXES[0]])
        },
        without=dict(
            zip(ordered, without_each(by_axis[AXES[0]], confidence=confidence), strict=True)
        ),
        against={
            other: pooled_speedup(
                [_speedup(each, (declared.arms[0], other), AXES[0]) for each in ordered.values()],
                confidence=confidence,
            )
            for other in declared.arms[2:]
        },
    )


def _is_known(speedups: Sequence[Speedup]) -> list[bool]:
    return [(each.value, each.low, each.high) != (None, None, None) for each in speedups]


def _summary(comparison: Compared, name: str) -> ArmSummary:
    arm = next((arm for arm in comparison.arms if arm.name == name), None)
    if arm is None or arm.target is None:
        why = "is not in it" if arm is None else "has no share of independent trials at a target"
        raise InvalidInput(
            f"suite: arm {name!r} {why}, on {comparison.protocol.workload}; a suite needs the "
            "same random searches with a target on every workload"
        )
    return arm


def _cost(arm: ArmSummary) -> float:
    assert arm.target is not None
    return arm.n / arm.target.hits if arm.target.hits else inf


def _speedup(comparison: Compared, arms: Sequence[str], axis: str) -> Speedup:
    for contrast in comparison.contrasts:
        if (contrast.first, contrast.second) == tuple(arms[:2]):
            return contrast.speedups.get(axis, NOT_KNOWN)
    raise InvalidInput(
        f"suite: {arms[0]!r} is not held against {arms[1]!r} on {comparison.protocol.workload}; "
        "name a pair that every comparison holds against each other"
    )
