"""What is said beside the verdict: of the target, the repeats, the retrained incumbents.

The verdict and these sentences are one family of claims. They are asked in this order, and none
claims a difference unless all before it do: so the chance that any of them claims one that is not
there is that of a single one. The numbers are printed all the same.

Source: Maurer, Hothorn and Lehmacher (1995), for tests in a fixed sequence.
"""

from collections.abc import Callable, Mapping
from typing import TypedDict

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import Contrast
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate, classify
from tuner.compare.statistics.speedup import FEWEST_REPEATS, Speedup
from tuner.compare.verdict import Evidence
from tuner.wording import count

OPEN = "an earlier question is open, so this one is not judged"


class Secondary(TypedDict):
    """A sentence each; ``None`` where there is nothing to say."""

    speedup: str | None
    repeated: str | None
    test: str | None


def secondary_sentences(
    evidence: Evidence, repeated: Contrast | None, arms: Mapping[str, Arm]
) -> Secondary:
    """The sentences, each judged only if those before it claim a difference.

    Args:
        evidence: Of the verdict.
        repeated: The secondary contrast of repeated searches, where there is one.
        arms: All arms by name.
    """
    primary, protocol = evidence.primary, evidence.protocol
    estimate = evidence.estimate
    judged = (
        evidence.kind != "inconclusive"
        and estimate is not None
        and classify(estimate, 0.0) == "supported"
    )
    speedup = primary.speedups.get("trials")
    first = speedup_sentence(primary, protocol, judged=judged)
    judged = judged and (speedup is None or _apart(speedup))
    second = (
        None if repeated is None else repeated_sentence(repeated, arms, protocol, judged=judged)
    )
    if repeated is not None:
        difference = repeated.difference or repeated.on_validation
        judged = judged and difference is not None and classify(difference, 0.0) == "supported"
    third = retrained_sentence(primary, protocol, judged=judged)
    return {"speedup": first, "repeated": second, "test": third}


def _apart(speedup: Speedup) -> bool:
    return _above_one(speedup) or _above_one(speedup.inverse())


def retrained_sentence(primary: Contrast, protocol: Protocol, *, judged: bool) -> str | None:
    """What the incumbents' fresh runs say on the test set; ``None`` without them.

    Args:
        primary: The primary contrast.
        protocol: The declaration.
        judged: Whether it may call an arm ahead, by Holm over all contrasts.
    """
    if primary.test is None or primary.test_typical is None:
        return None
    rope = words.width(protocol.rope, protocol)
    typical = words.difference(primary.test_typical, protocol)
    start = (
        "Retrained with fresh seeds and read on the test set, the incumbent of "
        f"{primary.first} differs from that of {primary.second} by {typical} in the median seed"
    )

    def alike(difference: Estimate) -> bool:
        return classify(difference, protocol.rope) == "equivalent"

    if alike(primary.test):
        elsewhere = _elsewhere(primary.test_other_images, alike)
        return f"{start}: similar in the mean too, inside {rope}{elsewhere}."
    start += _of_the_mean(primary.test, protocol)
    p = primary.test_p_holm
    if p is not None and p < 1 - protocol.confidence:
        if not judged:
            return f"{start}{OPEN}."
        mean = primary.test.value
        ahead = primary.first if mean > 0 else primary.second
        elsewhere = _elsewhere(
            primary.test_typical_other_images, lambda median: _on_side_of(mean, median)
        )
        return (
            f"{start}{ahead} is ahead (Welch's p {words.p_value(p)} by Holm over all contrasts)"
            f"{elsewhere}."
        )
    if alike(primary.test_typical):
        elsewhere = _elsewhere(primary.test_typical_other_images, alike)
        return f"{start}typical seeds lie within {rope} of each other{elsewhere}."
    return f"{start}too few seeds to show either a gap or that there is none beyond {rope}."


def _elsewhere(wider: Estimate | None, holds: Callable[[Estimate], bool]) -> str:
    """Whether what these test images show holds on others of their kind."""
    if wider is None:
        return "; of other test images nothing is known"
    if holds(wider):
        return ", and on other test images of the kind too"
    return "; of other test images of the kind that is not shown"


def _on_side_of(mean: float, median: Estimate) -> bool:
    """Whether the interval of the medians' difference lies on the mean's side of zero."""
    return classify(median, 0.0) == "supported" and median.value * mean > 0


def _of_the_mean(mean: Estimate, protocol: Protocol) -> str:
    """What is known of the mean, which a rare collapse would move."""
    value = words.points(mean.value, protocol)
    if mean.interval is None:
        return f", by {value} in the mean of these seeds: "
    ends = sorted(mean.interval, key=protocol.own)
    low, high = (words.points(end, protocol) for end in ends)
    return (
        f", by {value} in the mean of these seeds (of all seeds, rare collapses included, by "
        f"{low} to {high}): "
    )


def speedup_sentence(primary: Contrast, protocol: Protocol, *, judged: bool) -> str | None:
    """How many times fewer random trials reach the target; ``None`` without a target."""
    speedup = primary.speedups.get("trials")
    if speedup is None or protocol.target is None:
        return None
    target = words.score(protocol.target, protocol)
    first, second = primary.first, primary.second
    if speedup.value is None and speedup.low is None and speedup.high is None:
        return f"How many times fewer trials reach {target} cannot be told: {speedup.reason}."
    if judged and _above_one(speedup.inverse()):
        first, second, speedup = second, first, speedup.inverse()
    if judged and _above_one(speedup):
        never = f"; {second} never reached it" if speedup.value is None else ""
        return (
            f"To reach {target} once on validation, {first} needs "
            f"{words.speedup(speedup, protocol)} times fewer random trials than {second}, on "
            f"average{never}."
        )
    why = f"; {OPEN}" if _apart(speedup) else ""
    return (
        f"Whether {first} needs fewer random trials than {second} to reach {target} once is not "
        f"told: times fewer, {words.speedup(speedup, protocol)}{why}."
    )


def _above_one(speedup: Speedup) -> bool:
    return speedup.low is not None and speedup.low > 1


def repeated_sentence(
    contrast: Contrast, arms: Mapping[str, Arm], protocol: Protocol, *, judged: bool
) -> str:
    """The secondary endpoint in words: searches by a sampler that learns, repeated."""
    samplers = " and ".join(
        sorted({arms[name].sampler for name in (contrast.first, contrast.second)})
    )
    start = f"Secondary, by repeated {samplers} search, {contrast.first} against {contrast.second}"
    if contrast.selected is not None:
        searches = contrast.selected
        difference = searches.difference
        shown = (
            f"{words.difference(difference, protocol)} in the median over "
            f"{count(searches.n, 'search', 'searches')} of each, settings trained afresh"
        )
    else:
        repeats = contrast.repeats
        if repeats is None:
            return (
                f"{start}: nothing can be said before both have the same number of whole searches."
            )
        difference = repeats.difference
        shown = (
            f"{words.difference(difference, protocol)} at the end of the search; "
            f"{count(repeats.n, 'pair')} of searches, exact Wilcoxon p {words.p_value(repeats.p)}"
        )
        if repeats.n < FEWEST_REPEATS:
            return f"{start}: {shown}, too few to rest anything on."
    rope = words.width(protocol.rope, protocol)
    kind = classify(difference, protocol.rope)
    if kind == "supported" and not judged:
        return f"{start}: {shown}; {OPEN}."
    said = {
        "supported": "the interval excludes zero",
        "equivalent": f"the same within {rope}",
        "inconclusive": "neither a difference nor equivalence is shown",
    }[kind]
    return f"{start}: {shown}; {said}."
