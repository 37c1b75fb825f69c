"""The filter space needs no more tuning than the magnitude space, at similar accuracy."""

import math
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from tuner.claims.claim import Claim, Means, OnProgress
from tuner.claims.outcome import ClaimOutcome, ClaimVerdict, Figure, points_with_interval, within
from tuner.compare import Comparison, compare
from tuner.compare.statistics.estimate import Estimate
from tuner.errors import InvalidInput, TunerError
from tuner.search.database.store import open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.results.arms import arms
from tuner.search.watch.progress import Progress
from tuner.search.work import launch
from tuner.search.work.trainers import check
from tuner.wording import count


class LessTuning(Claim):
    """Random search in both spaces at equal budgets; what it selects is trained afresh.

    Less tuning: the setting that a search of k trials selects, trained afresh, has in the filter
    space no lower test accuracy than in the magnitude space: the median of the differences, pair
    by pair of searches, is not below -rope. Similar accuracy: the two best settings of all,
    trained with fresh seeds, differ in the median seed's test accuracy by no more than +-rope.
    Both by their 95% intervals.

    Args:
        comparison: As in ``studies/``; its name is the claim's.
    """

    kind: Literal["less_tuning"]
    comparison: ComparisonSpec

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:  # Any: whatever the file held
        if isinstance(data, dict) and isinstance(data.get("comparison"), dict):
            return {**data, "comparison": {"name": data.get("name"), **data["comparison"]}}
        return data

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.comparison.verdict.primary is None or self.comparison.retrain_seeds < 2:
            raise InvalidInput(
                "comparison: needs verdict.primary, the new arm first, and retrain_seeds of at "
                f"least 2, got {self.comparison.verdict.primary} and "
                f"{self.comparison.retrain_seeds}"
            )
        return self

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:
        """See ``Claim``."""
        if means.database is not None:
            return outcome_of(self._compare(means.database, means.workers, progress))
        with tempfile.TemporaryDirectory(prefix="tuner-claims-") as folder:
            address = f"sqlite:///{Path(folder, 'claims.db')}"
            return outcome_of(self._compare(address, means.workers, progress))

    def _compare(self, database: str, workers: int | None, progress: OnProgress) -> Comparison:
        """Run what is missing of the comparison, then compare."""
        check(self.comparison.workload)
        state = launch.run(
            self.comparison, database=database, workers=workers, on_progress=_share(progress)
        )
        if any(arm.best is None for arm in state.arms):
            raise TunerError(f"{self.name}: an arm has no finished trial, nothing can be compared")
        with closing(open_store(database, must_exist=True)) as store:
            return compare(*arms(store, self.comparison.name))


def outcome_of(comparison: Comparison) -> ClaimOutcome:
    """The two figures of a comparison's primary contrast, and what they are made of."""
    primary, rope = comparison.contrasts[0], comparison.protocol.rope
    differ = f"{primary.first} - {primary.second}"
    by_name = {arm.name: arm for arm in comparison.arms}
    reported = []
    for name in (primary.first, primary.second):
        arm = by_name[name]
        if arm.selected is not None:
            chosen, n = arm.selected.median, arm.selected.n
            reported.append(
                _median(f"{name}, settings selected", chosen, count(n, "search", "searches"))
            )
        if arm.retrained is not None:
            test, n = arm.retrained.test, arm.retrained.seeds
            reported.append(_median(f"{name}, incumbent on test", test, count(n, "seed")))
    at_least = f"at least -{100 * rope:g} points"
    inside = f"within ±{100 * rope:g} points"
    return ClaimOutcome(
        (
            _difference(
                f"settings selected, {differ}", primary.difference, -rope, math.inf, at_least
            ),
            _difference(f"median seed, {differ}", primary.test_typical, -rope, rope, inside),
            *reported,
        )
    )


def _median(label: str, estimate: Estimate, of: str) -> Figure:
    """What one arm reached, without an expectation of its own."""
    shown = f"{estimate.value:.2%}, median of {of}"
    return Figure(label, estimate.value, shown, low=estimate.low, high=estimate.high)


def _difference(
    label: str, estimate: Estimate | None, low: float, high: float, expected: str
) -> Figure:
    """A difference and where its interval lies."""
    if estimate is None:
        return Figure(label, None, "too few trials", expected, "not settled")
    verdict: ClaimVerdict = within(estimate, low, high)
    return Figure(
        label,
        estimate.value,
        points_with_interval(estimate),
        expected,
        verdict,
        estimate.low,
        estimate.high,
    )


def _share(progress: OnProgress) -> Callable[[Progress], None]:
    """The share of the trials that ended, those trained afresh included."""

    def on_progress(state: Progress) -> None:
        done = sum(arm.done + arm.retrained for arm in state.arms)
        total = sum(arm.total + arm.to_retrain for arm in state.arms)
        progress(done / total if total else 1.0)

    return on_progress
