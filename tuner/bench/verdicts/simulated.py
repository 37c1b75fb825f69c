"""The whole protocol, simulated: searches, what they select run afresh, incumbents retrained."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tuner.bench.verdicts.shapes import Rng
from tuner.bench.verdicts.situation import Situation
from tuner.compare.arm import Arm, Retrained, SelectedRuns
from tuner.compare.statistics.estimate import Floats

LOOK_EVERY = 20
"""Trials between two looks at searches that run."""


@dataclass(frozen=True)
class Simulated:
    """One simulated comparison.

    Args:
        arms: As ``tuner compare`` would read them.
        incumbents: Arm -> what its incumbent is worth.
    """

    arms: tuple[Arm, ...]
    incumbents: Mapping[str, float]


def simulate(situation: Situation, rng: Rng) -> Simulated:
    """Run the protocol once."""
    drawn = {name: _arm(situation, name, rng) for name in situation.spaces}
    return Simulated(
        tuple(arm for arm, _ in drawn.values()),
        {name: worth for name, (_, worth) in drawn.items()},
    )


def looks(situation: Situation, arms: tuple[Arm, ...]) -> Iterator[tuple[tuple[Arm, ...], str]]:
    """The arms at each look, with what is still missing; the last look misses nothing."""
    if situation.looks == "after every pair":
        planned = situation.n // situation.k
        for pairs in range(1, planned):
            yield tuple(_fewer_pairs(arm, pairs) for arm in arms), f"{pairs} of {planned} pairs"
    if situation.looks == "while trials run":
        for n in range(LOOK_EVERY, situation.n, LOOK_EVERY):
            yield tuple(_fewer_trials(arm, n) for arm in arms), f"{n} of {situation.n} trials"
    yield arms, ""


def _arm(situation: Situation, name: str, rng: Rng) -> tuple[Arm, float]:
    space = situation.spaces[name]
    searches, length = situation.size(name)
    worth = space.search(rng, (searches, length))
    found = space.runs.scores(rng, worth)
    incumbent = float(worth.ravel()[np.argmax(found)])
    n = found.size
    arm = Arm(
        name=name,
        scores=found.ravel(),
        seconds=rng.lognormal(1.0, 0.3, n),
        failed=(found.ravel() == space.runs.collapsed) & (space.runs.collapse > 0),
        pruned=np.zeros(n, dtype=np.bool_),
        sampler=space.sampler,
        ranges={},
        repeat=None if space.learning is None else np.repeat(np.arange(searches), length),
        search_length=None if space.learning is None else length,
    )
    if situation.seeds:
        again = np.full((2, situation.seeds), incumbent)
        arm = replace(arm, retrained=Retrained({}, *space.runs.scores(rng, again)))
    if situation.afresh and not space.defaults:
        k = situation.k if space.learning is None else None
        chosen = selected(worth.reshape(-1), found.reshape(-1), k or length)
        val, test = space.runs.scores(rng, np.stack([chosen, chosen]))
        runs = SelectedRuns(np.arange(chosen.size), val, test, planned=chosen.size, k=k)
        arm = replace(arm, selected=runs)
    return arm, incumbent


def selected(worth: Floats, val: Floats, k: int) -> Floats:
    """What the settings are worth that searches of k trials each select, in their order."""
    searches = worth.size // k
    rows = val[: searches * k].reshape(searches, k)
    best = rows.argmax(axis=1)
    chosen: Floats = worth[: searches * k].reshape(searches, k)[np.arange(searches), best]
    return chosen


def _fewer_pairs(arm: Arm, pairs: int) -> Arm:
    runs = arm.selected
    if runs is None:
        return arm
    parts = {name: getattr(runs, name)[:pairs] for name in ("search", "val", "test")}
    return replace(arm, selected=replace(runs, **parts))


def _fewer_trials(arm: Arm, n: int) -> Arm:
    return replace(
        arm,
        scores=arm.scores[:n],
        seconds=arm.seconds[:n],
        failed=arm.failed[:n],
        pruned=arm.pruned[:n],
        retrained=None,
        selected=None,
    )
