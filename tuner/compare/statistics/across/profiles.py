"""Performance profiles: how often an arm is within a factor of the best, over workloads.

A cost is the expected number of random trials until one reaches the target, n / hits. An arm none
of whose trials did has missed: its cost is infinite, and so is its ratio, however large a factor
is allowed. A miss is thus never dropped, and never counted as if it had ended at the budget. Where
every arm missed, every ratio is infinite: nobody solved that workload, and it stays in the
denominator.

With more than two arms a profile says how each stands to the best of them all; which of two is
ahead of the other may then hang on a third (Gould and Scott).

Source: Dolan and More (2002), "Benchmarking optimization software with performance profiles",
Mathematical Programming 91; Gould and Scott (2016), "A note on performance profiles", ACM
Transactions on Mathematical Software 43.
"""

from collections.abc import Sequence
from math import ceil, isfinite

import numpy as np

from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.targets import good_region_share
from tuner.errors import InvalidInput

_ROUNDING = 1e-9


def performance_ratios(costs: Floats) -> Floats:
    """Each arm's cost over the least of its workload, shape [workloads, arms]; a miss is infinite.

    Args:
        costs: Above 0, infinite where an arm missed the target, shape [workloads, arms].

    Raises:
        InvalidInput: If a cost is not above 0, or there is no workload or no arm.
    """
    if costs.ndim != 2 or costs.size == 0 or not (costs > 0).all():
        raise InvalidInput(
            "performance profile: needs a cost above 0 of each arm on each workload, infinite "
            f"where it missed, got {costs.tolist()}"
        )
    best = costs.min(axis=1, keepdims=True)
    solved = np.isfinite(costs)
    return np.where(solved, np.where(solved, costs, 1.0) / np.where(solved, best, 1.0), np.inf)


def performance_profile(
    ratios: Floats, factors: Sequence[float], *, confidence: float = 0.95
) -> list[Estimate]:
    """Share of workloads on which an arm is within each factor of the best.

    rho(f) = |{w : r_w <= f}| / W. The interval is Clopper and Pearson's, at each factor by itself:
    of the share among the workloads that these are a random draw of, by the ratios as measured.

    Args:
        ratios: One arm's, shape [workloads].
        factors: At least 1.
        confidence: In (0, 1).
    """
    return [
        good_region_share(int(within.sum()), ratios.size, confidence=confidence)
        for within in (ratios <= factor * (1 + _ROUNDING) for factor in factors)
    ]


def round_factors(ratios: Floats) -> tuple[float, ...]:
    """Factors for a table: 1, 2, 4, ... up to the first that all finite ratios are within."""
    finite = ratios[np.isfinite(ratios)]
    largest = float(finite.max()) if finite.size else 1.0
    assert isfinite(largest)
    return tuple(2.0**power for power in range(max(1, ceil(np.log2(largest) - _ROUNDING)) + 1))
