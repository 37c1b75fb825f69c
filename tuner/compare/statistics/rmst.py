"""Repeated searches by samplers that learn: the ratio of mean trials to a target."""

from math import inf

import numpy as np

from tuner.compare.statistics.best_of_k import mean_ends
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.statistics.targets import Waits, mean_trials
from tuner.errors import InvalidInput

FEWEST_REPEATS = 10
"""Repeats of a search with a learning sampler below which nothing rests on them."""


def rmst_ratio(
    new: Waits, old: Waits, *, horizon: float, confidence: float = 0.95, seed: int = 0
) -> Speedup:
    """Mean trials to the target of the old searches over the new ones', up to a horizon (RMST).

    Every wait lies between one trial and the horizon, and the interval supposes nothing else: a
    few repeats leave room for searches that get stuck. A bootstrap, which repeats those seen,
    covers 62% where one search in ten gets stuck.

    Args:
        new: Trials to the target in each repeat of the new search.
        old: The same of the old search.
        horizon: Number of trials beyond which no search counts, in general its length.
        confidence: In (0, 1).
        seed: Of the draws.

    Raises:
        InvalidInput: If the horizon lies beyond a search that missed.
    """
    r = min(new.trials.size, old.trials.size)
    if r < FEWEST_REPEATS:
        why = f"needs at least {FEWEST_REPEATS} repeats of each search, got {r}"
        return Speedup(None, None, None, why)
    for name, arm in (("new", new), ("old", old)):
        ended = arm.trials[~arm.reached]
        if not horizon > 0 or (ended.size and ended.min() < horizon):
            raise InvalidInput(
                f"mean trials: the horizon must be in (0, {ended.min(initial=inf):g}], the "
                f"shortest {name} search that missed, got {horizon:g}"
            )
    value = mean_trials(old, horizon) / mean_trials(new, horizon)
    if not any((arm.reached & (arm.trials <= horizon)).any() for arm in (new, old)):
        return Speedup(None, None, None, "neither search reached the target in any repeat")
    rngs = np.random.default_rng(seed).spawn(2)
    (least_new, most_new), (least_old, most_old) = (
        mean_ends(np.minimum(arm.trials, horizon), (1.0, horizon), rng)
        for arm, rng in zip((new, old), rngs, strict=True)
    )
    tail = (1 - confidence) / 2
    low = float(np.quantile(least_old / most_new, tail))
    high = float(np.quantile(most_old / least_new, 1 - tail))
    return Speedup(value, min(low, value), max(high, value))
