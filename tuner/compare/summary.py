"""One arm as the reports print it: its numbers, as far as its sampler allows them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.bands import tuning_curve_band
from tuner.compare.statistics.best_of_k import (
    BestOfK,
    Bounds,
    best_of_k_interval,
    expected_best_of_k,
)
from tuner.compare.statistics.endpoints import mean_interval
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.targets import Trials, good_region_share, trials_for_success

CURVE_POINTS = 60
TABLE_BUDGETS = (1, 5, 10)
"""Budgets of the tables, beside k*."""


@dataclass(frozen=True)
class TracePoint:
    """The best score so far, at the trial that reached it (1-based)."""

    trial: int
    best: float


@dataclass(frozen=True)
class TargetSummary:
    """How easily independent trials reach the target.

    Args:
        hits: Trials that do.
        share: Of all trials.
        trials: Random trials until one does with a chance of 95%; ``None`` without a search.
        seconds: The same in training seconds, ``None`` where either is unknown.
    """

    hits: int
    share: Estimate
    trials: Trials | None
    seconds: float | None


@dataclass(frozen=True)
class RetrainedSummary:
    """The incumbent's fresh runs.

    Args:
        settings: The incumbent's hyperparameters.
        seeds: Number of fresh runs.
        val: Mean validation score with its t interval.
        test: The same on the test set.
        test_scores: Of each run.
        luck: What shows that the search reached the target by luck; ``None`` if nothing does.
    """

    settings: Mapping[str, object]
    seeds: int
    val: Estimate
    test: Estimate
    test_scores: tuple[float, ...]
    luck: str | None


@dataclass(frozen=True)
class ArmSummary:
    """One arm as the reports print it.

    Args:
        searches: Independent repeats of the search, ``n`` trials in all.
        trials_per_search: Trials of each, ``None`` where they differ.
        mean: Of all scores, with its t interval, where every trial had one setting; else ``None``.
        curve: The tuning curve with its simultaneous band, at about 60 budgets spaced by their
            logarithm; empty but for random search.
        best_of: The same at a few budgets, without a band, but at k* with its own interval.
        trace: The best score so far, of each repeat of the search.
        seconds: Training seconds of all trials whose time is known, ``None`` if none is.
    """

    name: str
    sampler: str
    ranges: Mapping[str, str]
    n: int
    searches: int
    trials_per_search: int | None
    failed: int
    pruned: int
    best: float
    mean: Estimate | None
    seconds: float | None
    seconds_per_trial: float | None
    curve: tuple[BestOfK, ...]
    best_of: tuple[BestOfK, ...]
    trace: tuple[tuple[TracePoint, ...], ...]
    target: TargetSummary | None
    retrained: RetrainedSummary | None


def summarize(arm: Arm, k: int, protocol: Protocol, seen: Bounds | None = None) -> ArmSummary:
    """One arm's numbers, of which those that need independent trials may be left out.

    ``seen`` are the lowest and highest score of all arms; those of this arm if ``None``.
    """
    known = arm.seconds[np.isfinite(arm.seconds)]
    per_trial = float(known.mean()) if known.size else None
    lengths = {scores.size for scores in arm.searches}
    return ArmSummary(
        name=arm.name,
        sampler=arm.sampler,
        ranges=arm.ranges,
        n=arm.n,
        searches=len(arm.searches),
        trials_per_search=lengths.pop() if len(lengths) == 1 else None,
        failed=int(arm.failed.sum()),
        pruned=int(arm.pruned.sum()),
        best=float(arm.scores.max()),
        mean=None if arm.searched else _mean(arm.scores, protocol),
        seconds=float(known.sum()) if known.size else None,
        seconds_per_trial=per_trial,
        curve=_curve(arm, k, protocol) if arm.random else (),
        best_of=_best_of(arm, k, protocol, seen) if arm.random else (),
        trace=tuple(_trace(scores) for scores in arm.searches),
        target=_target(arm, per_trial, protocol) if arm.independent else None,
        retrained=_retrained(arm, protocol),
    )


def _curve(arm: Arm, k: int, protocol: Protocol) -> tuple[BestOfK, ...]:
    spaced = np.rint(np.geomspace(1, arm.n, CURVE_POINTS)).astype(int).tolist()
    ks = sorted({*spaced, *(b for b in (*TABLE_BUDGETS, k) if b <= arm.n)})
    values = expected_best_of_k(arm.scores, ks)
    low, high = tuning_curve_band(
        arm.scores, ks, confidence=protocol.confidence, bounds=protocol.range
    )
    # The unbiased estimate may leave the band near k = n, where it hangs on the best trial alone.
    low, high = np.minimum(low, values), np.maximum(high, values)
    points = zip(ks, values.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(BestOfK(b, value, _finite(lo), _finite(hi)) for b, value, lo, hi in points)


def _finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


def _best_of(arm: Arm, k: int, protocol: Protocol, seen: Bounds | None) -> tuple[BestOfK, ...]:
    ks = sorted({budget for budget in (k, *TABLE_BUDGETS) if budget <= arm.n})
    values = dict(zip(ks, expected_best_of_k(arm.scores, ks).tolist(), strict=True))
    bounds: dict[int, tuple[float, float] | None] = {}
    if k in values:
        at_k = best_of_k_interval(
            arm.scores, k, bounds=seen, confidence=protocol.confidence, seed=protocol.seed
        )
        bounds[k] = at_k.interval
    return tuple(
        BestOfK(budget, value, *(bounds.get(budget) or (None, None)))
        for budget, value in values.items()
    )


def _trace(scores: Floats) -> tuple[TracePoint, ...]:
    best = np.maximum.accumulate(scores)
    steps = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist()]
    return tuple(TracePoint(step + 1, float(best[step])) for step in steps)


def _target(arm: Arm, per_trial: float | None, protocol: Protocol) -> TargetSummary | None:
    if protocol.target is None:
        return None
    hits = int((arm.scores >= protocol.target).sum())
    share = good_region_share(hits, arm.n, confidence=protocol.confidence)
    if not arm.random:
        return TargetSummary(hits, share, None, None)
    trials = trials_for_success(share)
    seconds = None
    if trials.value is not None and per_trial is not None:
        seconds = trials.value * per_trial
    return TargetSummary(hits, share, trials, seconds)


def _retrained(arm: Arm, protocol: Protocol) -> RetrainedSummary | None:
    runs = arm.retrained
    if runs is None:
        return None
    return RetrainedSummary(
        settings=runs.settings,
        seeds=runs.test.size,
        val=_mean(runs.val, protocol),
        test=_mean(runs.test, protocol),
        test_scores=tuple(runs.test.tolist()),
        luck=luck(arm, protocol),
    )


def _mean(scores: Floats, protocol: Protocol) -> Estimate:
    return mean_interval(scores, confidence=protocol.confidence).clipped(*protocol.range)


def luck(arm: Arm, protocol: Protocol) -> str | None:
    """What the incumbent's fresh seeds say where its score in the search was shown to be luck."""
    if protocol.target is None or arm.retrained is None or not arm.searched:
        return None
    again = mean_interval(arm.retrained.val, confidence=protocol.confidence)
    if again.high is None or not again.high < protocol.target <= arm.scores.max():
        return None
    target, mean = words.score(protocol.target, protocol.unit), words.mean(again, protocol.unit)
    return (
        f"its best setting, found above the target of {target}, reaches {mean} on average when "
        "retrained; part of the trials that reach it are lucky."
    )
