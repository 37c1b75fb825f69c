"""Every interval that a comparison states, held against what is true."""

from collections.abc import Iterator

import numpy as np

from tuner.bench.verdicts.situation import Situation
from tuner.bench.verdicts.truths import Incumbents, Truths
from tuner.compare import Comparison
from tuner.compare.contrast import Contrast
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.summary import ArmSummary

SEEN = "best of k, nothing beyond what was seen"
MEASURES = {
    "selected": "median difference of settings selected, trained afresh",
    "best of k": "difference of the best of k on validation",
    SEEN: "the same, supposing no trial outside what all arms have seen",
    "P(wins)": "chance that the best of k is above the other's",
    "trials": "times fewer random trials to the target",
    "seconds": "times fewer seconds to the target",
    "ends": "median difference of the ends of repeated searches",
    "learning": "ratio of mean trials to the target of repeated searches",
    "incumbents": "difference of the incumbents' means",
    "typical": "difference of the incumbents' medians",
    "arm's selected": "median of an arm's settings selected, trained afresh",
    "arm's best of k": "an arm's best of k on validation",
    "curve": "an arm's best of k at every k at once",
    "share": "share of an arm's trials that reach the target",
    "seeds": "median of an incumbent's fresh runs",
    "defaults": "median of all runs of the defaults",
}
"""The intervals by name, and of what they are."""

Covered = tuple[str, str, bool]
"""Which interval, of which arm or arms, and whether it covers."""

_ROUNDING = 1e-9


def intervals(
    comparison: Comparison, situation: Situation, truths: Truths, incumbents: Incumbents
) -> Iterator[Covered]:
    """Whether each interval stated holds the truth."""
    for contrast in comparison.contrasts:
        who = f"{contrast.first} - {contrast.second}"
        for measure, covers in _of_contrast(contrast, comparison.k, truths, incumbents):
            if covers is not None:
                yield measure, who, covers
    for arm in comparison.arms:
        for measure, covers in _of_arm(arm, comparison.k, situation, truths, incumbents):
            if covers is not None:
                yield measure, arm.name, covers


def holds(estimate: Estimate | None, truth: float) -> bool | None:
    """Whether an interval holds the truth; ``None`` if none is stated."""
    if estimate is None or estimate.interval is None:
        return None
    return _between(estimate.low, truth, estimate.high)


def _between(low: float | None, truth: float, high: float | None) -> bool:
    """Whether the truth lies in an interval, open where a bound is missing."""
    slack = _ROUNDING * max(1.0, abs(truth)) if np.isfinite(truth) else 0.0
    return (low is None or low <= truth + slack) and (high is None or truth - slack <= high)


def _speedup_holds(speedup: Speedup | None, truth: float) -> bool | None:
    if speedup is None or np.isnan(truth) or (speedup.low is None and speedup.high is None):
        return None
    return _between(speedup.low, truth, speedup.high)


def _of_contrast(
    contrast: Contrast, k: int, truths: Truths, incumbents: Incumbents
) -> Iterator[tuple[str, bool | None]]:
    pair = contrast.first, contrast.second
    if contrast.selected is not None:
        yield "selected", holds(contrast.difference, truths.afresh(*pair).value)
    if contrast.best_of_k is not None:
        difference = truths.best_of(pair[0], k) - truths.best_of(pair[1], k)
        yield "best of k", holds(contrast.best_of_k, difference)
        yield SEEN, holds(contrast.best_of_k_seen, difference)
        yield "P(wins)", holds(contrast.probability, truths.wins(*pair, k))
    for cost in ("trials", "seconds"):
        if cost in contrast.speedups:
            yield cost, _speedup_holds(contrast.speedups[cost], truths.times_fewer(*pair))
    if contrast.repeats is not None and contrast.best_of_k is None:
        yield "ends", holds(contrast.repeats.difference, truths.ends(*pair).value)
        ratio = truths.times_fewer_learning(*pair)
        yield "learning", _speedup_holds(contrast.repeats.speedup, ratio)
    if contrast.test is not None:
        yield "incumbents", holds(contrast.test, incumbents.mean_difference(*pair).value)
        medians = incumbents.median[pair[0]] - incumbents.median[pair[1]]
        yield "typical", holds(contrast.test_typical, medians)


def _of_arm(
    arm: ArmSummary, k: int, situation: Situation, truths: Truths, incumbents: Incumbents
) -> Iterator[tuple[str, bool | None]]:
    if arm.selected is not None:
        yield "arm's selected", holds(arm.selected.median, truths.median_afresh(arm.name))
    for point in arm.best_of:
        if point.k == k and (point.low is not None or point.high is not None):
            yield "arm's best of k", _between(point.low, truths.best_of(arm.name, k), point.high)
    if arm.curve:
        yield (
            "curve",
            all(_between(at.low, truths.best_of(arm.name, at.k), at.high) for at in arm.curve),
        )
    if arm.target is not None and situation.target is not None:
        yield "share", holds(arm.target.share, truths.share(arm.name))
    if arm.retrained is not None:
        for scores in (arm.retrained.val, arm.retrained.test):
            yield "seeds", holds(scores, incumbents.median[arm.name])
    if arm.median is not None:
        yield "defaults", holds(arm.median, truths.median(arm.name))
