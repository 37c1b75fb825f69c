"""What a suite says, in sentences: which workloads, how much, how sure, and nothing beyond them.

- *supported*: the interval of the speed-up over workloads excludes 1; the heading names the arm.
- *inconclusive*: anything else.
"""

from collections.abc import Iterator
from math import isfinite
from typing import Literal

import numpy as np

from tuner.compare import words
from tuner.compare.statistics.across.pooled import Pooled
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.suite.outcome import Suite
from tuner.wording import count

Kind = Literal["supported", "inconclusive"]


def kind(suite: Suite) -> Kind:
    """Whether the interval over workloads excludes 1."""
    return "inconclusive" if ahead(suite, suite.pooled["trials"]) is None else "supported"


def ahead(suite: Suite, pooled: Pooled) -> str | None:
    """The arm that needs fewer trials, where the interval excludes 1."""
    new, old = suite.arms[:2]
    low, high = pooled.speedup.low, pooled.speedup.high
    return new if low is not None and low > 1 else old if high is not None and high < 1 else None


def heading(suite: Suite) -> str:
    """The answer in a line."""
    winner = ahead(suite, suite.pooled["trials"])
    over = f"Over {count(len(suite.comparisons), 'workload')}"
    start = f"Interim, {over.lower()}" if interim(suite) else over
    if winner is None:
        return f"{start}: no difference is shown"
    return f"{start}: {winner} needs fewer trials"


def interim(suite: Suite) -> list[str]:
    """What is missing of what was declared, a sentence each."""
    parts = [
        f"{name}: {each.protocol.interim}."
        for name, each in suite.comparisons.items()
        if each.protocol.interim
    ]
    if suite.missing:
        parts.insert(0, f"Nothing came out yet of {', '.join(suite.missing)}.")
    return parts


def sentences(suite: Suite) -> list[str]:
    """The answer and what else is to be said of it, without the ranges."""
    return [_speedup(suite), _without(suite), *_against(suite), *_misses(suite), _profile(suite)]


def scope(suite: Suite) -> str:
    """What the answer speaks of, and what it supposes."""
    workloads = "; ".join(
        f"{name} ({each.protocol.workload}, to "
        f"{words.score(each.protocol.target or 0.0, each.protocol)})"
        for name, each in suite.comparisons.items()
    )
    return (
        f"Workloads: {workloads}. The interval supposes that they are a random draw from the "
        "workloads it is to speak of, and that the logarithms of the speed-ups are about normal "
        "between those: who chose the workloads decides whether that is so, and no number here "
        "does. Nothing is said of other ranges or other targets."
    )


def times(speedup: Speedup, suite: Suite) -> str:
    """A speed-up in words, ``3.2 (95% CI 1.4 to 7.5)``, or why there is none."""
    return words.speedup(speedup, suite.protocol)


def between(pooled: Pooled) -> str:
    """The spread between workloads as a factor: ``2.0``, or a dash."""
    return "-" if pooled.between is None else f"{np.exp(pooled.between):.2g}"


def _speedup(suite: Suite) -> str:
    new, old = suite.arms[:2]
    pooled = suite.pooled["trials"]
    said = times(pooled.speedup, suite)
    if pooled.speedup.value is None and (pooled.speedup.low or pooled.speedup.high) is None:
        return f"How many times fewer random trials {new} needs than {old}: {said}."
    text = (
        f"To the target {new} needs {said} times fewer random trials than {old}, the geometric "
        f"mean over {count(pooled.n, 'workload')}."
    )
    if pooled.speedup.reason:
        text += f" {pooled.speedup.reason[0].upper()}{pooled.speedup.reason[1:]}."
    if pooled.another is not None:
        text += (
            f" Between workloads it varies by a factor of {between(pooled)} (one standard "
            "deviation): one more workload of the kind, measured likewise, would show "
            f"{times(pooled.another, suite)}."
        )
    return text


def _without(suite: Suite) -> str:
    everywhere, left = ahead(suite, suite.pooled["trials"]), suite.without
    values = [each.speedup.value for each in left.values()]
    known = [value for value in values if value is not None]
    ends = [times(Speedup(end, None, None), suite) for end in sorted(known)]
    it_is = (
        f"it is {' to '.join(dict.fromkeys((ends[0], ends[-1])))}" if ends else "no value is left"
    )
    if 0 < len(known) < len(values):
        it_is = f"{it_is} where no miss is left"
    text = f"Without any one of the workloads {it_is}"
    other = [name for name, each in left.items() if ahead(suite, each) != everywhere]
    if everywhere is None:
        tail = f"the interval excludes 1 without {', '.join(other)}" if other else ""
        return f"{text}; {tail or 'the interval never excludes 1'}."
    tail = f"no longer excludes 1 without {', '.join(other)}" if other else "excludes 1 each time"
    return f"{text}; the interval {tail}."


def _against(suite: Suite) -> Iterator[str]:
    for arm, pooled in suite.against.items():
        yield f"Against {arm} in place of {suite.arms[1]}: {times(pooled.speedup, suite)}."


def _misses(suite: Suite) -> Iterator[str]:
    for place, arm in enumerate(suite.arms):
        missed = [
            name
            for name, cost in zip(suite.comparisons, suite.costs[:, place], strict=True)
            if not isfinite(cost)
        ]
        if missed:
            yield (
                f"{arm} missed the target on {', '.join(missed)}: none of its trials reached it, "
                "and it counts as infinitely far from the best there."
            )
    pooled = suite.pooled["trials"]
    if pooled.left_out:
        both = count(pooled.left_out, "workload")
        yield (
            f"On {both} neither {suite.arms[0]} nor {suite.arms[1]} reached the target: that says "
            "nothing on which of them is faster, so the estimate leaves it out."
        )


def _profile(suite: Suite) -> str:
    parts = []
    for arm, shares in suite.profiles.items():
        n = len(suite.comparisons)
        best, last = round(shares[0].value * n), round(shares[-1].value * n)
        within = next((f for f, s in zip(suite.factors, shares, strict=True) if s == shares[-1]))
        part = f"{arm} on {best} of {n}"
        if last > best:
            part += f", and within {within:g} times of the fewest on {last}"
        parts.append(part)
    return f"Fewest trials to the target, ties included: {'; '.join(parts)}."
