"""How often intervals cover and words are wrong, over the simulated comparisons of a situation."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal
from zlib import crc32

import numpy as np
import scipy

from tuner.bench.verdicts.intervals import holds, intervals
from tuner.bench.verdicts.methods import METHODS
from tuner.bench.verdicts.simulated import looks, simulate
from tuner.bench.verdicts.situation import NEW, OLD, Situation
from tuner.bench.verdicts.truths import Truths, incumbents
from tuner.bench.verdicts.wording import WORDS, Known, said
from tuner.compare import Arm, Comparison, Protocol, compare

LEAST_COVERAGE, MOST_WRONG = 0.93, 0.05
"""Bounds of a stated 95%: what an interval must cover, and how often a word may be wrong."""
CHANCE = 0.001
"""A figure is out of bounds where one at the bound would show as much more rarely than this."""
ANY = "any claim of a difference"
EVERY_LOOK = "selected, every look"

Compare = Callable[[Sequence[Arm], Protocol], Comparison]


@dataclass(frozen=True)
class Figure:
    """One measured share.

    Args:
        what: Whether an interval covers, or a word is wrong.
        name: Which interval or word.
        who: Of which arm or arms; empty for a word.
        count: How often.
        of: Comparisons that state the interval; all of them for a word.
        excused: Why it may be out of bounds; empty if it may not.
    """

    what: Literal["covers", "wrong"]
    name: str
    who: str
    count: int
    of: int
    excused: str = ""

    @property
    def share(self) -> float:
        """How often it covers, or is wrong."""
        return self.count / self.of

    @property
    def beyond(self) -> bool:
        """Whether the share measured is beyond its bound."""
        return self.share < LEAST_COVERAGE if self.what == "covers" else self.share > MOST_WRONG

    @property
    def out(self) -> bool:
        """Whether it is so beyond what chance explains."""
        if self.what == "covers":
            return bool(scipy.stats.binom.cdf(self.count, self.of, LEAST_COVERAGE) < CHANCE)
        return bool(scipy.stats.binom.sf(self.count - 1, self.of, MOST_WRONG) < CHANCE)


@dataclass
class Tally:
    """Counts over comparisons; tallies of one situation add up.

    Args:
        comparisons: How many were simulated.
        stated: (Interval, arms) -> how often it is stated.
        covered: Likewise, how often it holds the truth.
        said: Word -> comparisons that say it.
        wrong: Word -> comparisons that say it wrongly.
        told_apart: Comparisons whose verdict names the arm that is better.
        method_covered: Method -> how often its interval of the paired fresh runs covers.
        method_width: Method -> sum of the widths.
        method_stated: Method -> how often it is stated.
    """

    comparisons: int = 0
    stated: Counter[tuple[str, str]] = field(default_factory=Counter)
    covered: Counter[tuple[str, str]] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    told_apart: int = 0
    method_covered: Counter[str] = field(default_factory=Counter)
    method_width: dict[str, float] = field(default_factory=dict)
    method_stated: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add another's counts."""
        self.comparisons += other.comparisons
        self.told_apart += other.told_apart
        self.stated += other.stated
        self.covered += other.covered
        self.said += other.said
        self.wrong += other.wrong
        self.method_covered += other.method_covered
        self.method_stated += other.method_stated
        for name, width in other.method_width.items():
            self.method_width[name] = self.method_width.get(name, 0.0) + width

    def figures(self, situation: Situation) -> Iterator[Figure]:
        """Every share measured."""
        for (name, who), of in self.stated.items():
            covered, reason = self.covered[name, who], situation.excused.get(name, "")
            yield Figure("covers", name, who, covered, of, reason)
        for word in (*WORDS, ANY):
            if self.said[word] or word in ("supported", ANY):
                reason = situation.excused.get(word, "")
                yield Figure("wrong", word, "", self.wrong[word], self.comparisons, reason)


def tally(situation: Situation, seeds: Iterable[int], *, judge: Compare = compare) -> Tally:
    """Simulate the protocol once for each seed, and count.

    Args:
        situation: The situation.
        seeds: Of the comparisons.
        judge: What compares; ``tuner.compare.compare`` but for a test of this bench.
    """
    truths, counts = Truths(situation), Tally()
    for seed in seeds:
        _add(counts, situation, truths, seed, judge)
    return counts


def _add(counts: Tally, situation: Situation, truths: Truths, seed: int, judge: Compare) -> None:
    rng = np.random.default_rng([crc32(situation.name.encode()), seed])
    simulated = simulate(situation, rng)
    known = Known(situation, truths, incumbents(situation, simulated.incumbents, rng))
    words: set[str] = set()
    wrong: set[str] = set()
    every_look: list[bool] = []
    for arms, missing in looks(situation, simulated.arms):
        comparison = judge(arms, situation.protocol(seed, missing))
        for word, right in said(comparison, known):
            words |= {word}
            wrong |= set() if right else {word} | ({ANY} if WORDS[word].apart else set())
        covers = holds(comparison.contrasts[0].difference, truths.afresh(NEW, OLD).value)
        every_look += [] if covers is None else [covers]
        if comparison.verdict.kind == "supported":
            break
    counts.comparisons += 1
    counts.said.update(words)
    counts.wrong.update(wrong)
    counts.told_apart += "supported" in words - wrong
    if situation.looks == "after every pair":
        _count(counts, EVERY_LOOK, f"{NEW} - {OLD}", all(every_look))
    if not missing:
        for name, who, covers in intervals(comparison, situation, truths, known.incumbents):
            _count(counts, name, who, covers)
    _count_methods(counts, simulated.arms, truths)


def _count(counts: Tally, name: str, who: str, covers: bool) -> None:
    counts.stated[name, who] += 1
    counts.covered[name, who] += covers


def _count_methods(counts: Tally, arms: Sequence[Arm], truths: Truths) -> None:
    new, old = (next(arm for arm in arms if arm.name == name) for name in (NEW, OLD))
    if new.selected is None or old.selected is None:
        return
    for name, method in METHODS.items():
        estimate = method(new.selected.test, old.selected.test)
        covers = holds(estimate, truths.afresh(NEW, OLD).value)
        if covers is not None and estimate.interval is not None:
            counts.method_stated[name] += 1
            counts.method_covered[name] += covers
            width = estimate.interval[1] - estimate.interval[0]
            counts.method_width[name] = counts.method_width.get(name, 0.0) + width
