"""The comparison as CSV sheets: arms, contrasts, curves, and every trial with its filter."""

import csv
import io
from collections.abc import Iterable, Iterator

import numpy as np

from tuner.compare.comparison import Comparison
from tuner.compare.details import ArmDetail
from tuner.compare.estimators import Estimate

Row = tuple[object, ...]


def sheets(comparison: Comparison) -> dict[str, str]:
    """Name -> CSV text; an unknown value is an empty cell. Needs the comparison's details."""
    return {
        "arms": _text(("arm", "measure", "value", "low", "high"), _arms(comparison)),
        "contrasts": _text(
            ("first", "second", "measure", "value", "low", "high"), _contrasts(comparison)
        ),
        "curves": _text(
            ("arm", "axis", "budget", "value", "low", "high", "expected"),
            (row for one in comparison.details for row in _curves(one)),
        ),
        "trials": _text(
            (
                *("arm", "trial", "repeat", "score", "failed", "pruned", "seconds", "epochs"),
                *("alpha", "gamma", "alpha_decay", "violated"),
            ),
            (row for one in comparison.details for row in _trials(one)),
        ),
    }


def _arms(comparison: Comparison) -> Iterator[Row]:
    for arm in comparison.arms:
        yield arm.name, "trials", arm.n, None, None
        yield arm.name, "failed or diverged", arm.failed, None, None
        yield arm.name, "pruned", arm.pruned, None, None
        yield arm.name, "best", arm.best, None, None
        for point in arm.best_of:
            yield arm.name, f"expected best of {point.k}", point.value, point.low, point.high
        if arm.target is not None:
            yield arm.name, "share that reaches the target", *_bounds(arm.target.share)
        if arm.retrained is not None:
            yield arm.name, "incumbent on validation", *_bounds(arm.retrained.val)
            yield arm.name, "incumbent on test", *_bounds(arm.retrained.test)


def _contrasts(comparison: Comparison) -> Iterator[Row]:
    for one in comparison.contrasts:
        pair = one.first, one.second
        for measure, estimate in (
            (f"best of {comparison.k}", one.best_of_k),
            (f"P(best of {comparison.k} wins)", one.probability),
            ("incumbents on test", one.test),
            ("best of whole searches", one.repeats.difference if one.repeats else None),
        ):
            if estimate is not None:
                yield *pair, measure, *_bounds(estimate)
        for axis, found in one.speedups.items():
            yield *pair, f"times fewer {axis} to target", found.value, found.low, found.high


def _curves(detail: ArmDetail) -> Iterator[Row]:
    for curve in detail.budgets:
        nothing = np.full(curve.x.size, np.nan)
        low, high = (nothing if b is None else b for b in (curve.low, curve.high))
        for x, value, lo, hi in zip(curve.x, curve.value, low, high, strict=True):
            yield curve.arm, curve.axis, x, value, lo, hi, curve.independent


def _trials(detail: ArmDetail) -> Iterator[Row]:
    arm, filters = detail.arm, detail.arm.filters
    for i in range(arm.n):
        yield (
            arm.name,
            i,
            0 if arm.repeat is None else arm.repeat[i],
            arm.scores[i],
            arm.failed[i],
            arm.pruned[i],
            arm.seconds[i],
            None if arm.epochs is None else arm.epochs[i],
            None if filters is None else filters.alpha[i],
            None if filters is None else filters.gamma[i],
            None if filters is None else filters.decay[i],
            None if filters is None else filters.any_violated[i],
        )


def _bounds(estimate: Estimate) -> tuple[float | None, ...]:
    return estimate.value, estimate.low, estimate.high


def _text(names: tuple[str, ...], rows: Iterable[Row]) -> str:
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(names)
    sheet.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value).lower() if isinstance(value, bool) else value
