"""Finished trials and a protocol in, everything the reports print out. Pure: nothing is read.

``compare`` computes each arm's summary, the contrasts of the primary new arm with every other
arm, and the verdict. What the data do not allow is left out, and ``notes`` say why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tuner.compare.bands import tuning_curve_band
from tuner.compare.bootstrap import best_of_k_interval
from tuner.compare.contrast import Contrast, contrast, with_holm
from tuner.compare.endpoints import mean_interval
from tuner.compare.estimators import Estimate, expected_best_of_k
from tuner.compare.notes import notes
from tuner.compare.protocol import Arm, Floats, Protocol, resolve
from tuner.compare.targets import Trials, good_region_share, trials_for_success
from tuner.compare.verdict import Verdict, judge

CURVE_POINTS = 60
TABLE_BUDGETS = (1, 5, 10)
"""Budgets of the tables, beside k*."""


@dataclass(frozen=True)
class BestOfK:
    """Expected best of k random trials; a bound is ``None`` where none can be stated."""

    k: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TracePoint:
    """The best score so far, at the trial that reached it (1-based)."""

    trial: int
    best: float


@dataclass(frozen=True)
class TargetSummary:
    """How easily random trials reach the target: share of trials, trials and seconds for 95%."""

    hits: int
    share: Estimate
    trials: Trials
    seconds: float | None


@dataclass(frozen=True)
class RetrainedSummary:
    """The incumbent's fresh runs: settings, number of seeds, mean scores with t intervals."""

    settings: Mapping[str, object]
    seeds: int
    val: Estimate
    test: Estimate
    test_scores: tuple[float, ...]


@dataclass(frozen=True)
class ArmSummary:
    """One arm as the reports print it.

    Args:
        curve: The tuning curve with its simultaneous band, at about 60 budgets spaced by their
            logarithm; empty where the trials are not independent.
        best_of: The same at a few budgets, without a band, but at k* with its own interval.
        trace: The best score so far, of each repeat of the search.
        seconds: Training seconds of all trials whose time is known, ``None`` if none is.
    """

    name: str
    sampler: str
    ranges: Mapping[str, str]
    n: int
    failed: int
    pruned: int
    best: float
    seconds: float | None
    seconds_per_trial: float | None
    curve: tuple[BestOfK, ...]
    best_of: tuple[BestOfK, ...]
    trace: tuple[tuple[TracePoint, ...], ...]
    target: TargetSummary | None
    retrained: RetrainedSummary | None


@dataclass(frozen=True)
class Comparison:
    """Everything a report prints.

    Args:
        protocol: The declaration.
        k: The budget k* in use.
        arms: One summary per arm, in the order given.
        contrasts: The primary new arm against each other arm; the primary contrast first.
        verdict: In words and numbers.
        notes: What was left out, and what a reader must know.
    """

    protocol: Protocol
    k: int
    arms: tuple[ArmSummary, ...]
    contrasts: tuple[Contrast, ...]
    verdict: Verdict
    notes: tuple[str, ...]


def compare(arms: Sequence[Arm], protocol: Protocol) -> Comparison:
    """Compare the arms' searches as the protocol declares.

    Args:
        arms: At least two, with distinct names and finite scores.
        protocol: The declaration.

    Raises:
        InvalidInput: If arms and protocol do not fit each other.
    """
    (new, old), k = resolve(arms, protocol)
    by_name = {arm.name: arm for arm in arms}
    others = [old, *(name for name in by_name if name not in (new, old))]
    contrasts = with_holm([contrast(by_name[new], by_name[name], k, protocol) for name in others])
    control = next((c for c in contrasts if c.second == protocol.control), None)
    verdict = judge(contrasts[0], control, by_name[new], by_name[old], k, protocol)
    return Comparison(
        protocol=protocol,
        k=k,
        arms=tuple(summarize(arm, k, protocol) for arm in arms),
        contrasts=tuple(contrasts),
        verdict=verdict,
        notes=notes(arms, k, protocol),
    )


def summarize(arm: Arm, k: int, protocol: Protocol) -> ArmSummary:
    """One arm's numbers, of which those that need independent trials may be left out."""
    known = arm.seconds[np.isfinite(arm.seconds)]
    per_trial = float(known.mean()) if known.size else None
    return ArmSummary(
        name=arm.name,
        sampler=arm.sampler,
        ranges=arm.ranges,
        n=arm.n,
        failed=int(arm.failed.sum()),
        pruned=int(arm.pruned.sum()),
        best=float(arm.scores.max()),
        seconds=float(known.sum()) if known.size else None,
        seconds_per_trial=per_trial,
        curve=_curve(arm, k, protocol) if arm.independent else (),
        best_of=_best_of(arm, k, protocol) if arm.independent else (),
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


def _best_of(arm: Arm, k: int, protocol: Protocol) -> tuple[BestOfK, ...]:
    ks = sorted({k, *(budget for budget in TABLE_BUDGETS if budget <= arm.n)})
    values = dict(zip(ks, expected_best_of_k(arm.scores, ks).tolist(), strict=True))
    at_k = best_of_k_interval(arm.scores, k, confidence=protocol.confidence, seed=protocol.seed)
    return tuple(
        BestOfK(k, at_k.value, at_k.low, at_k.high)
        if budget == k
        else BestOfK(budget, values[budget], None, None)
        for budget in ks
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
        val=mean_interval(runs.val, confidence=protocol.confidence),
        test=mean_interval(runs.test, confidence=protocol.confidence),
        test_scores=tuple(runs.test.tolist()),
    )
