"""What is held against what: sides that take turns, and the rows that come of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Required, TypedDict, Unpack

from tuner.bench.child import Job, Slice
from tuner.search.work.surroundings import KEEP_MEMORY, ONE_THREAD

Round = Mapping[str, float]
"""Side -> its value in one round."""

WORKER = ONE_THREAD | KEEP_MEMORY
"""The environment of our worker processes."""


@dataclass(frozen=True)
class Side:
    """A variant of this software or a baseline.

    Args:
        name: What it is called.
        jobs: One per process; they work at the same time.
        variables: The processes' environment variables; every process has one thread.
    """

    name: str
    jobs: tuple[Job, ...]
    variables: Mapping[str, str] = field(default_factory=lambda: WORKER)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the results.

    Args:
        contest: The contest's name.
        workload: What was done.
        variant: Which way of ours.
        baseline: What it was held against, if anything.
        measure: What ``value`` is.
        unit: Its unit.
        value: The variant's; the median over the rounds, the mean where ``spread`` is a
            confidence interval.
        baseline_value: The baseline's, likewise.
        ratio: Median over the rounds of the variant's value to the baseline's.
        difference: Mean of the variant's value less the baseline's, where no ratio is formed.
        low: Lower end of the spread, if there is one.
        high: Its upper end.
        spread: What ``low`` and ``high`` are.
        load: The greatest share of the processors that others took in a round, in [0, 1].
        clean: Whether that is little enough to rely on the result; None if it is not known.
    """

    contest: str
    workload: str
    variant: str
    baseline: str | None
    measure: str
    unit: str
    value: float
    baseline_value: float | None = None
    ratio: float | None = None
    difference: float | None = None
    low: float | None
    high: float | None
    spread: str
    load: float | None = None
    clean: bool | None = None


class Measured(TypedDict, total=False):
    """What a judge finds out about a row; see ``Row``."""

    value: Required[float]
    baseline_value: float
    ratio: float
    difference: float
    low: Required[float | None]
    high: Required[float | None]
    spread: Required[str]


@dataclass(frozen=True)
class Match:
    """Sides that take turns at the same work.

    Args:
        contest: The contest it belongs to.
        workload: The work in words.
        measure: What is measured, in words.
        unit: Its unit.
        sides: Who takes part; in every second round they take their turns backwards.
        pairs: Each variant and what it is held against, a side or a key of ``best_of``; None
            for nothing.
        value: From the slices of a side's processes in a round to its value.
        judge: From the match and its rounds to rows.
        best_of: Name -> sides; in each round it has the greatest of their values.
        least_rounds: Rounds to play even if fewer are asked for.
    """

    contest: str
    workload: str
    measure: str
    unit: str
    sides: Sequence[Side]
    pairs: Sequence[tuple[str, str | None]]
    value: Callable[[Sequence[Slice]], float]
    judge: Callable[["Match", Sequence[Round]], list[Row]]
    best_of: Mapping[str, Sequence[str]] = field(default_factory=dict)
    least_rounds: int = 1

    def row(self, variant: str, baseline: str | None, **measured: Unpack[Measured]) -> Row:
        """A row about this match."""
        return Row(
            contest=self.contest,
            workload=self.workload,
            variant=variant,
            baseline=baseline,
            measure=self.measure,
            unit=self.unit,
            **measured,
        )
