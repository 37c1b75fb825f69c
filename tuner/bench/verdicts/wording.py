"""Every word of a verdict that claims something, found in the text and held against the truth.

What a reader sees is read: the heading, the sentences and the notes, whatever made them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tuner.bench.verdicts.situation import NARROW, NEW, NEW_TPE, OLD, OLD_TPE, Situation
from tuner.bench.verdicts.truths import Incumbents, Truths
from tuner.compare import Comparison


@dataclass(frozen=True)
class Known:
    """What a claim is held against.

    Args:
        situation: The situation.
        truths: What is true in it.
        incumbents: What is true of the incumbents that this search has found.
    """

    situation: Situation
    truths: Truths
    incumbents: Incumbents

    @property
    def rope(self) -> float:
        """Half-width of the region of practical equivalence, and what rounding adds."""
        return self.situation.rope + 1e-9

    def best_of_k(self, *weights: tuple[str, float]) -> float:
        """A sum of arms' best of k on validation."""
        k = self.situation.k
        return sum(weight * self.truths.best_of(name, k) for name, weight in weights)


Right = Callable[[re.Match[str], Known], bool]


def _ahead(said: re.Match[str], known: Known) -> bool:
    """The median of fresh runs is higher in the winner."""
    return known.truths.afresh(said["winner"], _other(said["winner"])).sign > 0


def _scores_higher(said: re.Match[str], known: Known) -> bool:
    """On validation the winner's best of k, or the end of its searches, is higher."""
    winner, other = said["winner"], _other(said["winner"])
    if known.situation.spaces[winner].learning is not None:
        return known.truths.ends(winner, other).sign > 0
    return known.best_of_k((winner, 1), (other, -1)) > 1e-9


def _equivalent(_said: re.Match[str], known: Known) -> bool:
    return _same(known, NEW, OLD) and not known.situation.nothing_learned


def _equivalent_too(_said: re.Match[str], known: Known) -> bool:
    return _same(known, NEW, NARROW)


def _fragile(said: re.Match[str], known: Known) -> bool:
    """Less than half is left; or, of an equivalence, new and control are not equivalent."""
    if said["winner"] is None:
        return not _same(known, NEW, NARROW)
    return known.truths.left.sign == -known.truths.afresh(NEW, OLD).sign != 0


def _holds_in_narrow(_said: re.Match[str], known: Known) -> bool:
    """More than half is left, of whatever the verdict is about."""
    if not known.situation.afresh:
        left = known.best_of_k((NEW, 0.5), (OLD, 0.5), (NARROW, -1))
        return left * known.best_of_k((NEW, 1), (OLD, -1)) > 0
    return known.truths.left.sign == known.truths.afresh(NEW, OLD).sign != 0


def _fewer(said: re.Match[str], known: Known) -> bool:
    return known.truths.times_fewer(said["winner"], said["loser"]) > 1


def _similar(_said: re.Match[str], known: Known) -> bool:
    return abs(known.incumbents.mean_difference(NEW, OLD).value) <= known.rope


def _typical(_said: re.Match[str], known: Known) -> bool:
    median = known.incumbents.median
    return abs(median[NEW] - median[OLD]) <= known.rope


def _incumbent_ahead(said: re.Match[str], known: Known) -> bool:
    winner = said["winner"]
    return known.incumbents.mean_difference(winner, _other(winner)).sign > 0


def _repeated_apart(said: re.Match[str], known: Known) -> bool:
    sign = known.truths.afresh(NEW_TPE, OLD_TPE).sign
    return sign == (1 if said["sign"] == "+" else -1)


def _repeated_same(_said: re.Match[str], known: Known) -> bool:
    return _same(known, NEW_TPE, OLD_TPE)


def _check_fails(_said: re.Match[str], known: Known) -> bool:
    return known.truths.afresh(NEW, "exact").sign != 0


def _lucky(said: re.Match[str], known: Known) -> bool:
    target = known.situation.target
    return target is not None and known.incumbents.median[said["winner"]] < target


@dataclass(frozen=True)
class Word:
    """A word that claims something.

    Args:
        pattern: How it reads in the heading, a sentence or a note.
        right: Whether it is so.
        apart: Whether it claims a difference.
    """

    pattern: re.Pattern[str]
    right: Right
    apart: bool = True


def _word(pattern: str, right: Right, *, apart: bool = True) -> Word:
    return Word(re.compile(pattern), right, apart)


WORDS: Mapping[str, Word] = MappingProxyType(
    {
        "supported": _word(r"^[\w, ]+: (?P<winner>\w+) ahead$", _ahead),
        "scores higher": _word(
            r"^[\w, ]+: (?P<winner>\w+) scores (higher|lower)$", _scores_higher
        ),
        "equivalent": _word(r"^(Interim, e|E)quivalent$", _equivalent, apart=False),
        "equivalent too": _word(r"; equivalent too\.", _equivalent_too, apart=False),
        "fragile": _word(r"^(Interim, f|F)ragile(: (?P<winner>\w+) ahead)?$", _fragile),
        "holds in narrow ranges": _word(
            r"the result holds in narrow ranges too", _holds_in_narrow, apart=False
        ),
        "times fewer": _word(
            r"on validation, (?P<winner>\w+) needs .* times fewer random trials than "
            r"(?P<loser>\w+),",
            _fewer,
        ),
        "is ahead": _word(r"(?P<winner>\w+) is ahead \(Welch", _incumbent_ahead),
        "similar": _word(r"similar in the mean too", _similar, apart=False),
        "typical seeds": _word(r"typical seeds lie within", _typical, apart=False),
        "repeated, apart": _word(
            rf"against {OLD_TPE}: (?P<sign>[+-]).*the interval excludes zero", _repeated_apart
        ),
        "repeated, same": _word(
            rf"against {OLD_TPE}: .*; the same within", _repeated_same, apart=False
        ),
        "check fails": _word(r"^Check: .* yet they differ", _check_fails),
        "lucky": _word(r"^(?P<winner>\w+): .*are lucky\.$", _lucky, apart=False),
    }
)
"""Name -> word."""


def said(comparison: Comparison, known: Known) -> Iterator[tuple[str, bool]]:
    """Each word said, and whether it is right."""
    verdict = comparison.verdict
    for text in (verdict.heading, *verdict.sentences, *comparison.notes):
        for name, word in WORDS.items():
            if found := word.pattern.search(text):
                yield name, word.right(found, known)


def _other(name: str) -> str:
    return OLD if name == NEW else NEW


def _same(known: Known, first: str, second: str) -> bool:
    return bool(np.abs(known.truths.afresh(first, second).value) <= known.rope)
