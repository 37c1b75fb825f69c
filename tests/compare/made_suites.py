"""Suites made from nothing: comparisons of which only the hits are of interest."""

from collections.abc import Mapping
from functools import cache

import numpy as np

from tuner.compare import Arm, Comparison, Protocol, compare
from tuner.compare.suite.outcome import Declaration, Suite, answered

N = 40
FIVE = {
    "one": (20, 10, 12),
    "two": (24, 6, 10),
    "three": (10, 8, 8),
    "four": (30, 12, 6),
    "five": (16, 4, 20),
}
"""Workload -> of 40 trials, how many of each arm reach the target."""
MISSES = {**FIVE, "four": (30, 0, 6), "six": (0, 0, 1)}


@cache
def comparison(name: str, hits: tuple[int, ...], *, target: float = 0.9) -> Comparison:
    arms = [
        Arm(
            name=arm,
            scores=np.where(np.arange(N) < reached, 0.95, 0.5),
            seconds=np.full(N, 0.5),
            failed=np.zeros(N, dtype=bool),
            pruned=np.zeros(N, dtype=bool),
            sampler="random",
            ranges={"alpha": "1e-05 .. 0.1, log"},
            epochs=np.full(N, 3.0),
        )
        for arm, reached in zip(("new", "old", "narrow"), hits, strict=True)
    ]
    return compare(arms, Protocol(workload=f"workload {name}", target=target))


def suite(
    hits: Mapping[str, tuple[int, ...]],
    *,
    arms: tuple[str, ...] = ("new", "old", "narrow"),
    missing: tuple[str, ...] = (),
) -> Suite:
    declared = Declaration("made", "Made from nothing.", arms, (*hits, *missing), "0" * 64)
    return answered(declared, {name: comparison(name, each) for name, each in hits.items()})
