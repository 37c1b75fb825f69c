"""Whether a study's trials can be what it is said to be: random search."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tuner.compare.statistics.estimate import Floats
from tuner.search.foreign.record import StudyRecord

LEVEL = 1e-3
"""Of both rank correlations of a study together, and of the count of settings drawn again: each
doubts random search at most once in a thousand studies."""

UNLIKELY = 1e-6
"""Values less probable than this under a uniform distribution are spoken of."""

_FEWEST, _MOST = 20, 5000
"""Of fewer trials or values nothing is asked; of more trials that many, evenly spaced."""

_TRIAL_MARKS = {
    "grid_id": "grid",
    "tpe:": "tpe",
    "cma:": "cmaes",
    "sepcma:": "cmaes",
    "cmawm:": "cmaes",
    "gp:": "gp",
    "nsga2:": "nsgaii",
    "NSGAIISampler:": "nsgaii",
    "NSGAIIISampler:": "nsgaiii",
    "BaseGASampler:": "genetic",
}
"""How attributes begin that samplers of Optuna's leave in the trials they draw."""

_STUDY_MARKS = {"qmc:": "qmc"}


def marked_sampler(record: StudyRecord) -> str | None:
    """The sampler whose marks the trials bear; ``None`` where there are none.

    Random search leaves none; TPE does only where it draws hyperparameters together.
    """
    for trial in record.trials:
        for attribute in trial.system_attrs:
            for begin, sampler in _TRIAL_MARKS.items():
                if attribute.startswith(begin):
                    return sampler
    for attribute in record.system_attrs:
        for begin, sampler in _STUDY_MARKS.items():
            if attribute.startswith(begin):
                return sampler
    return None


def doubt(trials: Sequence[FrozenTrial], scores: Floats, *, minimized: bool = False) -> str | None:
    """Why trials cannot be independent draws, whatever they were drawn from, if it shows.

    The order of such draws says nothing: neither do scores have a trend over it, nor do settings
    come closer to the best one (both by Spearman's rank correlation, which is right about a
    random search 999 times in 1,000 in all), and of few settings it draws some again.

    Args:
        trials: Draws, by number.
        scores: Score of each, higher is better, shape [n].
        minimized: Whether they are the study's values with the opposite sign.
    """
    if scores.size < _FEWEST or scores.min() == scores.max():
        return None
    numbers = np.arange(scores.size)
    if words := _enumerated(trials):
        return words
    trend = scipy.stats.spearmanr(numbers, scores)
    if trend.pvalue < LEVEL / 2:
        rho = -trend.statistic if minimized else trend.statistic
        return (
            f"the scores {'rise' if rho > 0 else 'fall'} with the trial number (Spearman's rho "
            f"{rho:+.2f} over {scores.size} trials, p = {trend.pvalue:.0e}), which those of "
            "random search do not"
        )
    distances = _distances(trials, int(np.argmax(scores)))
    known = np.isfinite(distances)
    if known.sum() < _FEWEST or np.ptp(distances[known]) == 0:
        return None
    closer = scipy.stats.spearmanr(numbers[known], distances[known], alternative="less")
    if closer.pvalue < LEVEL / 2:
        return (
            "the settings come closer to the best one with the trial number (Spearman's rho "
            f"{closer.statistic:+.2f} over {scores.size} trials, p = {closer.pvalue:.0e}), which "
            "those of random search do not"
        )
    return None


def _enumerated(trials: Sequence[FrozenTrial]) -> str | None:
    """How a search without replacement shows: of few settings none was drawn twice."""
    settings = {repr(sorted(trial.params.items())) for trial in trials}
    kinds = {name: kind for trial in trials for name, kind in trial.distributions.items()}
    sizes = [_size(kind) for kind in kinds.values()]
    if len(settings) < len(trials) or None in sizes or not sizes:
        return None
    possible = math.prod(size for size in sizes if size is not None)
    if possible < len(trials):
        return None  # some have other hyperparameters than others
    chance = math.exp(sum(math.log1p(-number / possible) for number in range(len(trials))))
    if chance >= LEVEL:
        return None
    return (
        f"none of {possible:,} possible settings was drawn twice in {len(trials)} trials "
        f"(p = {chance:.0e}), as in a grid or a brute-force search"
    )


def _size(kind: BaseDistribution) -> int | None:
    """How many values it has; None if they are not counted."""
    if isinstance(kind, CategoricalDistribution):
        return len(kind.choices)
    if isinstance(kind, IntDistribution):
        return (kind.high - kind.low) // kind.step + 1
    if isinstance(kind, FloatDistribution) and kind.step is not None:
        return round((kind.high - kind.low) / kind.step) + 1
    return 1 if kind.single() else None


def _distances(trials: Sequence[FrozenTrial], best: int) -> Floats:
    """How far each trial's setting is from the best one's, from 0 to 1, shape [n].

    The mean over the hyperparameters that both have: of numbers the difference of the ranks, of
    choices whether they differ. NaN of the best trial itself, and where they share none.
    """
    apart, shared = np.zeros(len(trials)), np.zeros(len(trials))
    for name, kind in trials[best].distributions.items():
        has = np.array([name in trial.params for trial in trials])
        values = [trial.params[name] for trial in trials if name in trial.params]
        ours = trials[best].params[name]
        if isinstance(kind, CategoricalDistribution):
            differ = np.array([value != ours for value in values], dtype=np.float64)
        else:
            ranks = scipy.stats.rankdata(np.array(values, dtype=np.float64)) / len(values)
            differ = np.abs(ranks - ranks[has[:best].sum()])
        apart[has] += differ
        shared[has] += 1
    shared[best] = 0
    with np.errstate(invalid="ignore"):
        return np.where(shared > 0, apart / np.maximum(shared, 1), np.nan)


def uneven(trials: Sequence[FrozenTrial]) -> str | None:
    """Which hyperparameter's values are not uniform over their range, if one's are not.

    Optuna's random search draws each uniformly on its scale (Kolmogorov and Smirnov's test); draws
    from another distribution may be independent all the same.

    Args:
        trials: Draws whose distributions are those that they were drawn from.
    """
    rng = np.random.default_rng(0)
    places: dict[str, list[float]] = {}
    for trial in trials[:: 1 + len(trials) // _MOST]:
        for name, kind in trial.distributions.items():
            if not kind.single():
                places.setdefault(name, []).append(_place(kind, trial.params[name], rng))
    tested = [
        (float(scipy.stats.kstest(values, "uniform").pvalue), name, len(values))
        for name, values in places.items()
        if len(values) >= _FEWEST
    ]
    p_value, name, count = min(tested, default=(1.0, "", 0))
    if p_value >= UNLIKELY / max(len(tested), 1):
        return None
    return (
        f"the {count} values of {name} are not spread over its range as random search spreads "
        f"them (Kolmogorov and Smirnov's test, p = {p_value:.0e})"
    )


def _place(kind: BaseDistribution, value: Any, rng: np.random.Generator) -> float:
    """The share of the range below a value, at random within its step: uniform if it was."""
    jitter = float(rng.random())
    if isinstance(kind, CategoricalDistribution):
        return (kind.to_internal_repr(value) + jitter) / len(kind.choices)
    if isinstance(kind, IntDistribution) and not kind.log:
        cells = (kind.high - kind.low) // kind.step + 1  # whole numbers of any size
        return float(((value - kind.low) // kind.step + jitter) / cells)
    assert isinstance(kind, FloatDistribution | IntDistribution)  # Optuna has no others
    low, high, at = float(kind.low), float(kind.high), float(value)
    if isinstance(kind, IntDistribution):
        ends = np.log([low - 0.5, high + 0.5])
        below, above = np.log([at - 0.5, at + 0.5])
        place = below + jitter * (above - below)
    elif kind.log:
        ends, place = np.log([low, high]), np.log(at)
    elif kind.step is None:
        ends, place = np.array([low, high]) / 2, at / 2  # a difference may overflow
    else:
        ends, place = np.array([low, high + kind.step]), at + jitter * kind.step
    return float((place - ends[0]) / (ends[1] - ends[0]))
