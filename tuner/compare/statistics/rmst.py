"""Repeated searches by samplers that learn: the ratio of mean trials to a target."""

from math import sqrt

import numpy as np
from scipy import stats

from tuner.compare.statistics.estimate import Floats
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.statistics.targets import Waits, mean_trials

FEWEST_REPEATS = 10
"""Repeats of a search with a learning sampler below which nothing rests on them."""
FEWEST_SUCCESSES = 3
"""Repeats of each arm that must reach the target before the ratio has an interval."""
RESAMPLES = 2000


def rmst_ratio(
    new: Waits,
    old: Waits,
    *,
    horizon: float,
    confidence: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Speedup:
    """Mean trials to the target of the old searches over the new ones', up to a horizon (RMST).

    Both arms' repeats are resampled independently; the percentile interval is expanded
    with Student's t for the smaller number of repeats (Hesterberg 2015, arXiv:1411.5279).

    Args:
        new: Trials to the target in each repeat of the new search.
        old: The same of the old search.
        horizon: Number of trials beyond which no search counts, in general its length.
        confidence: In (0, 1).
        seed: Of the resamples.
        resamples: How many.

    Raises:
        InvalidInput: If the horizon lies beyond a search that missed (see ``mean_trials``).
    """
    r = min(new.trials.size, old.trials.size)
    if r < FEWEST_REPEATS:
        why = f"needs at least {FEWEST_REPEATS} repeats of each search, got {r}"
        return Speedup(None, None, None, why)
    value = mean_trials(old, horizon) / mean_trials(new, horizon)
    successes = [int((arm.reached & (arm.trials <= horizon)).sum()) for arm in (new, old)]
    if successes == [0, 0]:
        return Speedup(None, None, None, "neither search reached the target in any repeat")
    if min(successes) < FEWEST_SUCCESSES:
        why = f"needs {FEWEST_SUCCESSES} repeats of each search that reach the target"
        return Speedup(value, None, None, f"{why}, got {successes[0]} and {successes[1]}")
    rngs = np.random.default_rng(seed).spawn(2)
    ours, theirs = (
        _resampled_means(arm, horizon, rng, resamples)
        for arm, rng in zip((new, old), rngs, strict=True)
    )
    if np.ptp(theirs / ours) == 0:
        return Speedup(value, None, None, "all repeats took equally long: no spread, no interval")
    t = stats.t.ppf((1 + confidence) / 2, r - 1)
    tail = float(stats.norm.cdf(-t * sqrt(r / (r - 1))))
    low, high = np.quantile(theirs / ours, [tail, 1 - tail])
    return Speedup(value, min(float(low), value), max(float(high), value))


def _resampled_means(
    arm: Waits, horizon: float, rng: np.random.Generator, resamples: int
) -> Floats:
    """RMST of each resample by Kaplan-Meier, shape [resamples]; equal repeats are drawn as one.

    Successes come before misses of the same length. A resample whose longest search missed before
    the horizon keeps its last chance up to there.
    """
    missed = ~arm.reached | (arm.trials > horizon)
    kinds, sizes = np.unique(
        np.stack([np.minimum(arm.trials, horizon), missed]), axis=1, return_counts=True
    )
    counts = rng.multinomial(arm.trials.size, sizes / arm.trials.size, size=resamples)
    at_risk = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    lost = counts * (kinds[1] == 0)
    alive = np.cumprod(1 - lost / np.maximum(at_risk, 1), axis=1)
    means: Floats = kinds[0, 0] + alive @ np.diff(kinds[0], append=horizon)
    return means
