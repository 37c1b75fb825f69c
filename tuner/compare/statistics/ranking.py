"""How much each hyperparameter matters, and how many of them matter at all.

The numbers come from elsewhere (Optuna has evaluators); here they are made into shares that add up
to 1, with intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.errors import InvalidInput

HELD = 0.9
"""The effective number counts the hyperparameters that together hold this share."""
USUAL = 0.9
"""No interval is stated if fewer than this share of the resamples have an importance."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Ranking:
    """The hyperparameters by importance, according to one method.

    Args:
        shares: Name -> share of the total importance, the largest first; they add up to 1.
        effective: How many of them hold ``HELD`` of the total: see ``effective_number``.
        total: The importances' sum before it was made 1. For fANOVA it is the share of the
            forest's variance that single hyperparameters explain: the rest is interactions.
    """

    shares: Mapping[str, Estimate]
    effective: Estimate
    total: Estimate


@dataclass(frozen=True)
class Importance:
    """The importance of an arm's hyperparameters, or why there is none.

    Args:
        rankings: Method (``"PED-ANOVA"``, ``"fANOVA"``) -> its ranking; empty where none exists.
        reason: Why a method, or all of them, says nothing; ``None`` if both do.
        n: The arm's trials.
        n_used: Those that the numbers rest on.
        resamples: Bootstrap resamples behind the intervals.
        left_out: Hyperparameter -> why it has no importance.
        notes: What a reader of the numbers should know, in sentences.
    """

    rankings: Mapping[str, Ranking]
    reason: str | None
    n: int
    n_used: int = 0
    resamples: int = 0
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def effective_number(importances: Floats, held: float = HELD) -> int:
    """The fewest hyperparameters that together hold the share ``held`` of all importance.

    It counts from the largest: importances (6, 3, 1) hold 60%, 90% and 100%, hence 2 at 90%.
    An estimated importance is hardly ever exactly zero, so this errs towards more.

    Args:
        importances: At least 0, not all 0, shape [p].
        held: In (0, 1].

    Raises:
        InvalidInput: If an importance is negative or not finite, all are 0, or ``held`` is
            outside its range.
    """
    values = np.asarray(importances, dtype=np.float64)
    if not 0 < held <= 1:
        raise InvalidInput(f"effective number: held must be in (0, 1], got {held}")
    if not (values >= 0).all() or not 0 < values.sum() < np.inf:
        raise InvalidInput(
            "effective number: needs importances of at least 0, finite and not all 0, "
            f"got {values.tolist()}"
        )
    reached = np.cumsum(np.sort(values)[::-1]) / values.sum()
    return int(np.searchsorted(reached, held - _ROUNDING)) + 1


def ranking(
    names: Sequence[str], importances: Floats, *, draws: Floats, confidence: float = 0.95
) -> Ranking | None:
    """One method's importances as shares with percentile intervals; ``None`` if all are 0.

    An interval is widened to hold its estimate: a resample repeats trials, so that its
    importances lean to one side. Resamples without any importance are left out; where more than
    one in ten is, or there is none at all, no interval is stated.

    Args:
        names: The hyperparameters, p of them.
        importances: Of all trials, at least 0, shape [p].
        draws: Of each bootstrap resample, NaN or all 0 where it has none, shape [r, p].
        confidence: Of every interval, in (0, 1).

    Raises:
        InvalidInput: If shapes do not fit, or the confidence is outside (0, 1).
    """
    if importances.shape != (len(names),) or draws.ndim != 2 or draws.shape[1] != len(names):
        raise InvalidInput(
            f"ranking: needs importances [p] and draws [r, p] of p={len(names)} names, "
            f"got {list(importances.shape)} and {list(draws.shape)}"
        )
    if not 0 < confidence < 1:
        raise InvalidInput(f"ranking: confidence must be in (0, 1), got {confidence}")
    total = float(importances.sum())
    if not total > 0:
        return None
    usable = draws[draws.sum(axis=1) > 0]
    if usable.shape[0] < USUAL * max(draws.shape[0], 1):
        usable = usable[:0]
    totals = usable.sum(axis=1)
    parts = usable / totals[:, None]
    order = np.argsort(-importances, kind="stable")
    shares = {
        names[i]: _estimate(float(importances[i]) / total, parts[:, i], confidence) for i in order
    }
    numbers = np.array([effective_number(part) for part in parts], dtype=np.float64)
    rough = _estimate(effective_number(importances), numbers, confidence)
    effective = Estimate(rough.value, *(_whole(rough.interval) if rough.interval else ()))
    return Ranking(shares, effective, _estimate(total, totals, confidence))


def _estimate(value: float, draws: Floats, confidence: float) -> Estimate:
    if not draws.size:
        return Estimate(value)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, min(float(low), value), max(float(high), value))


def _whole(interval: tuple[float, float]) -> tuple[float, float]:
    """The interval of a count, widened to whole numbers."""
    return float(np.floor(interval[0])), float(np.ceil(interval[1]))
