"""How much of an incumbent's score is luck: of the selection, and of the validation set.

The best of many noisy validation scores is too good: among nearly equal settings the luckiest run
wins. Fresh seeds of the same setting show by how much.
"""

from dataclasses import dataclass

from tuner.compare.arm import Arm
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.selected import median_interval


@dataclass(frozen=True)
class Optimism:
    """Above 0 the search promised more than it keeps.

    Args:
        best: Best validation score found in the search.
        seeds: Fresh runs of its setting.
        selection: ``best`` minus the median validation score of the fresh runs. ``best`` is the
            number that was printed, so its interval is that of the fresh runs' median.
        split: Median of validation minus test score, paired by fresh run: what the validation set,
            used to choose, is easier than the test set. No selection enters it.
    """

    best: float
    seeds: int
    selection: Estimate
    split: Estimate


def optimism(arm: Arm, *, confidence: float = 0.95) -> Optimism | None:
    """Selection optimism of an arm's incumbent; ``None`` where it was not retrained.

    selection = max_i x_i - median_s v_s,   split = median_s (v_s - t_s),   s = 1..S fresh runs,

    both with the interval of a median by order statistics: none below six fresh runs.

    Args:
        arm: Finished trials x with the incumbent's fresh validation scores v and test scores t.
        confidence: In (0, 1).

    Source: Cawley & Talbot (2010), JMLR 11, on the selection's optimism.
    """
    runs = arm.retrained
    if runs is None:
        return None
    best = float(arm.scores.max())
    return Optimism(
        best=best,
        seeds=runs.val.size,
        selection=median_interval(best - runs.val, confidence=confidence),
        split=median_interval(runs.val - runs.test, confidence=confidence),
    )
