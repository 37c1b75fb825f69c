"""The contrast of two arms: what the verdict and the reports' contrast table rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tuner.compare.arm import Arm, Retrained, SelectedRuns
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.batches import UNLIKE, comparable
from tuner.compare.statistics.best_of_k import (
    DRAWS,
    best_of_k_combinations,
    best_of_k_difference,
    best_of_k_probability,
    trials_for_interval,
)
from tuner.compare.statistics.endpoints import holm, mean_difference, signed_rank_p
from tuner.compare.statistics.estimate import Bounds, Estimate, Floats
from tuner.compare.statistics.median_best_of_k import (
    median_best_of_k_combinations,
    median_best_of_k_difference,
    trials_for_median,
)
from tuner.compare.statistics.selected import (
    SelectedDifference,
    median_interval,
    on_other_images,
    selected_difference,
)
from tuner.compare.statistics.speedup import (
    FEWEST_REPEATS,
    Speedup,
    rmst_ratio,
    speedup_in_cost,
    speedup_in_trials,
)
from tuner.compare.statistics.targets import logrank_p, mean_trials, waits

Narrow = Literal["holds", "fragile", "cannot tell"]
"""Whether more than half of a difference is shown to be left under narrow ranges, or less."""


@dataclass(frozen=True)
class Repeats:
    """Two arms over independent repeats of the whole search, paired by repeat.

    Args:
        n: Repeats per arm.
        difference: Median difference of the best scores found, first minus second, pair by pair.
        p: Exact Wilcoxon signed-rank p of it.
        mean_trials: Mean trials to the target within the shortest search (RMST), per arm;
            ``None`` without a target, below ten repeats, or if no search reached it.
        logrank_p: Of the trials to the target; ``None`` likewise.
        speedup: How many times fewer trials the first arm's searches need (ratio of RMST).
    """

    n: int
    difference: Estimate
    p: float
    mean_trials: tuple[float, float] | None
    logrank_p: float | None
    speedup: Speedup | None = None


@dataclass(frozen=True)
class Contrast:
    """First arm minus second arm.

    Args:
        selected: What the settings that their searches select reach when they are trained afresh:
            what a verdict rests on. ``None`` where none was.
        best_of_k: Difference of the best validation score of k* trials: of the expected one, its
            interval supposing the scores' known bounds alone; of the median one where no bounds
            are known. ``None`` unless both arms are random search.
        best_of_k_seen: The expected one, supposing also that no trial would score outside what
            the comparison has seen; ``None`` without known bounds.
        probability: That the first arm's best of k* beats the second's, ties half.
        repeats: Both searches repeated, where they were.
        test: Difference of the retrained incumbents' mean test scores. Its interval supposes the
            scores' bounds alone; none where they are unknown.
        test_other_images: The same with an interval that also holds for other test images of the
            same kind, as many; ``None`` where hits by image are not known.
        test_typical: Difference of their medians, which supposes nothing.
        test_typical_other_images: The same of the medians.
        test_p: Welch's p of the means; ``test_p_holm`` is adjusted over all contrasts.
        speedups: trials, epochs, seconds -> how many times less of it the first arm needs until
            one of its random trials reaches the target; empty without a target.
    """

    first: str
    second: str
    selected: SelectedDifference | None
    best_of_k: Estimate | None
    best_of_k_seen: Estimate | None
    probability: Estimate | None
    repeats: Repeats | None
    test: Estimate | None
    test_typical: Estimate | None
    test_p: float | None
    test_p_holm: float | None = None
    test_other_images: Estimate | None = None
    test_typical_other_images: Estimate | None = None
    speedups: Mapping[str, Speedup] = field(default_factory=dict)

    @property
    def difference(self) -> Estimate | None:
        """What a verdict rests on: the settings selected, trained afresh."""
        return None if self.selected is None else self.selected.difference

    @property
    def on_validation(self) -> Estimate | None:
        """What the scores that selected them show: best of k*, or the ends of enough repeats.

        Noise raises the best of several: it is not what the settings are worth.
        """
        if self.best_of_k is not None:
            return self.best_of_k
        if self.repeats is not None and self.repeats.n >= FEWEST_REPEATS:
            return self.repeats.difference
        return None


def contrast(first: Arm, second: Arm, k: int, protocol: Protocol, seen: Bounds) -> Contrast:
    """Contrast two arms at the budget k*, as far as their samplers allow.

    Args:
        first: One arm.
        second: The other.
        k: The budget k*.
        protocol: The declaration.
        seen: Lowest and highest score of all arms of the comparison.
    """
    best_of_k = within_seen = probability = test = typical = test_p = None
    test_wider = typical_wider = None
    level, seed = protocol.confidence, protocol.seed
    if first.random and second.random and k <= min(first.n, second.n):
        best_of_k = combination((first, second), (1.0, -1.0), k, protocol)
        if protocol.bounded:
            within_seen = best_of_k_difference(
                first.scores, second.scores, k, bounds=seen, confidence=level, seed=seed
            )
        probability = best_of_k_probability(first.scores, second.scores, k, confidence=level)
    if first.retrained is not None and second.retrained is not None:
        ours, theirs = first.retrained.test, second.retrained.test
        test, test_p = mean_difference(ours, theirs, protocol.range, confidence=level, seed=seed)
        typical = median_best_of_k_difference(ours, theirs, 1, confidence=level, seed=seed)
        test_wider, typical_wider = (
            _wider(each, first.retrained, second.retrained, protocol) for each in (test, typical)
        )
    return Contrast(
        first=first.name,
        second=second.name,
        selected=_selected(first, second, protocol),
        best_of_k=best_of_k,
        best_of_k_seen=within_seen,
        probability=probability,
        repeats=_repeats(first, second, protocol),
        test=test,
        test_typical=typical,
        test_p=test_p,
        test_other_images=test_wider,
        test_typical_other_images=typical_wider,
        speedups=_speedups(first, second, protocol),
    )


def combination(
    arms: Sequence[Arm], weights: Sequence[float], k: int, protocol: Protocol
) -> Estimate:
    """The weighted sum of the arms' best of k: expected within known bounds, else the median."""
    return combinations(arms, [weights], k, protocol)[0]


def combinations(
    arms: Sequence[Arm],
    weightings: Sequence[Sequence[float]],
    k: int,
    protocol: Protocol,
    *,
    draws: int = DRAWS,
) -> list[Estimate]:
    """Several weighted sums, as ``combination``, from the same draws."""
    scores, level, seed = [arm.scores for arm in arms], protocol.confidence, protocol.seed
    if protocol.bounded:
        return best_of_k_combinations(
            scores, weightings, k, bounds=protocol.range, confidence=level, seed=seed, draws=draws
        )
    return median_best_of_k_combinations(
        scores, weightings, k, confidence=level, seed=seed, draws=draws
    )


def trials_needed(k: int, protocol: Protocol) -> int:
    """Fewest trials per arm for an interval of ``combination``; about, where it is a median."""
    if protocol.bounded:
        return trials_for_interval(k)
    return trials_for_median(k, confidence=protocol.confidence)


def left_in_narrow(
    new: Arm, old: Arm, control: Arm, k: int, protocol: Protocol
) -> Estimate | None:
    """How much more than half of new - old is left where the control stands in for the old arm.

    (new - control) - (new - old) / 2 = (new + old) / 2 - control, of the settings selected: pairs
    of searches of new and old against every search of the control; of the best of k where none
    was trained afresh. ``None`` where it cannot be computed.
    """
    if new.selected and old.selected and control.selected:
        ours, theirs = _in_common(new.selected, old.selected)
        narrow = control.selected.in_order
        if ours.size == 0 or narrow.size == 0:
            return None
        return selected_difference(
            (ours + theirs) / 2,
            narrow,
            planned=_planned(new.selected, old.selected, control.selected),
            shares=protocol.looks,
            confidence=protocol.confidence,
        ).difference
    if all(arm.random and k <= arm.n for arm in (new, old, control)):
        return combination((new, old, control), (0.5, 0.5, -1.0), k, protocol)
    return None


def left_word(left: Estimate | None, difference: Estimate) -> Narrow:
    """What the part of a difference beyond its half says; see ``left_in_narrow``."""
    if left is None or left.interval is None:
        return "cannot tell"
    low, high = left.interval
    if difference.value < 0:
        low, high = -high, -low
    return "holds" if low > 0 else "fragile" if high < 0 else "cannot tell"


def _selected(first: Arm, second: Arm, protocol: Protocol) -> SelectedDifference | None:
    if first.selected is None or second.selected is None:
        return None
    ours, theirs = first.selected, second.selected
    if not (ours.in_order.size and theirs.in_order.size):
        return None
    of_searches = selected_difference(
        ours.in_order,
        theirs.in_order,
        planned=_planned(ours, theirs),
        shares=protocol.looks,
        confidence=protocol.confidence,
    )
    wider = _wider(of_searches.difference, ours, theirs, protocol)
    return replace(of_searches, other_images=wider)


def _wider(
    difference: Estimate,
    first: Retrained | SelectedRuns,
    second: Retrained | SelectedRuns,
    protocol: Protocol,
) -> Estimate | None:
    """The difference as it holds on other test images; ``None`` where the hits are not known."""
    ours, theirs = first.hits, second.hits
    if ours is None or theirs is None or ours.shape[1] != theirs.shape[1]:
        return None
    least, greatest = protocol.range
    wider = on_other_images(difference, ours, theirs, confidence=protocol.confidence)
    return wider.clipped(least - greatest, greatest - least)


def _planned(*runs: SelectedRuns) -> int:
    return min(each.planned for each in runs)


def _in_common(first: SelectedRuns, second: SelectedRuns) -> tuple[Floats, Floats]:
    """The fresh test scores of the searches that both arms have."""
    ours, theirs = first.in_order, second.in_order
    both = min(ours.size, theirs.size)
    return ours[:both], theirs[:both]


def _speedups(first: Arm, second: Arm, protocol: Protocol) -> dict[str, Speedup]:
    """What the target costs in the second arm over what it costs in the first."""
    if protocol.target is None or not (first.random and second.random):
        return {}
    ours, theirs = (arm.scores >= protocol.target for arm in (first, second))
    speedups = {"trials": speedup_in_trials(ours, theirs, confidence=protocol.confidence)}
    level = protocol.confidence
    if first.epochs is not None and second.epochs is not None:
        speedups["epochs"] = speedup_in_cost(
            ours, theirs, new_costs=first.epochs, old_costs=second.epochs, confidence=level
        )
    speedups["seconds"] = (
        speedup_in_cost(
            ours,
            theirs,
            new_costs=first.seconds,
            old_costs=second.seconds,
            new_batches=first.batch,
            old_batches=second.batch,
            confidence=level,
        )
        if comparable(first.batch, second.batch)
        else Speedup(None, None, None, UNLIKE)
    )
    return speedups


def with_holm(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts with their test-set p-values adjusted for their number."""
    tested = [c.test_p for c in contrasts if c.test_p is not None]
    adjusted = iter(holm(tested))
    return [c if c.test_p is None else replace(c, test_p_holm=next(adjusted)) for c in contrasts]


def _repeats(first: Arm, second: Arm, protocol: Protocol) -> Repeats | None:
    ours, theirs = first.searches, second.searches
    lengths = {scores.size for scores in (*ours, *theirs)}
    whole = {arm.search_length for arm in (first, second) if arm.search_length is not None}
    if len(ours) != len(theirs) or len(ours) < 2 or len(lengths) > 1 or whole - lengths:
        return None
    ends = [np.array([scores.max() for scores in arm]) for arm in (ours, theirs)]
    difference = median_interval(ends[0] - ends[1], confidence=protocol.confidence)
    p = signed_rank_p(*ends)
    if protocol.target is None:
        return Repeats(len(ours), difference, p, None, None)
    a, b = waits(ours, protocol.target), waits(theirs, protocol.target)
    horizon = float(lengths.pop())
    ratio = rmst_ratio(a, b, horizon=horizon, confidence=protocol.confidence, seed=protocol.seed)
    if ratio.value is None:  # too few repeats, or no success: a mean would be the horizon
        return Repeats(len(ours), difference, p, None, None, ratio)
    means = (mean_trials(a, horizon), mean_trials(b, horizon))
    return Repeats(len(ours), difference, p, means, logrank_p(a, b), ratio)
