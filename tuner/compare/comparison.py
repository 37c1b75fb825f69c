"""Finished trials and a protocol in, everything the reports print out. Pure: nothing is read.

``compare`` computes each arm's summary, the contrasts of the primary new arm with every other
arm, and the verdict. What the data do not allow is left out, and ``notes`` say why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tuner.compare import words
from tuner.compare.arm import DEFAULTS, Arm
from tuner.compare.contrast import Contrast, contrast, left_in_narrow, with_holm
from tuner.compare.evidence.details import ArmDetail, details
from tuner.compare.evidence.many_arms import ManyArms, many_arms
from tuner.compare.evidence.over_budgets import OverBudgets, over_budgets
from tuner.compare.notes import notes as notes_on
from tuner.compare.notes import together
from tuner.compare.protocol import Protocol
from tuner.compare.sentences import secondary_sentences
from tuner.compare.statistics.estimate import Bounds, classify
from tuner.compare.summary import ArmSummary, summarize
from tuner.compare.verdict import Evidence, Verdict
from tuner.compare.verdict_text import judge
from tuner.errors import InvalidInput
from tuner.wording import count, setting

_SURE = 0.999


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
        details: What lies behind it, arm by arm; empty unless ``detailed`` added it.
        over_budgets: The primary difference at every budget; likewise ``None``.
        many_arms: All random searches against each other, where there are many; likewise.
    """

    protocol: Protocol
    k: int
    arms: tuple[ArmSummary, ...]
    contrasts: tuple[Contrast, ...]
    verdict: Verdict
    notes: tuple[str, ...]
    details: tuple[ArmDetail, ...] = ()
    over_budgets: OverBudgets | None = None
    many_arms: ManyArms | None = None

    def __str__(self) -> str:
        """The verdict, and what must be known of it, a line each."""
        said = (f"{self.verdict.heading}.", *self.verdict.sentences, self.verdict.ranges)
        return "\n".join((*said, *(f"- {note}" for note in self.notes)))

    @property
    def names(self) -> list[str]:
        """The arms' names, in the order given."""
        return [arm.name for arm in self.arms]

    @property
    def single(self) -> frozenset[str]:
        """Names of the arms that are one search each; of all arms if there is none.

        Those that search many times or nothing have no place among the single searches.
        """
        once = self.protocol.searched_once
        names = [arm.name for arm in self.arms if once(arm.name) and arm.sampler != DEFAULTS]
        return frozenset(names or self.names)

    @property
    def single_details(self) -> list[ArmDetail]:
        """What lies behind the numbers of the single searches; empty without details."""
        return [detail for detail in self.details if detail.arm.name in self.single]


def compare(arms: Sequence[Arm], protocol: Protocol) -> Comparison:
    """Compare the arms' searches as the protocol declares.

    Args:
        arms: At least two, with distinct names and finite scores.
        protocol: The declaration.

    Raises:
        InvalidInput: If arms and protocol do not fit each other.
    """
    (new, old), k = _resolve(arms, protocol)
    left_out = [_unfit(arm, k) for arm in arms]
    arms = _fitting(arms, k)
    by_name = {arm.name: arm for arm in arms}
    seen = _seen(arms)
    pairs = [(new, old), *_other_pairs(arms, (new, old), protocol)]
    contrasts = with_holm([contrast(by_name[a], by_name[b], k, protocol, seen) for a, b in pairs])
    by_pair = dict(zip(pairs, contrasts, strict=True))
    summaries = tuple(summarize(arm, k, protocol) for arm in arms)
    luck = {each.name: each.retrained.luck for each in summaries if each.retrained}
    control = by_name.get(protocol.control or "")
    evidence = Evidence(
        primary=contrasts[0],
        control=by_pair[new, control.name] if control else None,
        left=left_in_narrow(by_name[new], by_name[old], control, k, protocol) if control else None,
        new=by_name[new],
        old=by_name[old],
        k=k,
        protocol=protocol,
    )
    return Comparison(
        protocol=protocol,
        k=k,
        arms=summaries,
        contrasts=tuple(contrasts),
        verdict=_with_secondary(evidence, by_pair, by_name),
        notes=(
            *filter(None, left_out),
            *_check_of_exact(by_name, new, k, protocol),
            *notes_on(
                arms,
                {name: words for name, words in luck.items() if words},
                contrasts[0],
                k,
                protocol,
                seen,
            ),
        ),
    )


def _resolve(arms: Sequence[Arm], protocol: Protocol) -> tuple[tuple[str, str], int]:
    """The primary contrast and the budget k*, checked against the arms.

    Raises:
        InvalidInput: If fewer than two arms are given, a name is taken twice or unknown, k* is
            above the smallest arm of the primary contrast and its control, or a score lies
            outside the unit's range.
    """
    names = tuple(arm.name for arm in arms)
    if len(names) < 2:
        raise InvalidInput(
            f"compare: needs at least two arms, the new one and what it is held against, got "
            f"{len(names)}"
        )
    if len(set(names)) < len(names):
        raise InvalidInput(f"compare: every arm needs a name of its own, got {', '.join(names)}")
    primary = protocol.primary or (names[0], names[1])
    wanted = [*primary, protocol.control] if protocol.control is not None else [*primary]
    parts = (*wanted, *(protocol.repeated or ()), protocol.exact)
    for name in (name for name in parts if name is not None):
        if name not in names:
            raise InvalidInput(
                f"protocol: arm {name!r} is not among the arms (choose from {', '.join(names)})"
            )
    if len(set(wanted)) < len(wanted):
        raise InvalidInput(
            f"protocol: new, old and control arm must differ, got {', '.join(map(str, wanted))}"
        )
    smallest = min((arm for arm in arms if arm.name in wanted), key=lambda arm: arm.n)
    k = protocol.k or min(smallest.n, max(2, smallest.n // 20))
    if k > smallest.n:
        raise InvalidInput(
            f"{setting('k')}: the best of k needs k <= n in every arm, got k={k} and "
            f"n={smallest.n} in arm {smallest.name!r}"
        )
    least, greatest = protocol.range
    for arm in arms:
        outside = arm.scores[(arm.scores < least) | (arm.scores > greatest)]
        if outside.size:
            low, high = protocol.own_bounds(protocol.range)
            raise InvalidInput(
                f"arm {arm.name!r}: a score of unit {protocol.unit!r} must lie in "
                f"[{low:g}, {high:g}], got {protocol.own(outside[0]):g}; name another unit or its "
                "bounds"
            )
    return primary, k


def _unfit(arm: Arm, k: int) -> str | None:
    """Why an arm's fresh runs do not answer the question; ``None`` where they do."""
    of = None if arm.selected is None else arm.selected.k
    if of in (None, k):
        return None
    return (
        f"{arm.name}: its settings trained afresh were selected by searches of "
        f"{count(of, 'trial')}, not of {k:,}: they are left out."
    )


def _with_secondary(
    evidence: Evidence, contrasts: Mapping[tuple[str, str], Contrast], arms: Mapping[str, Arm]
) -> Verdict:
    """The verdict with what else is to be said of it, and whether it is an interim one."""
    protocol, verdict = evidence.protocol, judge(evidence)
    repeated = contrasts[protocol.repeated] if protocol.repeated else None
    return replace(
        verdict,
        text=f"Interim, {protocol.interim}. {verdict.text}" if protocol.interim else verdict.text,
        **secondary_sentences(evidence, repeated, arms),
    )


def detailed(comparison: Comparison, arms: Sequence[Arm]) -> Comparison:
    """The comparison with what lies behind it.

    Args:
        comparison: What ``compare`` said of these arms.
        arms: The same arms.
    """
    by_name, primary = {arm.name: arm for arm in arms}, comparison.contrasts[0]
    return replace(
        comparison,
        over_budgets=over_budgets(
            by_name[primary.first],
            by_name[primary.second],
            by_name.get(comparison.protocol.control or ""),
            comparison.k,
            comparison.protocol,
        ),
        many_arms=many_arms(_fitting(arms, comparison.k), comparison.k, comparison.protocol),
        details=details(arms, [arm.curve for arm in comparison.arms], comparison.protocol),
    )


def _fitting(arms: Sequence[Arm], k: int) -> list[Arm]:
    """The arms, without fresh runs that answer another question."""
    return [replace(arm, selected=None) if _unfit(arm, k) else arm for arm in arms]


def judged(arms: Sequence[Arm], protocol: Protocol, *, notes: Sequence[str] = ()) -> Comparison:
    """The comparison of these arms in detail, with the notes of whoever read them put first."""
    comparison = detailed(compare(arms, protocol), arms)
    return replace(comparison, notes=together((*notes, *comparison.notes), comparison.names))


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
    arms: Mapping[str, Arm], new: str, k: int, protocol: Protocol
) -> Iterator[str]:
    """What the arm at the exact map of the new one says; where it differs, something is wrong.

    That they do the same is known, so an alarm needs much: an interval of 99.9%.
    """
    if protocol.exact is None:
        return
    sure = replace(protocol, confidence=max(protocol.confidence, _SURE))
    pair = contrast(arms[new], arms[protocol.exact], k, sure, protocol.range)
    difference = pair.difference or pair.on_validation
    start = f"Check: {protocol.exact} searches the old space where it is exactly {new}"
    if difference is None or difference.interval is None:
        yield f"{start}; there are too few trials to compare them."
        return
    shown = words.difference(difference, sure)
    yield {
        "equivalent": f"{start}, and they do the same: {shown}.",
        "inconclusive": f"{start}, and no difference is seen: {shown}.",
        "supported": f"{start}, yet they differ, {shown}: look for a mistake in the ranges or the "
        "program before trusting anything else here.",
    }[classify(difference, protocol.rope)]


def _seen(arms: Sequence[Arm]) -> Bounds:
    """Lowest and highest score of all arms: their spaces are nested, so each may reach both."""
    return (
        min(float(arm.scores.min()) for arm in arms),
        max(float(arm.scores.max()) for arm in arms),
    )
