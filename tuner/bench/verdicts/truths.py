"""What is true in a situation, from one large simulation of its spaces.

Nothing here uses the estimators on trial: a best of k is a mean of maxima of the population, a
median difference the median over random pairs of fresh runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from tuner.bench.verdicts.shapes import Rng
from tuner.bench.verdicts.simulated import selected
from tuner.bench.verdicts.situation import NARROW, NEW, OLD, Situation
from tuner.bench.verdicts.space import KnownSpace
from tuner.compare.statistics.estimate import Floats

TRIALS = 400_000
"""Trials of a simulated population, at least."""
SEARCHES = 100_000
"""Searches of it, at least."""
LEARNING_SEARCHES = 40_000
ROLLS = 5
"""How often each fresh run is paired with another."""
FRESH = 20_000
"""Fresh runs of one incumbent."""


@dataclass(frozen=True)
class Truth:
    """A true difference; its sign is 0 where the simulation cannot tell it from none."""

    value: float
    sign: int


@dataclass(frozen=True)
class Population:
    """A space's runs, in numbers that leave no doubt.

    Args:
        val: Validation scores of random settings, sorted; of a sampler that learns, the best of
            each search, in no order.
        afresh: Scores of what searches select, trained afresh, in no order.
        mean_wait: Mean trials to the target within a search, for a sampler that learns.
    """

    val: Floats
    afresh: Floats
    mean_wait: float = np.nan


class Truths:
    """What is true in a situation; each question is answered once.

    Args:
        situation: The situation.
        seed: Of its simulation.
    """

    def __init__(self, situation: Situation, *, seed: int = 2**31) -> None:
        self._situation = situation
        rng = np.random.default_rng(seed)
        known: list[tuple[KnownSpace, Population]] = []
        self._of: dict[str, Population] = {}
        for name, space in situation.spaces.items():
            shared = [there for other, there in known if other == space]
            self._of[name] = shared[0] if shared else _population(situation, space, rng)
            known.append((space, self._of[name]))
        # A truth is asked for in every comparison, and takes milliseconds.
        for ask in ("afresh", "median_afresh", "median", "best_of", "wins", "share", "ends"):
            setattr(self, ask, cache(getattr(self, ask)))

    def afresh(self, first: str, second: str) -> Truth:
        """Median difference of fresh runs of what two spaces' searches select."""
        a, b = self._of[first].afresh, self._of[second].afresh
        size = min(a.size, b.size)
        a, b = a[:size], b[:size]
        return _median([a - np.roll(b, shift) for shift in range(1, ROLLS + 1)])

    @cached_property
    def left(self) -> Truth:
        """Median of how much more than half of the difference the narrow ranges leave."""
        new, old, narrow = (self._of[name].afresh for name in (NEW, OLD, NARROW))
        shifts = range(1, ROLLS + 1)
        return _median([(new + np.roll(old, s)) / 2 - np.roll(narrow, 2 * s) for s in shifts])

    def median_afresh(self, name: str) -> float:
        """Median of the fresh runs of what an arm's searches select."""
        return float(np.median(self._of[name].afresh))

    def median(self, name: str) -> float:
        """Median of all its validation scores."""
        return float(np.median(self._of[name].val))

    def best_of(self, name: str, k: int) -> float:
        """Expected best validation score of k random trials; the median one of losses."""
        val = self._of[name].val
        if self._situation.losses:
            return float(np.quantile(val, 0.5 ** (1 / k)))
        return float(_weights(val.size, k) @ val)

    def wins(self, first: str, second: str, k: int) -> float:
        """Chance that the best of k of the first is above the second's, ties half."""
        a, b = self._of[first].val, self._of[second].val
        below = [(np.searchsorted(b, a, side) / b.size) ** k for side in ("left", "right")]
        return float(_weights(a.size, k) @ (below[0] + below[1]) / 2)

    def share(self, name: str) -> float:
        """Share of random trials that reach the target."""
        target = self._situation.target
        return np.nan if target is None else float((self._of[name].val >= target).mean())

    def times_fewer(self, first: str, second: str) -> float:
        """How many times fewer random trials the first needs to the target on average."""
        ours, theirs = self.share(first), self.share(second)
        return ours / theirs if theirs else np.inf if ours else np.nan

    def ends(self, first: str, second: str) -> Truth:
        """Median difference of the best validation scores of two repeated searches."""
        a, b = self._of[first].val, self._of[second].val
        return _median([a - np.roll(b, shift) for shift in range(1, ROLLS + 1)])

    def times_fewer_learning(self, first: str, second: str) -> float:
        """Ratio of the mean trials to the target within a search: the second's to the first's."""
        return self._of[second].mean_wait / self._of[first].mean_wait


@dataclass(frozen=True)
class Incumbents:
    """What the incumbents that a simulated search has found are worth, run again and again.

    Args:
        median: Arm -> median of its fresh runs.
        mean: Arm -> their mean.
        error: Arm -> standard error of that.
    """

    median: Mapping[str, float]
    mean: Mapping[str, float]
    error: Mapping[str, float]

    def mean_difference(self, first: str, second: str) -> Truth:
        """Difference of the means of two."""
        value = self.mean[first] - self.mean[second]
        error = np.hypot(self.error[first], self.error[second])
        return Truth(value, 0 if abs(value) <= 4 * error else int(np.sign(value)))


def incumbents(situation: Situation, worth: Mapping[str, float], rng: Rng) -> Incumbents:
    """Run each incumbent many times."""
    runs = {
        name: situation.spaces[name].runs.scores(rng, np.full(FRESH, value))
        for name, value in worth.items()
    }
    return Incumbents(
        {name: float(np.median(scores)) for name, scores in runs.items()},
        {name: float(scores.mean()) for name, scores in runs.items()},
        {name: float(scores.std() / np.sqrt(FRESH)) for name, scores in runs.items()},
    )


def _population(situation: Situation, space: KnownSpace, rng: Rng) -> Population:
    if space.learning is not None:
        size = (LEARNING_SEARCHES, situation.length)
    else:
        size = (max(SEARCHES, TRIALS // situation.k), situation.k)
    worth = space.search(rng, size)
    val = space.runs.scores(rng, worth)
    afresh = space.runs.scores(rng, selected(worth.ravel(), val.ravel(), size[1]))
    if space.learning is None:
        return Population(np.sort(val, axis=None), afresh)
    target = np.inf if situation.target is None else situation.target
    reached = val >= target
    waits = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, situation.length)
    return Population(val.max(axis=1), afresh, float(waits.mean()))


def _weights(size: int, k: int) -> Floats:
    """Chance of each of the sorted scores to be the best of k."""
    return np.diff(np.linspace(0, 1, size + 1) ** k)


def _median(differences: list[Floats]) -> Truth:
    """The median; it is 0 unless more than half of the pairs lie on one side, beyond doubt."""
    one = differences[0]
    doubt = one.size / 2 + 2 * np.sqrt(one.size)
    sign = int((one > 0).sum() > doubt) - int((one < 0).sum() > doubt)
    return Truth(float(np.median(np.concatenate(differences))) if sign else 0.0, sign)
