"""Tuning curves against the three budgets a reader pays: trials, epochs and seconds.

k random trials cost k c on average, c being the mean cost of a trial, so the curve of an arm of
independent trials is stretched by its own c. Any other search shows its best so far at what its
trials, pruned ones included, had really cost by then.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.compare.arm import Arm
from tuner.compare.statistics.best_of_k import BestOfK
from tuner.compare.statistics.estimate import Floats
from tuner.errors import InvalidInput

AXES = ("trials", "epochs", "seconds")


@dataclass(frozen=True)
class BudgetCurve:
    """One line of one arm on one budget axis.

    Args:
        arm: The arm's name.
        axis: ``"trials"``, ``"epochs"`` or ``"seconds"``.
        x: Budgets in the axis' unit, shape [m]; empty where the costs are unknown.
        value: Expected best of k at x = k c, or the best so far, shape [m].
        low: The curve's simultaneous band, shape [m]; ``None`` where there is none.
        high: Likewise.
        per_trial: Mean cost c of a trial; ``None`` where unknown.
        independent: Whether it is an expected best of k, not one search's best so far.
        note: What x is, or why it is missing.
    """

    arm: str
    axis: str
    x: Floats
    value: Floats
    low: Floats | None
    high: Floats | None
    per_trial: float | None
    independent: bool
    note: str


def budget_curves(
    arm: Arm, curve: Sequence[BestOfK], *, epochs: Floats | None = None
) -> tuple[BudgetCurve, ...]:
    """The arm's lines on every axis: one per axis, or one per axis and repeat of its search.

    Args:
        arm: Finished trials; ``seconds`` NaN where unknown.
        curve: Its tuning curve, used as it is; empty but for random search.
        epochs: Epochs each trial trained for, pruned and failed ones included, NaN where unknown,
            shape [n]; ``None`` where nobody knows.

    Raises:
        InvalidInput: If the curve is of more trials than the arm has, or costs are not one per
            trial, negative or infinite.
    """
    if curve and curve[-1].k > arm.n:
        raise InvalidInput(
            f"budget curves: arm {arm.name!r} has {arm.n} trials, its curve goes on to "
            f"{curve[-1].k}; give the curve of the same arm"
        )
    unknown = np.full(arm.n, np.nan)
    costs = (np.ones(arm.n), unknown if epochs is None else np.asarray(epochs), arm.seconds)
    lines: list[BudgetCurve] = []
    for axis, cost in zip(AXES, costs, strict=True):
        _check(arm, axis, cost)
        lines += [_curve(arm, curve, axis, cost)] if curve else _searches(arm, axis, cost)
    return tuple(lines)


def _check(arm: Arm, axis: str, costs: Floats) -> None:
    if costs.shape != arm.scores.shape:
        raise InvalidInput(
            f"arm {arm.name!r}: {axis} must be a list as long as the scores, got shape "
            f"{list(costs.shape)} beside {list(arm.scores.shape)}"
        )
    bad = costs[(costs < 0) | np.isinf(costs)]
    if bad.size:
        raise InvalidInput(
            f"arm {arm.name!r}: {axis} must be >= 0 and finite, or NaN where unknown, "
            f"got {bad[0]:g}"
        )


def _curve(arm: Arm, points: Sequence[BestOfK], axis: str, costs: Floats) -> BudgetCurve:
    """The tuning curve at k times the mean cost of the trials whose cost is known."""
    known = costs[~np.isnan(costs)]
    per_trial = float(known.mean()) if known.size else None
    if not per_trial:
        why = f"left out: no trial's {axis} are known" if per_trial is None else "left out: all 0"
        return BudgetCurve(
            arm.name, axis, np.empty(0), np.empty(0), None, None, per_trial, True, why
        )
    note = "k trials"
    if axis != "trials":
        note = f"k trials at the mean cost of {per_trial:.3g} {axis}"
        if known.size < costs.size:
            note += f", known of {known.size} of {costs.size} trials"
    low, high = (
        None if None in bounds else np.array(bounds, dtype=np.float64)
        for bounds in ([point.low for point in points], [point.high for point in points])
    )
    x = per_trial * np.array([point.k for point in points])
    value = np.array([point.value for point in points])
    return BudgetCurve(arm.name, axis, x, value, low, high, per_trial, True, note)


def _searches(arm: Arm, axis: str, costs: Floats) -> Iterator[BudgetCurve]:
    """Each search's best so far at the summed cost of its trials; one unknown cost hides it."""
    repeats = np.zeros(arm.n, dtype=np.int64) if arm.repeat is None else arm.repeat
    for number in np.unique(repeats):
        cost, best = costs[repeats == number], np.maximum.accumulate(arm.scores[repeats == number])
        missing = int(np.isnan(cost).sum())
        spent = cost.cumsum()
        if missing or not spent[-1] > 0:
            why = f"{missing} of {cost.size} trials' {axis} are unknown" if missing else "all 0"
            yield BudgetCurve(
                arm.name, axis, np.empty(0), np.empty(0), None, None, None, False,
                f"left out: {why}",
            )  # fmt: skip
            continue
        note = f"best so far of one search, {axis} as spent"
        mean = float(cost.mean())
        yield BudgetCurve(arm.name, axis, spent, best, None, None, mean, False, note)


def known_axes(curves: Sequence[BudgetCurve]) -> list[str]:
    """The axes on which any arm has a line; trials always."""
    drawn = {curve.axis for curve in curves if curve.x.size}
    return [axis for axis in AXES if axis in drawn]
