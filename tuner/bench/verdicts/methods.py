"""Three intervals for paired fresh runs, side by side: which covers, and how wide each is.

Only the first is in use; the others are computed here alone. All are held against the median
difference, which a verdict speaks of.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from tuner.compare.statistics.endpoints import mean_interval
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.paired_searches import median_at_look

LEVEL = 0.95


def signed_rank(differences: Floats) -> Estimate:
    """Hodges and Lehmann's estimate with the interval of the signed-rank test.

    Both ends are order statistics of the Walsh averages (d_i + d_j) / 2, i <= j.
    """
    rows, columns = np.triu_indices(differences.size)
    walsh = np.sort((differences[rows] + differences[columns]) / 2)
    middle, rank = float(np.median(walsh)), _signed_rank_cut(differences.size)
    if rank == 0:
        return Estimate(middle)
    return Estimate(middle, float(walsh[rank - 1]), float(walsh[walsh.size - rank]))


@lru_cache(maxsize=64)
def _signed_rank_cut(n: int) -> int:
    """Largest c with P(W < c) <= (1 - LEVEL) / 2, W the signed-rank statistic of n pairs."""
    chances = np.ones(1)
    for rank in range(1, n + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return int(np.searchsorted(np.cumsum(chances), (1 - LEVEL) / 2, "right"))


def sign(differences: Floats) -> Estimate:
    """The median by order statistics: what a verdict uses."""
    return median_at_look(differences, confidence=LEVEL)


def student(differences: Floats) -> Estimate:
    """Student's t of the mean."""
    return mean_interval(differences, confidence=LEVEL)


METHODS: Mapping[str, Callable[[Floats], Estimate]] = MappingProxyType(
    {"sign (in use)": sign, "Student's t": student, "signed rank": signed_rank}
)
"""Name -> interval of paired differences."""
