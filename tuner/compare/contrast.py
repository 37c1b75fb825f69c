"""The contrast of two arms: what the verdict and the reports' contrast table rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from tuner.compare.arm import Arm
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.batches import UNLIKE, comparable
from tuner.compare.statistics.best_of_k import Bounds, best_of_k_difference, best_of_k_probability
from tuner.compare.statistics.endpoints import holm, paired_difference, unpaired_difference
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.rmst import FEWEST_REPEATS, rmst_ratio
from tuner.compare.statistics.speedup import Speedup, speedup_in_cost, speedup_in_trials
from tuner.compare.statistics.targets import logrank_p, mean_trials, waits


@dataclass(frozen=True)
class Repeats:
    """Two arms over independent repeats of the whole search, paired by repeat.

    Args:
        n: Repeats per arm.
        difference: Mean difference of the best scores found, first minus second.
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
        best_of_k: Difference of the expected best of k*; ``None`` unless both arms are random
            search. Its interval supposes no trial beyond the scores seen in the comparison.
        best_of_k_bounded: The same, supposing only the scores' known bounds; ``None`` without.
        probability: That the first arm's best of k* beats the second's, ties half.
        repeats: Both searches repeated, where they were.
        test: Difference of the retrained incumbents' mean test scores.
        test_p: Welch's p of it; ``test_p_holm`` is adjusted over all contrasts.
        speedups: trials, epochs, seconds -> how many times less of it the first arm needs until
            one of its random trials reaches the target; empty without a target.
    """

    first: str
    second: str
    best_of_k: Estimate | None
    best_of_k_bounded: Estimate | None
    probability: Estimate | None
    repeats: Repeats | None
    test: Estimate | None
    test_p: float | None
    test_p_holm: float | None = None
    speedups: Mapping[str, Speedup] = field(default_factory=dict)

    @property
    def difference(self) -> Estimate | None:
        """What a verdict may rest on: best of k*, or the endpoints of enough repeats."""
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
    best_of_k = bounded = probability = test = test_p = None
    if first.random and second.random and k <= min(first.n, second.n):
        difference = partial(
            best_of_k_difference,
            first.scores,
            second.scores,
            k,
            confidence=protocol.confidence,
            seed=protocol.seed,
        )
        best_of_k = difference(bounds=seen)
        bounded = difference(bounds=protocol.range) if protocol.bounded else None
        probability = best_of_k_probability(
            first.scores, second.scores, k, confidence=protocol.confidence
        )
    if first.retrained is not None and second.retrained is not None:
        test, test_p = unpaired_difference(
            first.retrained.test, second.retrained.test, confidence=protocol.confidence
        )
        test = test.clipped(*protocol.gaps)
    return Contrast(
        first=first.name,
        second=second.name,
        best_of_k=best_of_k,
        best_of_k_bounded=bounded,
        probability=probability,
        repeats=_repeats(first, second, protocol),
        test=test,
        test_p=test_p,
        speedups=_speedups(first, second, protocol),
    )


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
    difference, p = paired_difference(*ends, confidence=protocol.confidence)
    difference = difference.clipped(*protocol.gaps)
    if protocol.target is None:
        return Repeats(len(ours), difference, p, None, None)
    a, b = waits(ours, protocol.target), waits(theirs, protocol.target)
    horizon = float(lengths.pop())
    ratio = rmst_ratio(a, b, horizon=horizon, confidence=protocol.confidence, seed=protocol.seed)
    if ratio.value is None:  # too few repeats, or no success: a mean would be the horizon
        return Repeats(len(ours), difference, p, None, None, ratio)
    means = (mean_trials(a, horizon), mean_trials(b, horizon))
    return Repeats(len(ours), difference, p, means, logrank_p(a, b), ratio)
