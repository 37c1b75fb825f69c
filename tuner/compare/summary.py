"""One arm as the reports print it: its numbers, as far as its sampler allows them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import combination
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.bands import tuning_curve_band
from tuner.compare.statistics.best_of_k import BestOfK, expected_best_of_k
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.statistics.median_best_of_k import median_best_of_k, median_curve_band
from tuner.compare.statistics.selected import median_interval
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
        val: Median validation score with its interval.
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
class SelectedSummary:
    """What the settings that its searches selected reach when they are trained afresh.

    Args:
        n: Searches whose selected setting was.
        planned: Searches declared.
        median: Of the fresh test scores, with its interval.
        lowest: The lowest of them.
        scores: All of them, by search.
    """

    n: int
    planned: int
    median: Estimate
    lowest: float
    scores: tuple[float, ...]


@dataclass(frozen=True)
class ArmSummary:
    """One arm as the reports print it.

    Args:
        searches: Independent repeats of the search, ``n`` trials in all.
        trials_per_search: Trials of each, ``None`` where they differ.
        median: Of all scores, with its interval, where every trial had one setting; else ``None``.
        curve: The tuning curve with its simultaneous band, at about 60 budgets spaced by their
            logarithm; empty but for random search.
        best_of: The same at a few budgets, without a band, but at k* with its own interval.
            Expected values within known bounds, medians where no bounds are known.
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
    median: Estimate | None
    seconds: float | None
    seconds_per_trial: float | None
    curve: tuple[BestOfK, ...]
    best_of: tuple[BestOfK, ...]
    trace: tuple[tuple[TracePoint, ...], ...]
    target: TargetSummary | None
    retrained: RetrainedSummary | None
    selected: SelectedSummary | None = None


def summarize(arm: Arm, k: int, protocol: Protocol) -> ArmSummary:
    """One arm's numbers, of which those that need independent trials may be left out."""
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
        median=None if arm.searched else _median(arm.scores, protocol),
        seconds=float(known.sum()) if known.size else None,
        seconds_per_trial=per_trial,
        curve=_curve(arm, k, protocol) if arm.random else (),
        best_of=_best_of(arm, k, protocol) if arm.random else (),
        trace=tuple(_trace(scores) for scores in arm.searches),
        target=_target(arm, per_trial, protocol) if arm.independent else None,
        retrained=_retrained(arm, protocol),
        selected=_selected(arm, protocol),
    )


def _curve(arm: Arm, k: int, protocol: Protocol) -> tuple[BestOfK, ...]:
    spaced = np.rint(np.geomspace(1, arm.n, CURVE_POINTS)).astype(int).tolist()
    ks = sorted({*spaced, *(b for b in (*TABLE_BUDGETS, k) if b <= arm.n)})
    values = _estimator(protocol)(arm.scores, ks)
    if protocol.bounded:
        low, high = tuning_curve_band(
            arm.scores, ks, confidence=protocol.confidence, bounds=protocol.range
        )
    else:
        low, high = median_curve_band(arm.scores, ks, confidence=protocol.confidence)
    # The unbiased estimate may leave the band near k = n, where it hangs on the best trial alone.
    low, high = np.minimum(low, values), np.maximum(high, values)
    points = zip(ks, values.tolist(), low.tolist(), high.tolist(), strict=True)
    return tuple(BestOfK(b, value, _finite(lo), _finite(hi)) for b, value, lo, hi in points)


def _finite(bound: float) -> float | None:
    return bound if np.isfinite(bound) else None


def _best_of(arm: Arm, k: int, protocol: Protocol) -> tuple[BestOfK, ...]:
    ks = sorted({budget for budget in (k, *TABLE_BUDGETS) if budget <= arm.n})
    values = _estimator(protocol)(arm.scores, ks).tolist()
    at_k = combination((arm,), (1.0,), k, protocol).interval if k <= arm.n else None
    return tuple(
        BestOfK(budget, value, *((at_k or (None, None)) if budget == k else (None, None)))
        for budget, value in zip(ks, values, strict=True)
    )


def _estimator(protocol: Protocol) -> Callable[[Floats, Sequence[int]], Floats]:
    return expected_best_of_k if protocol.bounded else median_best_of_k


def _selected(arm: Arm, protocol: Protocol) -> SelectedSummary | None:
    runs = arm.selected
    if runs is None:
        return None
    median = median_interval(runs.test, confidence=protocol.confidence)
    return SelectedSummary(
        runs.test.size, runs.planned, median, float(runs.test.min()), tuple(runs.test.tolist())
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
        val=_median(runs.val, protocol),
        test=_median(runs.test, protocol),
        test_scores=tuple(runs.test.tolist()),
        luck=luck(arm, protocol),
    )


def _median(scores: Floats, protocol: Protocol) -> Estimate:
    """The typical run: a mean would hang on collapses too rare to be seen."""
    return median_interval(scores, confidence=protocol.confidence)


def luck(arm: Arm, protocol: Protocol) -> str | None:
    """What the incumbent's fresh seeds say where its score in the search was shown to be luck."""
    if protocol.target is None or arm.retrained is None or not arm.searched:
        return None
    again = _median(arm.retrained.val, protocol)
    if again.high is None or not again.high < protocol.target <= arm.scores.max():
        return None
    target = words.score(protocol.target, protocol)
    median = words.bracketed(again, protocol)
    side = "below" if protocol.minimized else "above"
    return (
        f"its best setting, found {side} the target of {target}, reaches {median} in the "
        "median of its fresh seeds; part of the trials that reach it are lucky."
    )
