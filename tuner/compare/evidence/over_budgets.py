"""The primary difference at every budget k, so that no single k decides.

It is that of the best validation score of k random trials: all budgets come from one pool of
trials, where settings are trained afresh at k* alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tuner.compare.arm import Arm
from tuner.compare.contrast import Narrow, combinations, left_word
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.best_of_k import trials_for_interval
from tuner.compare.statistics.estimate import Estimate, Floats, Ints, classify

POINTS = 12
DRAWS = 500
"""Of each interval: a picture needs fewer than a verdict."""

Word = Literal["higher", "lower", "equivalent", "not told apart"]


@dataclass(frozen=True)
class OverBudgets:
    """The difference of the new arm and the old one over k.

    Args:
        k: Budgets for which an interval is stated, shape [m].
        value: Difference of the best of k, shape [m].
        low: Its interval, at each k by itself, shape [m].
        high: Likewise.
        words: What each interval says of the new arm.
        narrow: Whether more than half of it holds with the control in place of the old arm;
            ``None`` where there is no control or no difference.
    """

    k: Ints
    value: Floats
    low: Floats
    high: Floats
    words: tuple[Word, ...]
    narrow: tuple[Narrow | None, ...]


def over_budgets(
    new: Arm, old: Arm, control: Arm | None, k: int, protocol: Protocol
) -> OverBudgets | None:
    """The difference at some budgets from 2 on, k* among them.

    ``None`` unless both are random search with trials enough for an interval.

    Args:
        new: The new arm of the primary contrast.
        old: The old one.
        control: The arm with narrow ranges, where there is one.
        k: The budget k*.
        protocol: The declaration.
    """
    n = min(new.n, old.n)
    if not (new.random and old.random) or n < trials_for_interval(2):
        return None
    spaced = np.rint(np.geomspace(2, n // 10, POINTS)).astype(int).tolist()
    budgets = sorted({*spaced, *([k] if k > 1 and n >= trials_for_interval(k) else [])})
    narrow = control if control is not None and control.random else None
    points = [_point(new, old, narrow, budget, protocol) for budget in budgets]
    estimates = [estimate for estimate, _ in points]
    return OverBudgets(
        k=np.array(budgets),
        value=np.array([each.value for each in estimates]),
        low=np.array([each.low for each in estimates], dtype=np.float64),
        high=np.array([each.high for each in estimates], dtype=np.float64),
        words=tuple(_word(each, protocol) for each in estimates),
        narrow=tuple(said for _, said in points),
    )


def _point(
    new: Arm, old: Arm, control: Arm | None, k: int, protocol: Protocol
) -> tuple[Estimate, Narrow | None]:
    if control is None or k > control.n:
        (estimate,) = combinations((new, old), [(1.0, -1.0)], k, protocol, draws=DRAWS)
        left = None
    else:
        estimate, left = combinations(
            (new, old, control), [(1.0, -1.0, 0.0), (0.5, 0.5, -1.0)], k, protocol, draws=DRAWS
        )
    if control is None or classify(estimate, protocol.rope) != "supported":
        return estimate, None
    return estimate, left_word(left, estimate)


def _word(estimate: Estimate, protocol: Protocol) -> Word:
    kind = classify(estimate, protocol.rope)
    if kind == "equivalent":
        return "equivalent"
    if kind == "inconclusive":
        return "not told apart"
    return "higher" if protocol.own(estimate.value) > 0 else "lower"


def runs_of(words: Sequence[str]) -> list[tuple[str, int, int]]:
    """Each stretch of equal words: the word, its first and its last place."""
    runs: list[tuple[str, int, int]] = []
    for place, word in enumerate(words):
        if runs and runs[-1][0] == word:
            runs[-1] = (word, runs[-1][1], place)
        else:
            runs.append((word, place, place))
    return runs
