"""The trials of a search as their figures take them, and what the captions have in common."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Floats
from tuner.rules import Setting

BEST = 5
"""So many of the best trials are marked."""


@dataclass(frozen=True)
class Searched:
    """A hyperparameter and the values that were searched.

    Args:
        low: Least value; 0 where there are choices.
        high: Greatest value; the last choice's place where there are choices.
        log: Whether it was drawn by its logarithm.
        choices: Its values, if it takes one of a few.
    """

    low: float
    high: float
    log: bool = False
    choices: tuple[Setting, ...] = ()

    def number(self, value: Setting) -> float:
        """The value as a number: a choice's place."""
        return float(self.choices.index(value)) if self.choices else float(value)

    def height(self, value: Setting) -> float:
        """Where the value lies between the bounds, from 0 to 1."""
        scale = math.log if self.log else float
        low, high = scale(self.low), scale(self.high)
        return 0.5 if low == high else (scale(self.number(value)) - low) / (high - low)


@dataclass(frozen=True)
class TriedTrial:
    """One trial.

    Args:
        params: What it tried.
        score: Its validation score, NaN if it has none.
        epochs: Of ``values``, ascending.
        values: Validation score after these epochs.
        pruned: Whether it was stopped early.
    """

    params: Mapping[str, Setting]
    score: float
    epochs: tuple[float, ...]
    values: tuple[float, ...]
    pruned: bool


@dataclass(frozen=True)
class Tried:
    """The trials of a search.

    Args:
        searched: Each hyperparameter that was searched.
        trials: The trials that are drawn, or as many of them as can be.
        n_ended: How many have ended, those among them that are not in ``trials`` too.
        sampler: What chose their settings.
        colour: Of the arm they belong to.
        protocol: Unit and sign of the scores, which are turned so that higher is better.
    """

    searched: Mapping[str, Searched]
    trials: Sequence[TriedTrial]
    n_ended: int
    sampler: str
    colour: str
    protocol: Protocol = field(default_factory=Protocol)

    @cached_property
    def scored(self) -> list[TriedTrial]:
        """Those that have a score and all parameters, the worst first."""
        scored = [
            trial
            for trial in self.trials
            if math.isfinite(trial.score) and self.searched.keys() <= trial.params.keys()
        ]
        return sorted(scored, key=lambda trial: trial.score)

    @cached_property
    def with_curves(self) -> list[TriedTrial]:
        """Those that reported more than one epoch, the worst first."""
        reporting = [trial for trial in self.trials if len(trial.values) > 1]
        return sorted(reporting, key=lambda trial: _or_lowest(trial.score))

    @property
    def scores(self) -> Floats:
        """Those of ``scored``, shape [n]."""
        return np.array([trial.score for trial in self.scored], dtype=np.float64)


def thinned(trials: Sequence[TriedTrial], most: int) -> list[TriedTrial]:
    """At most so many of the trials, which are in the order of their scores; the best stay."""
    if len(trials) <= most:
        return list(trials)
    places = np.linspace(0, len(trials) - BEST - 1, most - BEST).astype(int)
    return [trials[place] for place in places] + list(trials[-BEST:])


def drawn(tried: Tried, n_drawn: int, without: str) -> Iterator[str]:
    """A caption's sentences about what is drawn and what is not.

    Args:
        tried: The trials.
        n_drawn: How many the figure shows.
        without: What those lack that cannot be drawn, such as ``a result``.
    """
    lacking = len(tried.trials) - (
        len(tried.scored) if without == RESULT else len(tried.with_curves)
    )
    if n_drawn + lacking < tried.n_ended:
        yield (
            f"Drawn: {n_drawn:,} of the {tried.n_ended:,} trials that have ended, evenly among "
            f"all, and the best {BEST}."
        )
    if lacking:
        looked_at = "" if len(tried.trials) == tried.n_ended else " of those looked at"
        yield f"Left out: {lacking:,}{looked_at} without {without}."


RESULT, CURVE = "a result", "a curve: they failed, or ran for one epoch"


def chosen_by(tried: Tried) -> Iterator[str]:
    """A caption's sentence where the trials are no fair sample of the space."""
    if tried.sampler != "random":
        yield (
            f"The sampler {tried.sampler} chose where to try, so where it tried little nothing is "
            "said: only random search's trials say what the axes show."
        )


def pruned_ones(trials: Sequence[TriedTrial], mark: str) -> Iterator[str]:
    """A caption's sentence about those that were stopped early, if there are any."""
    if any(trial.pruned for trial in trials):
        yield f"{mark}: stopped early by the pruner, at what was reported last."


def _or_lowest(score: float) -> float:
    return score if math.isfinite(score) else -math.inf
