"""Repeated searches: the median of the best so far, with its exact interval.

Optuna's history plot draws a standard deviation of the repeats and forgets those that ended
early. Here an ended search keeps its best.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Floats, Ints
from tuner.errors import InvalidInput

_CELLS = 2**20


@dataclass(frozen=True)
class Traces:
    """The best so far after 1..m trials, over r independent repeats of a search.

    Args:
        median: Median over the repeats, shape [m].
        low: Lower bound of its pointwise interval, shape [m]; ``None`` where r is too small.
        high: Upper bound, likewise.
        lengths: Trials of each repeat, shape [r]; a shorter one keeps its best up to m.
    """

    median: Floats
    low: Floats | None
    high: Floats | None
    lengths: Ints


def median_ranks(r: int, *, confidence: float = 0.95) -> tuple[int, int] | None:
    """Ranks d and r + 1 - d (from 1) of the order statistics around the median of r values.

    The largest d with 2 P(Bin(r, 1/2) < d) <= 1 - confidence, so the interval covers for every
    distribution, ties included; ``None`` where no d does (r < 6 at 95%).

    Raises:
        InvalidInput: If r is below 1.
    """
    if r < 1:
        raise InvalidInput(f"interval of a median: needs r >= 1 values, got {r}")
    tails = 2 * scipy.stats.binom.cdf(np.arange((r + 1) // 2), r, 0.5)
    d = int((tails <= 1 - confidence + 1e-12).sum())
    return (d, r + 1 - d) if d else None


def incumbent_traces(searches: Sequence[Floats], *, confidence: float = 0.95) -> Traces:
    """Median best so far with its interval at every number of trials.

    Args:
        searches: Scores of each repeat in trial order, higher is better; lengths may differ.
        confidence: In (0, 1), at each number of trials by itself.

    Raises:
        InvalidInput: If there is no search, or one has no trial or a score that is not finite.
    """
    if not searches:
        raise InvalidInput("incumbent traces: needs at least one search, got none")
    for number, scores in enumerate(searches):
        if scores.size == 0 or not np.isfinite(scores).all():
            raise InvalidInput(
                f"incumbent traces: every search needs at least one trial and finite scores, "
                f"search {number} has {scores.size} trials, "
                f"{int((~np.isfinite(scores)).sum())} of them not finite"
            )
    best = [np.maximum.accumulate(scores) for scores in searches]
    lengths = np.array([scores.size for scores in searches])
    r, m = len(best), int(lengths.max())
    ranks = median_ranks(r, confidence=confidence)
    rows = np.empty((3, m))
    block = max(1, _CELLS // r)
    for start in range(0, m, block):
        columns = np.arange(start, min(start + block, m))
        ordered = np.sort(
            np.stack([search[np.minimum(columns, search.size - 1)] for search in best]), axis=0
        )
        rows[0, columns] = (ordered[(r - 1) // 2] + ordered[r // 2]) / 2
        if ranks:
            rows[1, columns], rows[2, columns] = (ordered[rank - 1] for rank in ranks)
    return Traces(rows[0], rows[1] if ranks else None, rows[2] if ranks else None, lengths)
