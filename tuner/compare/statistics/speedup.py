"""How many times less search the new space needs to reach a target, with an interval.

Independent random trials reach the target after 1/p trials on average, p being the good-region
share, so the speedup in trials is p_new / p_old. A trial costs c epochs or seconds on average and
the cost until success is c / p (Wald), so the speedup in cost is p_new c_old / (p_old c_new).
Both need independent trials (``Arm.independent``); searches by samplers that learn are compared
over repeats, by ``rmst_ratio``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf, isfinite, log, sqrt

import numpy as np
import scipy

from tuner.compare.statistics.best_of_k import mean_ends
from tuner.compare.statistics.estimate import Bools, Floats, Ints
from tuner.compare.statistics.targets import Waits, mean_trials
from tuner.errors import InvalidInput

FEW_HITS = 3
"""Hits of the poorer arm up to which the interval of a ratio of shares is the exact one."""

FEWEST_REPEATS = 10
"""Repeats of a search with a learning sampler below which nothing rests on them."""


@dataclass(frozen=True)
class Speedup:
    """The new space needs ``value`` times less than the old one; above 1 it is faster.

    Value and bounds are ``None`` where they would be 0, infinite or unknown; ``reason`` says why
    there is no value or no interval.
    """

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None

    def inverse(self) -> "Speedup":
        """The same seen from the old space."""
        value, low, high = (
            None if x is None else 1 / x for x in (self.value, self.high, self.low)
        )
        return Speedup(value, low, high, self.reason)


def share_ratio_interval(
    hits: tuple[int, int], n: tuple[int, int], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of p_1 / p_2 for two binomial shares; (0, inf) where neither arm has a hit.

    All ratios that ``share_ratio_score`` does not reject. It covers too rarely where an arm has
    few hits (88% at worst), so up to ``FEW_HITS`` the interval is the exact one of Poisson counts:
    x_1 of x_1 + x_2 hits is binomial with share n_1 theta / (n_1 theta + n_2). Enumerated over
    n = 20..200 and shares .002...95, a stated 95% covers at least 93%.

    Args:
        hits: Successes of both arms.
        n: Trials of both arms, at least 1.
        confidence: In (0, 1).

    Raises:
        InvalidInput: If an arm has no trial or more hits than trials.

    Source: Miettinen & Nurminen (1985), Statistics in Medicine 4; Przyborowski & Wilenski (1940),
    Biometrika 31, for few hits.
    """
    for x, size in zip(hits, n, strict=True):
        if not 0 <= x <= size or size < 1:
            raise InvalidInput(f"ratio of shares: needs 0 <= hits <= n and n >= 1, got {x}/{size}")
    if hits == (0, 0):
        return 0.0, inf
    if min(hits) <= FEW_HITS:
        exact = scipy.stats.binomtest(hits[0], sum(hits)).proportion_ci(confidence, method="exact")
        low, high = (p / (1 - p) * n[1] / n[0] if p < 1 else inf for p in exact)
        return float(low), float(high)
    critical = float(scipy.special.ndtri((1 + confidence) / 2))
    estimate = log(hits[0] / n[0]) - log(hits[1] / n[1])

    def excess(log_theta: float) -> float:
        return abs(float(share_ratio_score(hits, n, exp(log_theta)))) - critical

    def bound(step: float) -> float:
        while excess(estimate + step) < 0:
            step *= 2
        return exp(scipy.optimize.brentq(excess, estimate, estimate + step, xtol=1e-10))

    return bound(-0.1), bound(0.1)


def share_ratio_score(
    hits: tuple[int | Ints | Floats, int | Ints | Floats], n: tuple[int, int], theta: float
) -> Floats:
    """Z of Miettinen and Nurminen for p_1 / p_2 = theta: positive where p_1 looks too large.

    z = (x_1/n_1 - theta x_2/n_2) / sqrt(V),
    V = N/(N-1) [p_1 (1-p_1)/n_1 + theta^2 p_2 (1-p_2)/n_2] at the most likely p_1 = theta p_2.

    Args:
        hits: Successes of both arms, numbers or arrays that broadcast.
        n: Trials of both arms.
        theta: Ratio under test, above 0.
    """
    (x, y), total = (np.asarray(hit, dtype=np.float64) for hit in hits), n[0] + n[1]
    b = theta * (n[0] + y) + x + n[1]
    root = np.sqrt(np.maximum(b * b - 4 * total * theta * (x + y), 0.0))
    second = np.clip(2 * (x + y) / (b + root), 0.0, min(1.0, 1 / theta))
    first = np.minimum(theta * second, 1.0)
    variance = first * (1 - first) / n[0] + theta**2 * second * (1 - second) / n[1]
    gap = x / n[0] - theta * y / n[1]
    gap = np.where(np.abs(gap) < 1e-12 * max(1.0, theta), 0.0, gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gap == 0, 0.0, gap / np.sqrt(variance * total / (total - 1)))


def chance_to_win(n: int, share: float, *, confidence: float = 0.95) -> Callable[[float], float]:
    """Power of n trials an arm: the chance that the interval lies above 1, exactly.

    sum_y P(Y = y) P(X >= x(y)), x(y) being the fewest hits that win over y hits of n.

    Args:
        n: Trials per arm.
        share: The poorer arm's share.
        confidence: Of the interval.

    Returns:
        A function of the better arm's share.
    """
    first, last = scipy.stats.binom.ppf([1e-12, 1 - 1e-12], n, share).astype(np.int64)
    hits = np.arange(first, last + 1)
    critical, tail = float(scipy.special.ndtri((1 + confidence) / 2)), (1 - confidence) / 2
    loses, wins = hits.copy(), np.full(hits.size, n + 1)
    while (wins - loses > 1).any():
        x = (loses + wins) // 2
        exact = scipy.stats.binom.sf(x - 1, x + hits, 0.5) < tail
        score = share_ratio_score((x, hits), (n, n), 1.0) > critical
        above = np.where(hits <= FEW_HITS, exact, score)
        loses, wins = np.where(above, loses, x), np.where(above, x, wins)
    chances = scipy.stats.binom.pmf(hits, n, share)
    return lambda better: float(chances @ scipy.stats.binom.sf(wins - 1, n, better))


def speedup_in_trials(new: Bools, old: Bools, *, confidence: float = 0.95) -> Speedup:
    """p_new / p_old: how many times fewer random trials the new space needs to the target.

    Args:
        new: Whether each independent trial of the new space reached the target, shape [n].
        old: The same of the old space, shape [m].
        confidence: In (0, 1).

    Raises:
        InvalidInput: If an arm has no trial.
    """
    hits, n = _counted(new, old)
    low, high = share_ratio_interval(hits, n, confidence=confidence)
    return _scaled(hits, n, 1.0, low=low, high=high)


def speedup_in_cost(
    new: Bools,
    old: Bools,
    *,
    new_costs: Floats,
    old_costs: Floats,
    new_batches: Ints | None = None,
    old_batches: Ints | None = None,
    confidence: float = 0.95,
) -> Speedup:
    """p_new c_old / (p_old c_new): how many times less epochs or seconds the target costs.

    The interval of the shares' ratio and Welch's of the mean costs' ratio, both of logarithms,
    are joined by the method of variance estimates recovery, which keeps the skew of the first; a
    trial's hit and cost may be correlated. Where one arm has no hit, both are taken at
    (1 + confidence) / 2 and multiplied. A bootstrap covered 80% at few hits, this at least 93%
    (log-normal costs up to sigma 1).

    Args:
        new: Whether each independent trial of the new space reached the target, shape [n].
        old: The same of the old space, shape [m].
        new_costs: Cost of each trial, at least 0, NaN where unknown (the mean is then that of the
            known ones), shape [n].
        old_costs: The same of the old space, shape [m].
        new_batches: Number of each trial's batch, shape [n], where the trials of a batch share its
            measured cost: a batch is then one observation (``batches.batch_of``).
        old_batches: The same of the old space, shape [m].
        confidence: In (0, 1).

    Raises:
        InvalidInput: If an arm has no trial, or costs are not one per trial, negative or infinite.

    Source: Zou & Donner (2008), Statistics in Medicine 27, for the joining.
    """
    hits, n = _counted(new, old)
    pairs = [
        _paid(new, new_costs, new_batches, "new"),
        _paid(old, old_costs, old_batches, "old"),
    ]
    if min((pair.costs > 0).sum() for pair in pairs) < 2:
        why = "needs two trials of each space with a known cost above 0"
        return Speedup(None, None, None, why)
    means = np.array([pair.costs.mean() for pair in pairs])
    factor = float(means[1] / means[0])
    sizes = np.array([pair.batches.max() + 1 for pair in pairs])
    if sizes.min() < 2:
        value = None if 0 in hits else hits[0] / n[0] / (hits[1] / n[1]) * factor
        why = "all trials of a space trained as one batch, whose cost is a single observation"
        return Speedup(value, None, None, why)
    variances = np.array([pair.covariance(pair.costs) for pair in pairs]) / means**2
    error = float(np.sqrt(variances.sum()))
    one_sided = 0 in hits
    level = (1 + confidence) / 2 if one_sided else confidence
    half = 0.0
    if error > 0:
        freedom = error**4 / (variances**2 / (sizes - 1)).sum()
        half = error * float(scipy.stats.t.ppf((1 + level) / 2, freedom))
    low, high = share_ratio_interval(hits, n, confidence=level)
    if one_sided or hits == n or half == 0:
        return _scaled(hits, n, factor, low=low * exp(-half), high=high * exp(half))
    shares = np.array(hits) / n
    spread = sqrt(((1 - shares) / shares / n).sum())
    covariances = np.array([pair.covariance(pair.reached) for pair in pairs])
    together = -float((covariances / means / shares).sum()) / (spread * error)
    ratio = log(shares[0] / shares[1])
    down, up = (
        exp(sqrt(max(0.0, side**2 + half**2 + 2 * min(max(together, -1.0), 1.0) * side * half)))
        for side in (ratio - log(low), log(high) - ratio)
    )
    return _scaled(hits, n, factor, low=exp(ratio) / down, high=exp(ratio) * up)


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


def _counted(new: Bools, old: Bools) -> tuple[tuple[int, int], tuple[int, int]]:
    if min(new.size, old.size) == 0:
        raise InvalidInput(f"speedup: an arm needs >= 1 trial, got {new.size} and {old.size}")
    return (int(new.sum()), int(old.sum())), (new.size, old.size)


@dataclass(frozen=True)
class _Paid:
    """The trials of a space whose cost is known: hits, costs and numbers of batches, shape [n]."""

    reached: Bools
    costs: Floats
    batches: Ints

    def covariance(self, values: Floats | Bools) -> float:
        """Covariance of the mean cost with the mean of other values, between batches."""
        costs, others = (
            np.bincount(self.batches, weights=x - x.mean()) for x in (self.costs, values)
        )
        return float(costs @ others) * costs.size / (costs.size - 1) / self.costs.size**2


def _paid(reached: Bools, costs: Floats, batches: Ints | None, name: str) -> _Paid:
    if costs.shape != reached.shape:
        raise InvalidInput(
            f"speedup, {name} space: needs one cost per trial, got {costs.size} for {reached.size}"
        )
    if (bad := costs[(costs < 0) | np.isinf(costs)]).size:
        raise InvalidInput(
            f"speedup, {name} space: a cost must be >= 0 and finite, or NaN where unknown, "
            f"got {bad[0]:g}"
        )
    known = ~np.isnan(costs)
    each = np.arange(costs.size) if batches is None else batches
    numbers = np.unique(each[known], return_inverse=True)[1].astype(np.int64)
    return _Paid(reached[known], costs[known], numbers)


def _scaled(
    hits: tuple[int, int], n: tuple[int, int], factor: float, *, low: float, high: float
) -> Speedup:
    """The shares' ratio and bounds times the ratio of mean costs, as far as they are known."""
    bounds = (low * factor or None, high * factor if isfinite(high) else None)
    if 0 not in hits:
        return Speedup(hits[0] / n[0] / (hits[1] / n[1]) * factor, *bounds)
    counts = f"hits: {hits[0]}/{n[0]} in the new space, {hits[1]}/{n[1]} in the old"
    if hits == (0, 0):
        return Speedup(None, None, None, f"neither space reached the target; {counts}")
    side = "an upper" if hits[0] == 0 else "a lower"
    return Speedup(None, *bounds, f"only {side} bound can be given; {counts}")
