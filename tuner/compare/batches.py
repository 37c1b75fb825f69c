"""Trials that trained together: their seconds are equal shares of one measured time."""

import numpy as np

from tuner.compare.protocol import Floats, Ints

COMPARABLE = 1.5
"""Up to this ratio of their batches' sizes the seconds per trial of two arms are compared."""

UNLIKE = "their trials trained in batches of different sizes, so their seconds do not compare"


def batch_of(seconds: Floats) -> Ints:
    """The number of each trial's batch, shape [n], 0 and up.

    The trials of a batch share its time equally, so they are those whose seconds agree to the
    last bit. A trial that diverged left its batch early and counts by itself; so does one whose
    time is unknown.

    Args:
        seconds: Training seconds of each trial, shape [n], NaN where unknown.
    """
    return np.unique(seconds, return_inverse=True, equal_nan=False)[1].astype(np.int64)


def batch_size(seconds: Floats) -> float:
    """How many trials trained together, seen from the median trial; NaN if no time is known."""
    known = seconds[np.isfinite(seconds)]
    if known.size == 0:
        return float("nan")
    batches = batch_of(known)
    return float(np.median(np.bincount(batches)[batches]))


def comparable(first: Floats, second: Floats) -> bool:
    """Whether two arms' seconds per trial mean the same: a wider batch makes each trial cheaper.

    Args:
        first: Training seconds of each trial of one arm, shape [n].
        second: The same of the other arm, shape [m].
    """
    sizes = batch_size(first), batch_size(second)
    return not max(sizes) > COMPARABLE * min(sizes)
