"""A situation to try the verdicts in: search spaces whose truth is known, and a protocol."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tuner.bench.verdicts.space import KnownSpace
from tuner.compare import Protocol

NEW, OLD, NARROW, EXACT, NEW_TPE, OLD_TPE = "new", "old", "narrow", "exact", "new_tpe", "old_tpe"
"""The arms that a protocol knows by their part; any other name is one arm more."""

REPEATS = 10
"""Independent searches of an arm whose sampler learns."""

DECLARED = (0.5, 0.75)
"""The looks that a protocol declares where it is looked at while it runs."""

Looks = Literal["at the end", "after every pair", "while trials run"]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is searched, and what is declared.

    Args:
        name: What to call it.
        words: What it is.
        spaces: Arm -> its space; ``new`` is held against ``old``.
        n: Random trials of each arm.
        k: The budget k*.
        length: Trials of each search whose sampler learns.
        seeds: Fresh runs of each incumbent.
        afresh: Whether what the searches select is trained afresh.
        target: The score that counts as success.
        rope: Half-width of the region of practical equivalence.
        losses: Whether the scores are those of losses, lower ones better and without bounds; the
            spaces hold them as they are compared, with the opposite sign.
        chance: The score of guessing.
        nothing_learned: Whether no setting is worth more than that.
        looks: When the comparison is looked at; at the first "supported" it ends.
        effort: Comparisons simulated, as a share of the usual number: fewer where each is dear.
        excused: Interval or word -> why it may be out of bounds here.
    """

    name: str
    words: str
    spaces: Mapping[str, KnownSpace]
    n: int
    k: int
    length: int = 40
    seeds: int = 10
    afresh: bool = True
    target: float | None = 0.96
    rope: float = 0.003
    losses: bool = False
    chance: float | None = 0.1
    nothing_learned: bool = False
    looks: Looks = "at the end"
    effort: float = 1.0
    excused: Mapping[str, str] = field(default_factory=dict)

    def protocol(self, seed: int, interim: str = "") -> Protocol:
        """What is declared; ``seed`` is of the draws behind its intervals."""
        return Protocol(
            primary=(NEW, OLD),
            control=NARROW if NARROW in self.spaces else None,
            exact=EXACT if EXACT in self.spaces else None,
            repeated=(NEW_TPE, OLD_TPE) if NEW_TPE in self.spaces else None,
            k=self.k,
            target=self.target,
            rope=self.rope,
            unit="loss" if self.losses else "accuracy",
            minimized=self.losses,
            chance=self.chance,
            looks=DECLARED if self.looks == "after every pair" else (),
            seed=seed,
            interim=interim,
        )

    def size(self, name: str) -> tuple[int, int]:
        """Searches of an arm and trials of each; random search is one."""
        space = self.spaces[name]
        return (1, space.n or self.n) if space.learning is None else (REPEATS, self.length)
