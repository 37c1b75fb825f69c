"""Finished trials and a protocol in, everything the reports print out. Pure: nothing is read.

``compare`` computes each arm's summary, the contrasts of the primary new arm with every other
arm, and the verdict. What the data do not allow is left out, and ``notes`` say why.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import Contrast, contrast, with_holm
from tuner.compare.evidence.details import ArmDetail, details
from tuner.compare.notes import notes as notes_on
from tuner.compare.protocol import Protocol, resolve
from tuner.compare.sentences import repeated_sentence, retrained_sentence, speedup_sentence
from tuner.compare.statistics.best_of_k import Bounds
from tuner.compare.statistics.estimate import classify
from tuner.compare.summary import ArmSummary, summarize
from tuner.compare.verdict import Verdict, judge


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
    """

    protocol: Protocol
    k: int
    arms: tuple[ArmSummary, ...]
    contrasts: tuple[Contrast, ...]
    verdict: Verdict
    notes: tuple[str, ...]
    details: tuple[ArmDetail, ...] = ()

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
        names = [arm.name for arm in self.arms if once(arm.name, arm.sampler)]
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
    (new, old), k = resolve(arms, protocol)
    by_name = {arm.name: arm for arm in arms}
    seen = _seen(arms)
    pairs = [(new, old), *_other_pairs(arms, (new, old), protocol)]
    contrasts = with_holm([contrast(by_name[a], by_name[b], k, protocol, seen) for a, b in pairs])
    by_pair = dict(zip(pairs, contrasts, strict=True))
    summaries = tuple(summarize(arm, k, protocol, seen) for arm in arms)
    luck = {each.name: each.retrained.luck for each in summaries if each.retrained}
    control = by_pair.get((new, protocol.control)) if protocol.control is not None else None
    verdict = judge(contrasts[0], control, by_name[new], by_name[old], k, protocol)
    return Comparison(
        protocol=protocol,
        k=k,
        arms=summaries,
        contrasts=tuple(contrasts),
        verdict=_with_secondary(verdict, by_pair, (new, old), by_name, protocol),
        notes=(
            *_check_of_exact(by_pair, new, protocol),
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


def _with_secondary(
    verdict: Verdict,
    contrasts: Mapping[tuple[str, str], Contrast],
    primary: tuple[str, str],
    arms: Mapping[str, Arm],
    protocol: Protocol,
) -> Verdict:
    """The verdict with what else is to be said of it, and whether it is an interim one."""
    interim, repeated = protocol.interim, protocol.repeated
    return replace(
        verdict,
        text=f"Interim, {interim}. {verdict.text}" if interim else verdict.text,
        test=retrained_sentence(contrasts[primary], protocol),
        speedup=speedup_sentence(contrasts[primary], protocol),
        repeated=repeated_sentence(contrasts[repeated], arms, protocol) if repeated else None,
        interim=bool(interim),
    )


def detailed(comparison: Comparison, arms: Sequence[Arm]) -> Comparison:
    """The comparison with what lies behind it.

    Args:
        comparison: What ``compare`` said of these arms.
        arms: The same arms.
    """
    return replace(
        comparison,
        details=details(arms, [arm.curve for arm in comparison.arms], comparison.protocol),
    )


def judged(arms: Sequence[Arm], protocol: Protocol, *, notes: Sequence[str] = ()) -> Comparison:
    """The comparison of these arms in detail, with the notes of whoever read them put first."""
    comparison = detailed(compare(arms, protocol), arms)
    return replace(comparison, notes=(*notes, *comparison.notes))


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
    contrasts: Mapping[tuple[str, str], Contrast], new: str, protocol: Protocol
) -> Iterator[str]:
    """What the arm at the exact map of the new one says; where it differs, something is wrong."""
    if protocol.exact is None:
        return
    difference = contrasts[new, protocol.exact].difference
    start = f"Check: {protocol.exact} searches the old space where it is exactly {new}"
    if difference is None or difference.interval is None:
        yield f"{start}; there are too few trials to compare them."
        return
    shown = words.difference(difference, protocol)
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
