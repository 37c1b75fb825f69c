"""All random searches of a comparison against each other, where there are many."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuner.compare.arm import Arm
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.best_of_k import probability_best_of_k_beats
from tuner.compare.statistics.estimate import Floats
from tuner.compare.statistics.ranks.mean_ranks import (
    FEWEST_BLOCKS,
    MeanRanks,
    Pair,
    all_pairs,
    mean_ranks,
)

FEWEST_ARMS = 4
"""Of fewer the verdict and the contrasts speak: two spaces and what controls them."""


@dataclass(frozen=True)
class ManyArms:
    """Random searches ranked, and every two of them by themselves.

    Args:
        names: The arms, in the order given.
        fresh: Whether what is ranked are fresh test scores of the settings that the searches
            selected; else the best validation scores that selected them.
        ranks: Over blocks of one search of each; see ``ranks.mean_ranks``.
        pairs: Every two by itself; a win of best validation scores is that of the best of k among
            all trials of both, not only of their searches in order.
    """

    names: tuple[str, ...]
    fresh: bool
    ranks: MeanRanks
    pairs: tuple[Pair, ...]

    @property
    def told_apart(self) -> int:
        """Pairs that differ at 5% by Holm."""
        return sum(pair.p_holm < 0.05 for pair in self.pairs)


def many_arms(arms: Sequence[Arm], k: int, protocol: Protocol) -> ManyArms | None:
    """The random searches of a comparison ranked; ``None`` where they are too few or too short.

    Args:
        arms: The arms compared.
        k: Trials of one search.
        protocol: The declaration.
    """
    ranked = [arm for arm in arms if arm.random and protocol.searched_once(arm.name)]
    if len(ranked) < FEWEST_ARMS:
        return None
    afresh = [arm.selected.in_order for arm in ranked if arm.selected is not None]
    fresh = len(afresh) == len(ranked) and min(map(len, afresh)) >= FEWEST_BLOCKS
    found = afresh if fresh else [_best_of_searches(arm.scores, k) for arm in ranked]
    n = min(map(len, found))
    if n < FEWEST_BLOCKS:
        return None
    scores = np.stack([each[:n] for each in found], axis=1)
    pairs = all_pairs(scores)
    if not fresh:
        pairs = tuple(_with_all_trials(pair, ranked, k) for pair in pairs)
    return ManyArms(
        names=tuple(arm.name for arm in ranked),
        fresh=fresh,
        ranks=mean_ranks(scores, confidence=protocol.confidence),
        pairs=pairs,
    )


def _best_of_searches(scores: Floats, k: int) -> Floats:
    """The best of each k trials in their order, shape [n // k]."""
    searches = scores.size // k
    best: Floats = scores[: searches * k].reshape(searches, k).max(axis=1)
    return best


def _with_all_trials(pair: Pair, arms: Sequence[Arm], k: int) -> Pair:
    wins = probability_best_of_k_beats(arms[pair.first].scores, arms[pair.second].scores, k)
    return Pair(pair.first, pair.second, wins, pair.p, pair.p_holm)
