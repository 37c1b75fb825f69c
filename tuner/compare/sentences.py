"""What is said beside the verdict: of the retrained incumbents, the target, the repeats."""

from collections.abc import Mapping

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.contrast import Contrast
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import classify
from tuner.compare.statistics.rmst import FEWEST_REPEATS
from tuner.compare.statistics.speedup import Speedup


def retrained_sentence(primary: Contrast, protocol: Protocol) -> str | None:
    """What the incumbents' fresh runs say on the test set; ``None`` without them.

    An arm is called ahead only where its p-value, adjusted for the number of contrasts, says so.
    """
    if primary.test is None:
        return None
    difference = words.difference(primary.test, protocol)
    rope = words.width(protocol.rope, protocol.unit)
    start = (
        "Retrained with fresh seeds and read once on the test set, the incumbent of "
        f"{primary.first} differs from that of {primary.second} by {difference}: "
    )
    kind = classify(primary.test, protocol.rope)
    if kind == "equivalent":
        return f"{start}similar, inside {rope}."
    p = primary.test_p_holm
    if p is not None and p < 1 - protocol.confidence:
        ahead = primary.first if primary.test.value > 0 else primary.second
        return (
            f"{start}not shown to be similar within {rope}; {ahead} is ahead "
            f"(Welch's p {words.p_value(p)} by Holm over all contrasts)."
        )
    if kind == "supported":
        return (
            f"{start}not shown to be similar within {rope}, nor which does better: Welch's p is "
            f"{words.p_value(p)} by Holm over all contrasts, though this interval, taken by "
            "itself, excludes zero."
        )
    return f"{start}too few seeds to show either a gap or similarity within {rope}."


def speedup_sentence(primary: Contrast, protocol: Protocol) -> str | None:
    """How many times fewer random trials reach the target; ``None`` without a target."""
    speedup = primary.speedups.get("trials")
    if speedup is None or protocol.target is None:
        return None
    target = words.score(protocol.target, protocol.unit)
    first, second = primary.first, primary.second
    if speedup.value is None and speedup.low is None and speedup.high is None:
        return f"How many times fewer trials reach {target} cannot be told: {speedup.reason}."
    if _above_one(speedup.inverse()):
        first, second, speedup = second, first, speedup.inverse()
    start = f"To reach {target} once, {first} needs"
    if _above_one(speedup):
        times = words.speedup(speedup, protocol)
        never = f"; {second} never reached it" if speedup.value is None else ""
        return f"{start} {times} times fewer random trials than {second}, on average{never}."
    times = words.speedup(speedup, protocol)
    return (
        f"Whether {first} needs fewer random trials than {second} to reach {target} once is not "
        f"told: times fewer, {times}."
    )


def _above_one(speedup: Speedup) -> bool:
    return speedup.low is not None and speedup.low > 1


def repeated_sentence(contrast: Contrast, arms: Mapping[str, Arm], protocol: Protocol) -> str:
    """The secondary endpoint in words: searches by a sampler that learns, repeated."""
    samplers = " and ".join(
        sorted({arms[name].sampler for name in (contrast.first, contrast.second)})
    )
    start = f"Secondary, by repeated {samplers} search, {contrast.first} against {contrast.second}"
    repeats = contrast.repeats
    if repeats is None:
        return f"{start}: nothing can be said before both have the same number of whole searches."
    difference = words.difference(repeats.difference, protocol)
    pairs = f"{repeats.n} pairs of searches, exact Wilcoxon p {words.p_value(repeats.p)}"
    if repeats.n < FEWEST_REPEATS:
        return (
            f"{start}: {difference} at the end of the search; {pairs}, "
            "too few to rest anything on."
        )
    rope = words.width(protocol.rope, protocol.unit)
    judged = {
        "supported": "the interval excludes zero",
        "equivalent": f"the same within {rope}",
        "inconclusive": "neither a difference nor equivalence is shown",
    }[classify(repeats.difference, protocol.rope)]
    return f"{start}: {difference} at the end of the search, {judged}; {pairs}."
