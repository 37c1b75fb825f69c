"""Recomputed scores in the sign of studies that minimize: a score is there minus the value.

The best of k is taken of scores of which higher is better; a report states a study's own values.
"""

from collections.abc import Mapping
from typing import Any

from recomputed import bands
from recomputed.rows import Trials
from recomputed.walk import Within

Tree = dict[str, Any]


def of_minimized(report: Tree, arms: list[Trials]) -> Tree:
    """The tree of numbers with every score and difference as a study that minimizes has it."""
    over = report["over_budgets"]
    return {
        **report,
        "protocol": {
            **report["protocol"],
            "target": opposite(report["protocol"]["target"]),
            "minimized": True,
        },
        "arms": [_arm(arm) for arm in report["arms"]],
        "contrasts": [
            {**each, "best_of_k": each["best_of_k"] and turned(each["best_of_k"])}
            for each in report["contrasts"]
        ],
        "over_budgets": over and turned(over),
        "details": [
            {
                **detail,
                "edf": bands.distribution(-arm.scores),
                "budgets": [turned(curve) for curve in detail["budgets"]],
            }
            for detail, arm in zip(report["details"], arms, strict=True)
        ],
    }


def _arm(arm: Tree) -> Tree:
    return {
        **arm,
        "best": opposite(arm["best"]),
        "curve": [turned(point) for point in arm["curve"]],
        "best_of": [turned(point) for point in arm["best_of"]],
        "trace": [
            [{**point, "best": opposite(point["best"])} for point in trace]
            for trace in arm["trace"]
        ],
    }


def turned(interval: Mapping[str, Any]) -> Tree:
    """A number or a curve with its interval, whose ends change places."""
    value, low, high = (opposite(interval[name]) for name in ("value", "high", "low"))
    return {**interval, "value": value, "low": low, "high": high}


def opposite(value: Any) -> Any:
    if isinstance(value, list):
        return [opposite(entry) for entry in value]
    if isinstance(value, Within):
        return Within(-value.high, -value.low)
    return None if value is None else -value
