"""The verdict in words: supported, equivalent, inconclusive or fragile, never without numbers.

The rules, in order of precedence:

- *fragile*: the interval of the primary difference excludes zero, but the difference reverses or
  shrinks by more than half when the control arm (narrow ranges) stands in for the old one; or
  the arms are equivalent, and against the control they are not.
- *equivalent*: the interval lies inside the region of practical equivalence.
- *supported*: the interval excludes zero; the text names the arm that wins, whichever it is.
- *inconclusive*: anything else, with the number of trials that would probably settle it.
"""

from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Literal

import numpy as np

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import Contrast
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.best_of_k import trials_for_interval
from tuner.compare.statistics.estimate import Estimate, classify
from tuner.compare.statistics.rmst import FEWEST_REPEATS

Kind = Literal["supported", "equivalent", "inconclusive", "fragile"]
_MOST = 1_000_000
"""Further trials or repeats beyond which none are advised."""


@dataclass(frozen=True)
class Verdict:
    """What the comparison says.

    Args:
        kind: One of the four.
        text: The verdict in one paragraph.
        test: What the retrained incumbents say, in one sentence; ``None`` without them.
        ranges: The ranges that the verdict holds for.
        winner: The arm that does better where the interval excludes zero, else ``None``.
        more: About how many more trials (repeats) per arm would settle it, where known.
        repeated: What the repeated searches say, in one sentence; ``None`` if none were declared.
        speedup: How many times fewer trials reach the target, in one sentence; ``None`` without
            a target.
        interim: Whether it rests on part of the declared trials.
    """

    kind: Kind
    text: str
    test: str | None = field(default=None, kw_only=True)
    ranges: str
    winner: str | None
    more: int | None
    repeated: str | None = None
    speedup: str | None = None
    interim: bool = False

    @property
    def heading(self) -> str:
        """The kind and, where the interval excludes zero, which arm does better."""
        kind = f"Interim, {self.kind}" if self.interim else self.kind.capitalize()
        return kind if self.winner is None else f"{kind}: {self.winner} ahead"

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict and what else is to be said of it, without the ranges."""
        parts = (self.text, self.speedup, self.repeated, self.test)
        return tuple(text for text in parts if text is not None)


def judge(
    primary: Contrast, control: Contrast | None, new: Arm, old: Arm, k: int, protocol: Protocol
) -> Verdict:
    """Judge the primary contrast (new minus old), with the control where there is one."""
    case = _Case(primary, control, new, old, k, protocol)
    estimate = primary.difference
    if estimate is None or estimate.interval is None:
        kind: Kind = "inconclusive"
        more = _missing(case, estimate)
        text = _without_interval(case, estimate, more)
    else:
        classified = classify(estimate, protocol.rope)
        kind = "fragile" if _is_fragile(case, estimate, classified) else classified
        more = _more(estimate, case.units, protocol.rope) if kind == "inconclusive" else None
        text = _TEXTS[kind](case, estimate, more)
    apart = estimate is not None and classify(estimate, 0.0) == "supported"
    ahead = new.name if apart and estimate and estimate.value > 0 else old.name
    winner = ahead if apart and kind != "equivalent" else None
    return Verdict(
        kind=kind,
        text=text,
        ranges=_ranges(new, old),
        winner=winner,
        more=more,
    )


@dataclass(frozen=True)
class _Case:
    """The evidence, and the phrases that every verdict shares."""

    primary: Contrast
    control: Contrast | None
    new: Arm
    old: Arm
    k: int
    protocol: Protocol

    @property
    def by_budget(self) -> bool:
        """Whether the verdict rests on the best of k* of random search, not on repeats."""
        return self.primary.best_of_k is not None

    @property
    def units(self) -> int:
        """Observations per arm: trials of random search, or repeats of another."""
        if self.primary.best_of_k is None and self.primary.repeats is not None:
            return self.primary.repeats.n
        return max(self.new.n, self.old.n)

    @property
    def search(self) -> str:
        """Whose trials they are: ``random search``, or the samplers of a repeated search."""
        return f"{' and '.join(sorted({self.new.sampler, self.old.sampler}))} search"

    @property
    def budget(self) -> str:
        """After how much of the search the arms are compared."""
        if self.by_budget:
            return f"after {self.k} trial{'s' if self.k > 1 else ''}"
        return f"after its whole budget (mean of {self.units} repeats per arm)"

    @property
    def given(self) -> str:
        return f"With these ranges, on {self.protocol.workload}"

    def numbers(self, estimate: Estimate, *, winner_first: bool = False) -> str:
        """The difference, and the probability or p-value beside it."""
        flip = winner_first and estimate.value < 0
        text = words.difference(_negated(estimate) if flip else estimate, self.protocol)
        scale = max(float(np.abs(arm.scores).max()) for arm in (self.new, self.old))
        if estimate.interval is not None and np.ptp(estimate.interval) <= 1e-12 * scale:
            text += ", without width only because all scores are the same"
        if self.primary.probability is not None:
            chance = self.primary.probability
            ahead, behind = (self.old, self.new) if flip else (self.new, self.old)
            shown = words.probability(_complement(chance) if flip else chance, self.protocol)
            return f"{text}, P(best of {self.k} in {ahead.name} beats {behind.name}) = {shown}"
        repeats = self.primary.repeats
        return text if repeats is None else f"{text}, Wilcoxon p {words.p_value(repeats.p)}"


def _is_fragile(case: _Case, estimate: Estimate, classified: str) -> bool:
    against = case.control.difference if case.control is not None else None
    if against is None:
        return False
    if classified == "supported":
        same_side = against.value * estimate.value > 0
        return not same_side or 2 * abs(against.value) < abs(estimate.value)
    return classified == "equivalent" and classify(against, case.protocol.rope) == "supported"


def _supported(case: _Case, estimate: Estimate, _: int | None) -> str:
    won, lost = (case.new, case.old) if estimate.value > 0 else (case.old, case.new)
    text = (
        f"{case.given}, {case.search} reaches higher {words.measure(case.protocol)} "
        f"{case.budget} in {won.name} than in {lost.name}: "
        f"{case.numbers(estimate, winner_first=True)}."
    )
    if won is case.old and case.protocol.primary is not None:
        text += f" The result goes against {case.new.name}, the arm taken as new."
    low, high = estimate.interval or (0.0, 0.0)
    if min(abs(low), abs(high)) < case.protocol.rope:
        rope = words.width(case.protocol.rope, case.protocol.unit)
        text += f" The difference may still be smaller than {rope}, too little to matter."
    return f"{text}{_control_sentence(case)} Not tested on other workloads."


def _equivalent(case: _Case, estimate: Estimate, _: int | None) -> str:
    rope = words.width(case.protocol.rope, case.protocol.unit)
    return (
        f"{case.given}, {case.search} reaches the same {words.measure(case.protocol)} "
        f"{case.budget} in {case.new.name} and {case.old.name} within the region of "
        f"practical equivalence of {rope}: {case.numbers(estimate)}.{_control_sentence(case)} "
        "Not tested on other workloads."
    )


def _inconclusive(case: _Case, estimate: Estimate, more: int | None) -> str:
    unit = "trials" if case.by_budget else "repeats"
    if more is None:
        why = (
            "without a region of practical equivalence no number of "
            f"{unit} shows that there is none"
            if estimate.value == case.protocol.rope == 0
            else f"it would take more than {_MOST:,} further {unit} per arm"
        )
        return (
            f"{case.given}, no difference was shown {case.budget} between {case.new.name} "
            f"and {case.old.name}, {case.numbers(estimate)}; {why}.{_control_sentence(case)}"
        )
    return (
        f"{case.given}, too few {unit} were run to tell whether {case.search} reaches higher "
        f"{words.measure(case.protocol)} {case.budget} in {case.new.name} or in "
        f"{case.old.name}: {case.numbers(estimate)}; about "
        f"{words.count(more, f'more {unit[:-1]}')} per arm would be needed if the estimate holds."
        f"{_control_sentence(case)}"
    )


def _fragile(case: _Case, estimate: Estimate, _: int | None) -> str:
    assert case.control is not None and case.control.difference is not None
    against = case.control.difference
    difference = words.difference(against, case.protocol)
    stand_in = f"with the narrow ranges of {case.control.second} in place of {case.old.name}"
    first = f"The result hangs on the ranges: {stand_in}, {case.new.name} "
    if classify(estimate, case.protocol.rope) == "equivalent":
        return f"{first}is no longer equivalent, {difference}. {_equivalent(case, estimate, None)}"
    change = (
        f"differs by less than half as much ({_ratio(against, estimate)}, by the estimates)"
        if against.value * estimate.value > 0
        else "no longer leads"
        if estimate.value > 0
        else "no longer trails"
    )
    return f"{first}{change}, {difference}. {_supported(case, estimate, None)}"


_TEXTS = {
    "supported": _supported,
    "equivalent": _equivalent,
    "inconclusive": _inconclusive,
    "fragile": _fragile,
}


def _control_sentence(case: _Case) -> str:
    """What the control says where it does not decide; nothing where that was said already."""
    if case.control is None:
        return ""
    if case.control.difference is None:
        return f" The control {case.control.second} allows no comparison, see the notes."
    estimate = case.primary.difference
    if estimate is not None and _is_fragile(
        case, estimate, classify(estimate, case.protocol.rope)
    ):
        return ""
    against = case.control.difference
    difference = words.difference(against, case.protocol)
    part = ""
    if estimate is not None and classify(estimate, case.protocol.rope) == "supported":
        part = f", {_ratio(against, estimate)} of it (below 50% it would be called fragile)"
    return (
        f" Against the narrow ranges of {case.control.second} "
        f"the difference is {difference}{part}."
    )


def _ratio(against: Estimate, estimate: Estimate) -> str:
    """How much of the difference is left under narrow ranges, in per cent."""
    return f"{against.value / estimate.value:.0%}"


def _without_interval(case: _Case, estimate: Estimate | None, more: int | None) -> str:
    start = f"{case.given}, {case.new.name} and {case.old.name} were not told apart"
    if estimate is not None and case.k == 1:
        return (
            f"{start} for want of an interval: the best of 1 is the mean of all trials, for which "
            f"none is stated below {trials_for_interval(1):,} in every arm; declare a k of 2 or "
            f"more. The estimate alone, whose error nobody knows: {case.numbers(estimate)}."
        )
    if estimate is not None:
        return (
            f"{start} for want of an interval: that of the best of {case.k} needs at least "
            f"{trials_for_interval(case.k):,} trials in every arm, {more:,} more. The estimate "
            f"alone, whose error nobody knows: {case.numbers(estimate)}."
        )
    idle = [arm.name for arm in (case.new, case.old) if not arm.searched]
    if idle:
        return (
            f"{start}; nothing was tested. {' and '.join(idle)} searched nothing, so there is no "
            "best of a search to compare; declare two searches as the primary contrast."
        )
    return (
        f"{start}; nothing was tested. One search by a sampler that learns, by an unknown one or "
        "with pruned trials is a single observation however many trials it has. Repeat each "
        f"search at least {FEWEST_REPEATS} times at equal length, or compare random search "
        "without pruning."
    )


def _missing(case: _Case, estimate: Estimate | None) -> int | None:
    if estimate is None:
        repeats = case.primary.repeats
        return FEWEST_REPEATS - (1 if repeats is None else repeats.n)
    return trials_for_interval(case.k) - min(case.new.n, case.old.n)


def _more(estimate: Estimate, n: int, rope: float) -> int | None:
    """Observations to add until the half-width, which shrinks as 1/sqrt(n), settles the matter.

    It must fall below |difference| (then zero is excluded) or below rope - |difference| (then
    the interval is inside the region), whichever comes first; ``None`` above ``_MOST``.
    """
    low, high = estimate.interval or (0.0, 0.0)
    needed = max(abs(estimate.value), rope - abs(estimate.value))
    if needed == 0 or (high - low) / 2 / needed > sqrt(1 + _MOST / n):
        return None
    return max(1, ceil(n * (((high - low) / 2 / needed) ** 2 - 1)))


def _ranges(*arms: Arm) -> str:
    ranges = (
        f"{arm.name} ({'; '.join(f'{name} {span}' for name, span in arm.ranges.items())})"
        if arm.ranges
        else f"{arm.name} (ranges unknown)"
        for arm in arms
    )
    return f"Ranges: {', '.join(ranges)}."


def _negated(estimate: Estimate) -> Estimate:
    if estimate.interval is None:
        return Estimate(-estimate.value)
    low, high = estimate.interval
    return Estimate(-estimate.value, -high, -low)


def _complement(chance: Estimate) -> Estimate:
    flipped = _negated(chance)
    if flipped.interval is None:
        return Estimate(1 + flipped.value)
    return Estimate(1 + flipped.value, 1 + flipped.interval[0], 1 + flipped.interval[1])
