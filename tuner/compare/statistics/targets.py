"""How much search a target takes: good-region share and trials until the first success.

A miss is censored, never dropped: an arm that never reaches the target says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, isfinite, log, log1p

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Bools, Estimate, Floats
from tuner.errors import InvalidInput


@dataclass(frozen=True)
class Trials:
    """A number of trials with its interval; ``None`` means that no number suffices."""

    value: int | None
    low: int | None
    high: int | None


@dataclass(frozen=True)
class Waits:
    """Trials until the first success in each repeat of a search.

    Args:
        trials: Trials used, shape [r]: up to the first success, or all of them.
        reached: Whether there was a success, shape [r]; a miss is censored.
    """

    trials: Floats
    reached: Bools


def good_region_share(hits: int, n: int, *, confidence: float = 0.95) -> Estimate:
    """Share of trials that reach the target, with its exact (Clopper-Pearson) interval."""
    if not 0 <= hits <= n or n < 1:
        raise InvalidInput(f"good-region share: needs 0 <= hits <= n and n >= 1, got {hits}/{n}")
    interval = scipy.stats.binomtest(hits, n).proportion_ci(confidence, method="exact")
    return Estimate(hits / n, float(interval.low), float(interval.high))


def trials_for_success(share: Estimate, *, chance: float = 0.95) -> Trials:
    """Random trials after which one reaches the target with the given chance.

    ceil(ln(1 - chance) / ln(1 - share)); the interval is the share's, mapped.
    """

    def needed(p: float | None) -> int | None:
        if p is None or not p > 0:
            return None
        return 1 if p >= 1 else ceil(log(1 - chance) / log1p(-p))

    return Trials(needed(share.value), needed(share.high), needed(share.low))


def waits(searches: Sequence[Floats], target: float) -> Waits:
    """Trials until the first score of at least ``target`` in each search."""
    trials, reached = [], []
    for scores in searches:
        hits = np.flatnonzero(scores >= target)
        reached.append(hits.size > 0)
        trials.append(float(hits[0] + 1) if hits.size else float(scores.size))
    return Waits(np.array(trials), np.array(reached))


def survival(times: Waits) -> tuple[Floats, Floats]:
    """Kaplan-Meier: the numbers of trials with a success, and the chance of none up to each."""
    if not times.reached.any():
        return np.empty(0), np.empty(0)
    estimate = scipy.stats.ecdf(_censored(times)).sf
    events = np.unique(times.trials[times.reached])
    return events, np.asarray(estimate.evaluate(events), dtype=np.float64)


def mean_trials(times: Waits, horizon: float) -> float:
    """Mean number of trials until success, no search counting more than ``horizon`` (RMST).

    The area under the Kaplan-Meier curve from 0 to the horizon.

    Raises:
        InvalidInput: If the horizon lies beyond the longest search, and that one missed.
    """
    longest = float(times.trials.max())
    if not 0 < horizon or (horizon > longest and not times.reached[times.trials == longest].all()):
        raise InvalidInput(
            f"mean trials: the horizon must be in (0, {longest:g}], the longest search, "
            f"got {horizon:g}"
        )
    events, chances = survival(times)
    inside = events < horizon
    edges = np.concatenate([[0.0], events[inside], [horizon]])
    return float(np.diff(edges) @ np.concatenate([[1.0], chances[inside]]))


def logrank_p(first: Waits, second: Waits) -> float | None:
    """p-value of the log-rank test that both reach the target equally fast.

    ``None`` where the test says nothing: no search reached it, or all did at once.
    """
    if not (first.reached.any() or second.reached.any()):
        return None
    with np.errstate(invalid="ignore"):
        p = float(scipy.stats.logrank(_censored(first), _censored(second)).pvalue)
    return p if isfinite(p) else None


def _censored(times: Waits) -> "scipy.stats.CensoredData":
    return scipy.stats.CensoredData(
        uncensored=times.trials[times.reached], right=times.trials[~times.reached]
    )
