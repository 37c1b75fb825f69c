"""The contrast of two arms: what the verdict and the reports' contrast table rest on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tuner.compare.bootstrap import best_of_k_contrast
from tuner.compare.endpoints import holm, paired_difference, unpaired_difference
from tuner.compare.estimators import Estimate
from tuner.compare.protocol import Arm, Protocol
from tuner.compare.targets import logrank_p, mean_trials, waits

FEWEST_REPEATS = 10
"""Repeats of a search with a learning sampler below which no verdict rests on them."""


@dataclass(frozen=True)
class Repeats:
    """Two arms over independent repeats of the whole search, paired by repeat.

    Args:
        n: Repeats per arm.
        difference: Mean difference of the best scores found, first minus second.
        p: Exact Wilcoxon signed-rank p of it.
        mean_trials: Mean trials to the target within the shortest search (RMST), per arm.
        logrank_p: Of the trials to the target; ``None`` without a target or any success.
    """

    n: int
    difference: Estimate
    p: float
    mean_trials: tuple[float, float] | None
    logrank_p: float | None


@dataclass(frozen=True)
class Contrast:
    """First arm minus second arm.

    Args:
        best_of_k: Difference of the expected best of k*; ``None`` unless both arms are random
            search.
        probability: That the first arm's best of k* beats the second's, ties half.
        repeats: Both searches repeated, where they were.
        test: Difference of the retrained incumbents' mean test scores.
        test_p: Welch's p of it; ``test_p_holm`` is adjusted over all contrasts.
    """

    first: str
    second: str
    best_of_k: Estimate | None
    probability: Estimate | None
    repeats: Repeats | None
    test: Estimate | None
    test_p: float | None
    test_p_holm: float | None = None

    @property
    def difference(self) -> Estimate | None:
        """What a verdict may rest on: best of k*, or the endpoints of enough repeats."""
        if self.best_of_k is not None:
            return self.best_of_k
        if self.repeats is not None and self.repeats.n >= FEWEST_REPEATS:
            return self.repeats.difference
        return None


def contrast(first: Arm, second: Arm, k: int, protocol: Protocol) -> Contrast:
    """Contrast two arms at the budget k*, as far as their samplers allow."""
    best_of_k = probability = test = test_p = None
    if first.independent and second.independent:
        best_of_k, probability = best_of_k_contrast(
            first.scores, second.scores, k, confidence=protocol.confidence, seed=protocol.seed
        )
    if first.retrained is not None and second.retrained is not None:
        test, test_p = unpaired_difference(
            first.retrained.test, second.retrained.test, confidence=protocol.confidence
        )
    repeats = _repeats(first, second, protocol)
    return Contrast(first.name, second.name, best_of_k, probability, repeats, test, test_p)


def with_holm(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The contrasts with their test-set p-values adjusted for their number."""
    tested = [c.test_p for c in contrasts if c.test_p is not None]
    adjusted = iter(holm(tested))
    return [c if c.test_p is None else replace(c, test_p_holm=next(adjusted)) for c in contrasts]


def _repeats(first: Arm, second: Arm, protocol: Protocol) -> Repeats | None:
    ours, theirs = first.searches, second.searches
    lengths = {scores.size for scores in (*ours, *theirs)}
    if len(ours) != len(theirs) or len(ours) < 2 or len(lengths) > 1:
        return None
    ends = [np.array([scores.max() for scores in arm]) for arm in (ours, theirs)]
    difference, p = paired_difference(*ends, confidence=protocol.confidence)
    if protocol.target is None:
        return Repeats(len(ours), difference, p, None, None)
    a, b = waits(ours, protocol.target), waits(theirs, protocol.target)
    horizon = float(lengths.pop())
    means = (mean_trials(a, horizon), mean_trials(b, horizon))
    return Repeats(len(ours), difference, p, means, logrank_p(a, b))
