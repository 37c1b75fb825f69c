"""Finished trials and a protocol in, everything the reports print out. Pure: nothing is read.

``compare`` computes each arm's summary, the contrasts of the primary new arm with every other
arm, and the verdict. What the data do not allow is left out, and ``notes`` say why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import Contrast, contrast, with_holm
from tuner.compare.notes import luck, notes
from tuner.compare.protocol import Protocol, resolve
from tuner.compare.sentences import repeated_sentence
from tuner.compare.statistics.bands import tuning_curve_band
from tuner.compare.statistics.best_of_k import Bounds, best_of_k_interval, expected_best_of_k
from tuner.compare.statistics.endpoints import mean_interval
from tuner.compare.statistics.estimate import Estimate, Floats, classify
from tuner.compare.statistics.targets import Trials, good_region_share, trials_for_success
from tuner.compare.verdict import Verdict, judge

if TYPE_CHECKING:
    from tuner.compare.details import ArmDetail

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


@dataclass(frozen=True)
class Comparison:
    """Everything a report prints.

    Args:
        protocol: The declaration.
        k: The budget k* in use.
        arms: One summary per arm, in the order given.
        contrasts: The primary contrast first, then the primary new arm against each other arm
            that it can be held against; the repeated searches against each other.
        verdict: In words and numbers.
        notes: What was left out, and what a reader must know.
        details: What lies behind it, arm by arm; empty unless ``details.detailed`` added it.
    """

    protocol: Protocol
    k: int
    arms: tuple[ArmSummary, ...]
    contrasts: tuple[Contrast, ...]
    verdict: Verdict
    notes: tuple[str, ...]
    details: "tuple[ArmDetail, ...]" = ()


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
    seen = _seen(arms)
    pairs = [(new, old), *_other_pairs(arms, (new, old), protocol)]
    contrasts = with_holm([contrast(by_name[a], by_name[b], k, protocol, seen) for a, b in pairs])
    found = dict(zip(pairs, contrasts, strict=True))
    control = found.get((new, protocol.control)) if protocol.control is not None else None
    judged = judge(contrasts[0], control, by_name[new], by_name[old], k, protocol)
    verdict = replace(
        judged,
        text=f"Interim, {protocol.interim}. {judged.text}" if protocol.interim else judged.text,
        interim=bool(protocol.interim),
        repeated=repeated_sentence(found[protocol.repeated], by_name, protocol)
        if protocol.repeated is not None
        else None,
    )
    return Comparison(
        protocol=protocol,
        k=k,
        arms=tuple(summarize(arm, k, protocol, seen) for arm in arms),
        contrasts=tuple(contrasts),
        verdict=verdict,
        notes=(
            *_check_of_exact(found, new, protocol),
            *notes(arms, contrasts[0], k, protocol, seen),
        ),
    )


def _other_pairs(
    arms: Sequence[Arm], primary: tuple[str, str], protocol: Protocol
) -> Iterator[tuple[str, str]]:
    """What is held against what, beside the primary contrast."""
    repeated = protocol.repeated or ()
    for arm in arms:
        if arm.name not in (*primary, *repeated):
            yield primary[0], arm.name
    if protocol.repeated is not None and protocol.repeated != primary:
        yield protocol.repeated


def _check_of_exact(
    found: Mapping[tuple[str, str], Contrast], new: str, protocol: Protocol
) -> Iterator[str]:
    """What the arm at the exact map of the new one says; where it differs, something is wrong."""
    if protocol.exact is None:
        return
    difference = found[new, protocol.exact].difference
    start = f"Check: {protocol.exact} searches the old space where it is exactly {new}"
    if difference is None or difference.interval is None:
        yield f"{start}; there are too few trials to compare them."
        return
    told = words.difference(difference, protocol)
    yield {
        "equivalent": f"{start}, and they do the same: {told}.",
        "inconclusive": f"{start}, and no difference is seen: {told}.",
        "supported": f"{start}, yet they differ, {told}: look for a mistake in the ranges or the "
        "program before trusting anything else here.",
    }[classify(difference, protocol.rope)]


def _seen(arms: Sequence[Arm]) -> Bounds:
    """Lowest and highest score of all arms: their spaces are nested, so each may reach both."""
    return (
        min(float(arm.scores.min()) for arm in arms),
        max(float(arm.scores.max()) for arm in arms),
    )


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
