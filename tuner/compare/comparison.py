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
from tuner.compare.sentences import repeated_sentence
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
            *notes_on(arms, contrasts[0], k, protocol, seen),
        ),
    )


def detailed(comparison: Comparison, arms: Sequence[Arm]) -> Comparison:
    """The comparison with what lies behind it.

    Args:
        comparison: What ``compare`` said of these arms.
        arms: The same arms.
    """
    return replace(comparison, details=details(arms, comparison.arms, comparison.protocol))


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
