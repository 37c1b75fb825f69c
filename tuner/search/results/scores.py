"""The score of each trial: failed and pruned ones have theirs, too."""

import math
from collections.abc import Sequence

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from tuner.compare.statistics.estimate import Bools, Floats
from tuner.errors import InvalidInput
from tuner.wording import count

GREATEST = 1e300
"""A value beyond it is taken for infinite: the difference of two of them, and the margins of a
figure, would be."""


class NothingToCompare(InvalidInput):
    """An arm of which no trial has a score."""


def score(
    trials: Sequence[FrozenTrial], name: str, *, sign: int = 1, worst: float | None = None
) -> Floats:
    """The trials' scores, higher is better, shape [n]; those without one get the worst.

    A pruned trial has its last reported value.

    Args:
        trials: Finished trials.
        name: The arm, for the error.
        sign: -1 for a study that minimizes.
        worst: What a trial without a value scores; the worst seen in the study if None.

    Raises:
        NothingToCompare: If no trial has a finite value.
    """
    turned = sign * values(trials) + 0.0  # no -0
    finite = turned[np.isfinite(turned)]
    if not finite.size:
        raise NothingToCompare(
            f"arm {name!r}: none of its {count(len(trials), 'finished trial')} has a value: "
            + (
                "all failed or were pruned before they reported one, so there is nothing to "
                "compare; mend what they failed at and run the study again"
                if trials
                else "run the study, or wait for its first one"
            )
        )
    return np.where(np.isfinite(turned), turned, finite.min() if worst is None else worst)


def values(trials: Sequence[FrozenTrial]) -> Floats:
    """Each trial's value, a pruned one's last report, shape [n]; NaN where it has none."""
    known = np.array([_value(trial) for trial in trials], dtype=np.float64)
    return np.where(np.abs(known) <= GREATEST, known, math.nan)


def failures(trials: Sequence[FrozenTrial]) -> Bools:
    """Whether each trial of ours diverged, failed, or ended without a finite value, shape [n]."""
    diverged = [trial.user_attrs.get("diverged") is True for trial in trials]
    return ~np.isfinite(values(trials)) | np.array(diverged, dtype=np.bool_)


def _value(trial: FrozenTrial) -> float:
    if trial.state == TrialState.FAIL:
        return math.nan
    if trial.value is not None:
        return trial.value
    return trial.intermediate_values[trial.last_step] if trial.last_step is not None else math.nan
