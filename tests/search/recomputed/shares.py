"""Shares of trials that reach a target, what they cost, and their ratios."""

from collections.abc import Callable
from math import exp, inf, isfinite, log, sqrt
from statistics import NormalDist

import numpy as np
from recomputed.rows import Trials
from scipy.stats import beta, t

CONFIDENCE = 0.95
_FEW_HITS = 3


def clopper_pearson(hits: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, n - hits + 1))
    return low, 1.0 if hits == n else float(beta.ppf(1 - tail, hits + 1, n - hits))


def trials_needed(share: float) -> int | None:
    """The fewest trials of which one reaches the target with a chance of 95%."""
    if share == 0:
        return None
    trials, missed = 1, 1 - share
    while missed > 0.05:
        trials, missed = trials + 1, missed * (1 - share)
    return trials


def target(arm: Trials, tau: float | None) -> dict[str, object] | None:
    """Hits, their share with Clopper and Pearson's interval, and the trials that it takes."""
    if tau is None or not arm.random:
        return None
    hits = sum(score >= tau for score in arm.scores.tolist())
    low, high = clopper_pearson(hits, arm.n)
    needed = trials_needed(hits / arm.n)
    return {
        "hits": hits,
        "share": {"value": hits / arm.n, "low": low, "high": high},
        "trials": {"value": needed, "low": trials_needed(high), "high": trials_needed(low)},
        "seconds": None if needed is None else needed * float(arm.seconds.mean()),
    }


def speedups(first: Trials, second: Trials, tau: float | None) -> dict[str, object]:
    """How many times less the first arm needs to the target, in trials and in seconds."""
    if tau is None or not (first.random and second.random):
        return {}
    arms = (first, second)
    hits = tuple(int((arm.scores >= tau).sum()) for arm in arms)
    n = (first.n, second.n)
    trials = ratio_interval(hits, n, CONFIDENCE)
    return {
        "trials": _stated(hits, n, 1.0, trials),
        "seconds": _in_seconds(arms, hits, n, tau),
    }


def _in_seconds(
    arms: tuple[Trials, Trials], hits: tuple[int, ...], n: tuple[int, int], tau: float
) -> dict[str, float | None]:
    """The shares' ratio times the mean seconds', joined by Zou and Donner's method (MOVER)."""
    means = [float(arm.seconds.mean()) for arm in arms]
    relative = [
        arm.seconds.var(ddof=1) / arm.n / mean**2 for arm, mean in zip(arms, means, strict=True)
    ]
    error = sqrt(sum(relative))
    freedom = error**4 / sum(r**2 / (size - 1) for r, size in zip(relative, n, strict=True))
    one_sided = 0 in hits
    level = (1 + CONFIDENCE) / 2 if one_sided else CONFIDENCE
    half = error * float(t.ppf((1 + level) / 2, freedom))
    low, high = ratio_interval(hits, n, level)
    factor = means[1] / means[0]
    if one_sided or hits == n:
        return _stated(hits, n, factor, (low * exp(-half), high * exp(half)))
    shares = [x / size for x, size in zip(hits, n, strict=True)]
    spread = sqrt(sum((1 - p) / p / size for p, size in zip(shares, n, strict=True)))
    together = -sum(
        float(np.cov(arm.seconds, arm.scores >= tau)[0, 1]) / arm.n / mean / share
        for arm, mean, share in zip(arms, means, shares, strict=True)
    ) / (spread * error)
    ratio = shares[0] / shares[1]
    down, up = (
        sqrt(side**2 + half**2 + 2 * together * side * half)
        for side in (log(ratio / low), log(high / ratio))
    )
    return _stated(hits, n, factor, (ratio * exp(-down), ratio * exp(up)))


def _stated(
    hits: tuple[int, ...], n: tuple[int, int], factor: float, ends: tuple[float, float]
) -> dict[str, float | None]:
    """The ratio; none where an arm has no hit, and no bound that is 0 or infinite."""
    if hits == (0, 0):
        return {"value": None, "low": None, "high": None}
    value = None if 0 in hits else hits[0] / n[0] / (hits[1] / n[1]) * factor
    low, high = (end * factor if 0 < end < inf else None for end in ends)
    return {"value": value, "low": low, "high": high}


def ratio_interval(
    hits: tuple[int, ...], n: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """Interval of p_1 / p_2: Miettinen and Nurminen's, of few hits that of Poisson counts."""
    if min(hits) <= _FEW_HITS:
        if hits == (0, 0):
            return 0.0, inf
        ends = clopper_pearson(hits[0], sum(hits), confidence)
        low, high = (p / (1 - p) * n[1] / n[0] if p < 1 else inf for p in ends)
        return low, high
    critical = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = log(hits[0] / n[0] / (hits[1] / n[1]))

    def kept(log_theta: float) -> bool:
        return abs(_score(hits, n, exp(log_theta))) < critical

    low = _bisected(lambda step: kept(middle - step))
    return exp(middle - low), exp(middle + _bisected(lambda step: kept(middle + step)))


def _bisected(holds: Callable[[float], bool]) -> float:
    """Where what holds at 0 ceases to."""
    yes, no = 0.0, 10.0
    for _ in range(100):
        middle = (yes + no) / 2
        yes, no = (middle, no) if holds(middle) else (yes, middle)
    return yes


def _score(hits: tuple[int, ...], n: tuple[int, int], theta: float) -> float:
    """Z of p_1 = theta p_2, its variance at the p_2 where the slope of the likelihood is 0."""
    (x, y), (n_1, n_2) = hits, n

    def rises(p: float) -> bool:
        slope = (x + y) / p - (n_2 - y) / (1 - p) if p < 1 else -inf if y < n_2 else x + y
        if x < n_1:
            slope -= theta * (n_1 - x) / (1 - theta * p) if theta * p < 1 else inf
        return p == 0 or slope > 0

    most = min(1.0, 1 / theta)
    second = most * _bisected_share(lambda share: rises(most * share))
    first = min(theta * second, 1.0)
    variance = first * (1 - first) / n_1 + theta**2 * second * (1 - second) / n_2
    gap = x / n_1 - theta * y / n_2
    if abs(gap) < 1e-12:
        return 0.0
    total = n_1 + n_2
    return gap / sqrt(variance * total / (total - 1)) if variance > 0 else inf


def _bisected_share(rises: Callable[[float], bool]) -> float:
    low, high = 1e-15, 1.0
    if rises(high):
        return high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    return low


def finite(value: float) -> float | None:
    return value if isfinite(value) else None
