"""The verdict in words: one paragraph for each kind."""

import numpy as np

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import trials_needed
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate, classify
from tuner.compare.statistics.looks import FEWEST_SEARCHES, looks
from tuner.compare.statistics.speedup import FEWEST_REPEATS
from tuner.compare.verdict import MOST, Evidence, Kind, Verdict
from tuner.wording import count, rounded, setting


def judge(evidence: Evidence) -> Verdict:
    """Judge the primary contrast (new minus old), with the control where there is one."""
    estimate, kind = evidence.estimate, evidence.kind
    winner = None
    if (
        kind != "inconclusive"
        and estimate is not None
        and classify(estimate, evidence.protocol.rope) == "supported"
    ):
        winner = (evidence.new if estimate.value > 0 else evidence.old).name
    return Verdict(
        kind=kind,
        text=_text(evidence, estimate, kind),
        ranges=_ranges(evidence.new, evidence.old),
        winner=winner,
        more=evidence.more if kind == "inconclusive" else None,
        interim=bool(evidence.protocol.interim),
        heading=_heading(kind, winner, evidence.protocol),
    )


def _heading(kind: Kind, winner: str | None, protocol: Protocol) -> str:
    said = f"Interim, {kind}" if protocol.interim else kind.capitalize()
    if winner is None:
        return said
    how = f"scores {words.higher(protocol)}" if kind == "unconfirmed" else "ahead"
    return f"{said}: {winner} {how}"


def _text(evidence: Evidence, estimate: Estimate | None, kind: Kind) -> str:
    if estimate is None or estimate.interval is None:
        return _without_interval(evidence, estimate)
    if kind == "inconclusive":
        return _inconclusive(evidence, estimate)
    if classify(estimate, evidence.protocol.rope) == "equivalent":
        text = _equivalent(evidence, estimate)
    else:
        text = _ahead(evidence, estimate)
    if kind == "unconfirmed":
        return f"{text}{_unconfirmed(evidence)}{_by_control(evidence)} {_ELSEWHERE}"
    if kind == "fragile":
        return f"{_fragile(evidence, estimate)} {text} {_ELSEWHERE}"
    return f"{text}{_by_control(evidence)} {_ELSEWHERE}"


_ELSEWHERE = "Not tested on other workloads."


def _given(evidence: Evidence) -> str:
    return f"With these ranges, on {evidence.protocol.workload}"


def _samplers(evidence: Evidence) -> str:
    return " and ".join(sorted({evidence.new.sampler, evidence.old.sampler}))


def _search(evidence: Evidence) -> str:
    """What is compared: one search of each space."""
    if evidence.by_budget:
        return f"a search of {count(evidence.k, 'random trial')}"
    return f"a whole search by {_samplers(evidence)}"


def _subject(evidence: Evidence) -> str:
    """What reaches a score: the settings selected, trained afresh, or the search itself."""
    if evidence.confirmed:
        return f"the setting that {_search(evidence)} selects, trained afresh,"
    return _search(evidence)


def _measure(evidence: Evidence) -> str:
    if evidence.confirmed:
        return words.test_measure(evidence.protocol)
    return words.measure(evidence.protocol)


def _better(evidence: Evidence) -> str:
    """``higher validation accuracy``, ``lower loss``."""
    return f"{words.higher(evidence.protocol)} {_measure(evidence)}"


def _rounding(evidence: Evidence) -> float:
    """What rounding may leave of a difference of equal scores; below 0 where scores differ."""
    arms = (evidence.new, evidence.old)
    runs = [
        arm.selected.test if evidence.confirmed and arm.selected is not None else arm.scores
        for arm in arms
    ]
    scale = 1e-12 * max(abs(float(scores.max())) for scores in runs)
    return scale if all(scores.max() - scores.min() <= scale for scores in runs) else -1.0


def _numbers(evidence: Evidence, estimate: Estimate, *, winner_first: bool = False) -> str:
    """The difference, and in how many pairs or with which chance or p-value beside it."""
    flip = winner_first and estimate.value < 0
    text = words.difference(estimate.negated if flip else estimate, evidence.protocol)
    ahead, behind = (evidence.old, evidence.new) if flip else (evidence.new, evidence.old)
    if estimate.interval is not None and np.ptp(estimate.interval) <= _rounding(evidence):
        text += ", without width only because all scores are the same"
    primary = evidence.primary
    if primary.selected is not None:
        searches = primary.selected
        wins = 1 - searches.wins if flip else searches.wins
        number = count(searches.n, "search", "searches")
        if searches.n < searches.planned:
            number = f"the first {searches.n} of {searches.planned} searches"
        return (
            f"{text} in the median over {number} of each, {ahead.name} ahead in {wins:.0%} of all "
            "pairs"
        )
    if primary.probability is not None:
        chance = primary.probability
        shown = words.probability(_complement(chance) if flip else chance, evidence.protocol)
        return f"{text}, P(best of {evidence.k} in {ahead.name} beats {behind.name}) = {shown}"
    repeats = primary.repeats
    if repeats is None:
        return text
    of_all = count(repeats.n, "repeat")
    return f"{text} in the median of {of_all}, Wilcoxon p {words.p_value(repeats.p)}"


def _ahead(evidence: Evidence, estimate: Estimate) -> str:
    new, old, protocol = evidence.new, evidence.old, evidence.protocol
    won, lost = (new, old) if estimate.value > 0 else (old, new)
    text = (
        f"{_given(evidence)}, {_subject(evidence)} reaches {_better(evidence)} "
        f"in {won.name} than in {lost.name}: "
        f"{_numbers(evidence, estimate, winner_first=True)}."
        f"{_on_other_images(evidence, estimate)}"
    )
    if won is old and protocol.primary is not None:
        text += f" The result goes against {new.name}, the arm taken as new."
    low, high = estimate.interval or (0.0, 0.0)
    if min(abs(low), abs(high)) < protocol.rope:
        rope = words.width(protocol.rope, protocol)
        text += f" The difference may still be smaller than {rope}, too little to matter."
    return text


def _equivalent(evidence: Evidence, estimate: Estimate) -> str:
    rope = words.width(evidence.protocol.rope, evidence.protocol)
    return (
        f"{_given(evidence)}, {_subject(evidence)} reaches the same {_measure(evidence)} "
        f"in {evidence.new.name} and {evidence.old.name} within the region of "
        f"practical equivalence of {rope}: {_numbers(evidence, estimate)}."
        f"{_on_other_images(evidence, estimate)}"
    )


def _on_other_images(evidence: Evidence, estimate: Estimate) -> str:
    """The interval that holds for other test images too, where it would not be judged so."""
    searches, protocol = evidence.primary.selected, evidence.protocol
    wider = None if searches is None else searches.other_images
    kind = classify(estimate, protocol.rope)
    if wider is None or wider.interval is None or classify(wider, protocol.rope) == kind:
        return ""
    flip = kind == "supported" and estimate.value < 0
    bounds = (wider.negated if flip else wider).interval
    assert bounds is not None
    holds = "leaves that region" if kind == "equivalent" else "holds 0"
    return (
        f" On other test images of the kind the interval {holds} "
        f"({words.interval(bounds, protocol)})."
    )


def _unconfirmed(evidence: Evidence) -> str:
    missing = [arm.name for arm in (evidence.new, evidence.old) if arm.selected is None]
    raised = "lowered" if evidence.protocol.minimized else "raised"
    return (
        " Whether the settings that it selects are so too is not known: the best of several "
        f"scores is {raised} by noise, most where runs are noisiest, and nothing that the "
        f"searches of {' and '.join(missing) or 'both arms'} selected was trained afresh."
    )


def _failing(evidence: Evidence) -> str:
    """How it shows that neither arm learned anything."""
    failed = evidence.new.failed.all() and evidence.old.failed.all()
    if evidence.protocol.chance is None and not failed:
        return "all their trials score the same, as where nothing is learned."
    return "neither learned anything: no trial did better than chance."


def _inconclusive(evidence: Evidence, estimate: Estimate) -> str:
    new, old, protocol = evidence.new, evidence.old, evidence.protocol
    numbers, control = _numbers(evidence, estimate), _by_control(evidence)
    if protocol.interim and not evidence.confirmed:
        return (
            f"{_given(evidence)}, nothing is said of {new.name} and {old.name} before settings "
            f"that their searches selected were trained afresh; so far, on validation: {numbers}."
        )
    if classify(estimate, protocol.rope) == "equivalent":
        return (
            f"{_given(evidence)}, {new.name} and {old.name} do the same, {numbers}, but "
            f"{_failing(evidence)} That both fail alike says nothing about either; try wider "
            "ranges or more epochs."
        )
    if protocol.interim and min(evidence.sizes) < evidence.planned:
        return (
            f"{_given(evidence)}, this look does not settle whether {_subject(evidence)} reaches "
            f"{_better(evidence)} in {new.name} or in {old.name}: {numbers}.{control}"
        )
    unit = "trial" if evidence.by_budget else "repeat"
    more = evidence.more
    if more is None:
        why = (
            "without a region of practical equivalence no number of "
            f"{unit}s shows that there is none"
            if estimate.value == protocol.rope == 0
            else f"it would take more than {MOST:,} further {unit}s per arm"
        )
        return (
            f"{_given(evidence)}, no difference was shown between {new.name} and {old.name} in "
            f"what {_subject(evidence)} reaches, {numbers}; {why}.{control}"
        )
    return (
        f"{_given(evidence)}, too few {unit}s were run to tell whether {_subject(evidence)} "
        f"reaches {_better(evidence)} in {new.name} or in {old.name}: {numbers}; about "
        f"{count(rounded(more), f'more {unit}')} per arm would be needed if the estimate holds."
        f"{control}"
    )


def _fragile(evidence: Evidence, estimate: Estimate) -> str:
    assert evidence.control is not None and evidence.against is not None
    against, new = evidence.against, evidence.new.name
    start = (
        f"The result hangs on the ranges: with the narrow ranges of {evidence.control.second} in "
        f"place of {evidence.old.name}, {new}"
    )
    difference = words.difference(against, evidence.protocol)
    if classify(estimate, evidence.protocol.rope) == "equivalent":
        return f"{start} is no longer equivalent, {difference}."
    lead = "leads" if estimate.value > 0 else "trails"
    return (
        f"{start} {lead} by less than half as much, {difference}; that less than half is left is "
        f"shown at the {words.level(evidence.protocol)} level."
    )


def _by_control(evidence: Evidence) -> str:
    """What the control says where it does not decide."""
    if evidence.control is None:
        return ""
    name = evidence.control.second
    if evidence.against is None:
        return f" The control {name} allows no comparison, see the notes."
    difference = words.difference(evidence.against, evidence.protocol)
    start = f" Against the narrow ranges of {name} the difference is {difference}"
    if evidence.narrow is None or (evidence.kind == "inconclusive"):
        return f"{start}."
    equivalent = (
        evidence.estimate is not None
        and classify(evidence.estimate, evidence.protocol.rope) == "equivalent"
    )
    if equivalent:
        said = {
            "holds": "equivalent too",
            "fragile": "no longer equivalent: the result hangs on the ranges",
            "cannot tell": "too wide to tell whether the result hangs on the ranges",
        }[evidence.narrow]
    else:
        said = {
            "holds": "more than half of it, so the result holds in narrow ranges too",
            "fragile": "less than half of it: the result hangs on the ranges",
            "cannot tell": "the control cannot tell whether half of it is left",
        }[evidence.narrow]
    return f"{start}; {said}."


def _without_interval(evidence: Evidence, estimate: Estimate | None) -> str:
    new, old, k = evidence.new, evidence.old, evidence.k
    start = f"{_given(evidence)}, {new.name} and {old.name} were not told apart"
    if estimate is not None and evidence.confirmed:
        n, planned = min(evidence.sizes), evidence.planned
        level = evidence.protocol.confidence
        shares = evidence.protocol.looks
        due = min(looks(planned, level, shares), default=max(FEWEST_SEARCHES, planned))
        what = (
            f"{count(n, 'search', 'searches')} of each selected a setting that was trained "
            f"afresh, and the {'first' if shares else 'only'} look is due after {due}"
        )
        return (
            f"{start} for want of an interval: {what}. The estimate alone, whose error nobody "
            f"knows: {_numbers(evidence, estimate)}."
        )
    needed = trials_needed(k, evidence.protocol)
    if estimate is not None and k == 1 and evidence.protocol.bounded:
        return (
            f"{start} for want of an interval: the best of 1 is the mean of all trials, for which "
            f"none is stated below {needed:,} in every arm; declare a k of 2 or more. The "
            f"estimate alone, whose error nobody knows: {_numbers(evidence, estimate)}."
        )
    if estimate is not None:
        return (
            f"{start} for want of an interval: that of the best of {k} needs at least "
            f"{needed:,} trials in every arm, {evidence.more:,} more. The estimate alone, "
            f"whose error nobody knows: {_numbers(evidence, estimate)}."
        )
    idle = [arm.name for arm in (new, old) if not arm.searched]
    if idle:
        return (
            f"{start}; nothing was tested. {' and '.join(idle)} searched nothing, so there is no "
            "best of a search to compare; declare two searches as the primary contrast."
        )
    unknown = "unknown" in (new.sampler, old.sampler)
    unsaid = f" (if it was, say so with {setting('sampler', 'random')})" if unknown else ""
    return (
        f"{start}; nothing was tested. One search by a sampler that learns, by an unknown one or "
        "with pruned trials is a single observation however many trials it has. "
        f"{_traces(evidence)}To say more, repeat each search at least {FEWEST_REPEATS} times at "
        f"equal length with other seeds, or compare random search without pruning{unsaid}."
    )


def _traces(evidence: Evidence) -> str:
    """The best so far of both searches at some equal numbers of trials."""
    shorter = min(evidence.new.n, evidence.old.n)
    at = sorted({max(1, shorter // 10), max(1, shorter // 2), shorter})
    best = [
        " and ".join(
            f"{words.score(float(arm.scores[:n].max()), evidence.protocol)} in {arm.name}"
            for arm in (evidence.new, evidence.old)
        )
        for n in at
    ]
    told = "; ".join(f"{n:,}: {values}" for n, values in zip(at, best, strict=True))
    return f"The best so far by trial {told}. "


def _ranges(*arms: Arm) -> str:
    ranges = (
        f"{arm.name} ({'; '.join(f'{name} {span}' for name, span in arm.ranges.items())})"
        if arm.ranges
        else f"{arm.name} (ranges unknown)"
        for arm in arms
    )
    return f"Ranges: {', '.join(ranges)}."


def _complement(chance: Estimate) -> Estimate:
    flipped = chance.negated
    if flipped.interval is None:
        return Estimate(1 + flipped.value)
    return Estimate(1 + flipped.value, 1 + flipped.interval[0], 1 + flipped.interval[1])
