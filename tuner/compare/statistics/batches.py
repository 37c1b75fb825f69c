"""Trials that trained together: their seconds are equal shares of one measured time."""

import numpy as np

from tuner.compare.statistics.estimate import Floats, Ints

COMPARABLE = 1.5
"""Up to this ratio of their batches' sizes the seconds per trial of two arms are compared."""

UNLIKE = "their trials trained in batches of different sizes, so their seconds do not compare"


def batch_of(seconds: Floats) -> Ints:
    """The number of each trial's batch, shape [n], 0 and up, where batches share their time.

    The trials of a batch share its time equally, so they are those whose seconds agree to the
    last bit. A trial that diverged left its batch early and counts by itself; so does one whose
    time is unknown.

    Args:
        seconds: Training seconds of each trial, shape [n], NaN where unknown.
    """
    return np.unique(seconds, return_inverse=True, equal_nan=False)[1].astype(np.int64)


def batch_size(batch: Ints | None) -> float:
    """How many trials trained together, seen from the median trial.

    Args:
        batch: Number of each trial's batch, shape [n]; None if each trained by itself.
    """
    return 1.0 if batch is None else float(np.median(np.bincount(batch)[batch]))


def comparable(first: Ints | None, second: Ints | None) -> bool:
    """Whether two arms' seconds per trial mean the same: a wider batch makes each trial cheaper.

    Args:
        first: Number of each trial's batch in one arm, shape [n]; None without batches.
        second: The same of the other arm, shape [m].
    """
    sizes = batch_size(first), batch_size(second)
    return not max(sizes) > COMPARABLE * min(sizes)
