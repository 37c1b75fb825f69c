"""The importance of a study's hyperparameters by Optuna's evaluators, with bootstrap intervals.

Both evaluators get the hyperparameters on the scale they are drawn on: a logarithmic one as its
logarithm. Optuna's fANOVA would otherwise weigh its forest by a uniform density on the plain
scale, where nine tenths of a range 1e-5 .. 1e-1 are its last decade.
"""

import math
from collections.abc import Container, Sequence
from copy import copy

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.importance import (
    BaseImportanceEvaluator,
    FanovaImportanceEvaluator,
    PedAnovaImportanceEvaluator,
)
from optuna.storages import InMemoryStorage
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from tuner.compare.statistics.estimate import Floats
from tuner.compare.statistics.ranking import Importance, Ranking, ranking
from tuner.errors import InvalidInput

PED_ANOVA, FANOVA = "PED-ANOVA", "fANOVA"
FEWEST = 20
"""Fewest trials that importances are computed from."""
MOST = 500
"""Of longer studies as many trials are drawn, without replacement: fANOVA's time grows."""
RESAMPLES = 50
TOP = 0.1
"""PED-ANOVA asks what matters for being among this share of the trials."""
TREES, TREES_RESAMPLED, DEPTH = 64, 8, 6


def importances(
    trials: Sequence[FrozenTrial],
    scores: Floats,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Importance:
    """How much each hyperparameter matters, by PED-ANOVA and by fANOVA, with intervals.

    PED-ANOVA says what matters for being among the best tenth of the trials (the evaluator's own
    default), fANOVA what explains the scores of all of them. The intervals are percentiles over a
    bootstrap of trials: each resample is a study of its own, in memory, evaluated anew. fANOVA's
    forest has 64 trees for the estimate, 8 in each resample, both of depth 6: deeper trees move
    the shares by about one point and take ten times as long at 1,000 trials. The few trees'
    own noise is part of the interval, which is a little wider for it. 200 trials with 7
    hyperparameters take 3 seconds on one core (AMD EPYC).

    A resample repeats trials, so hyperparameters that matter little seem to matter more in it:
    trust an interval's upper end as a bound rather than as a centre.

    Fixed hyperparameters, and those that some trials have over another range or not at all, have
    no importance. Trials without any hyperparameter (failed before the first was drawn) cannot be
    placed and are left out, which a note says.

    Args:
        trials: Finished trials, failed ones among them.
        scores: Score of each, higher is better, shape [n]: diverged and failed trials have the
            score of chance (``tuner.search.results.scores.score``), never none.
        seed: Of the resamples and of the forests.
        resamples: How many; 0 leaves the intervals out.
        confidence: Of every interval, in (0, 1).

    Raises:
        InvalidInput: If there is not one finite score per trial, the confidence is
            outside (0, 1), or resamples are below 0.

    Source: Watanabe, Bansal & Hutter (2023), arXiv:2304.10255 (PED-ANOVA); Hutter, Hoos &
    Leyton-Brown (2014), PMLR 32 (fANOVA).
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # every resample is a study
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(trials),) or not np.isfinite(values).all():
        raise InvalidInput(
            f"importances.scores: needs one finite score for each of {len(trials)} trials, "
            f"got shape {list(values.shape)} with {int(np.isfinite(values).sum())} finite; "
            "score a failed trial as chance"
        )
    if not 0 < confidence < 1:
        raise InvalidInput(f"importances.confidence: must be in (0, 1), got {confidence}")
    if resamples < 0:
        raise InvalidInput(f"importances.resamples: must be at least 0, got {resamples}")
    placed = np.array([i for i, trial in enumerate(trials) if trial.distributions], dtype=np.int64)
    notes = []
    if placed.size < len(trials):
        notes.append(
            f"{len(trials) - placed.size} of {len(trials)} trials have no hyperparameters "
            "and are left out."
        )
    space, left_out = _space([trials[i] for i in placed])
    reason = _unfit(values[placed], len(space))
    if reason is not None:
        return Importance({}, reason, len(trials), left_out=left_out, notes=tuple(notes))
    rng = np.random.default_rng(seed)
    used = placed
    if placed.size > MOST:
        used = np.sort(rng.choice(placed, MOST, replace=False))
        notes.append(
            f"Computed from {MOST:,} of {placed.size:,} trials, drawn at random; the intervals "
            f"are those of {MOST:,} trials."
        )
    rescaled = _rescaled([trials[i] for i in used], space, values[used])
    rankings = _rankings(rescaled, list(space), rng, resamples=resamples, confidence=confidence)
    silent = [method for method in (PED_ANOVA, FANOVA) if method not in rankings]
    return Importance(
        rankings,
        f"{' and '.join(silent)}: {_silence(silent)}" if silent else None,
        len(trials),
        n_used=used.size,
        resamples=resamples,
        left_out=left_out,
        notes=tuple(notes),
    )


def _space(
    trials: Sequence[FrozenTrial],
) -> tuple[dict[str, BaseDistribution], dict[str, str]]:
    """The hyperparameters to assess with their ranges; and the others, with the reason."""
    seen: dict[str, list[BaseDistribution]] = {}
    counts: dict[str, int] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            ranges = seen.setdefault(name, [])
            if distribution not in ranges:
                ranges.append(distribution)
            counts[name] = counts.get(name, 0) + 1
    space: dict[str, BaseDistribution] = {}
    left_out: dict[str, str] = {}
    for name in sorted(seen):
        if counts[name] < len(trials):
            left_out[name] = f"only {counts[name]} of {len(trials)} trials have it"
        elif len(seen[name]) > 1:
            left_out[name] = f"its range differs between trials ({len(seen[name])} ranges)"
        elif seen[name][0].single() or len({trial.params[name] for trial in trials}) == 1:
            left_out[name] = "it is fixed: every trial has the same value"
        else:
            space[name] = seen[name][0]
    return space, left_out


def _unfit(scores: Floats, parameters: int) -> str | None:
    """Why these trials have no importances, if they have none."""
    if scores.size < FEWEST:
        return f"needs at least {FEWEST} finished trials, got {scores.size}"
    if np.ptp(scores) == 0:
        return f"all {scores.size} scores are equal ({scores[0]:g})"
    if parameters == 0:
        return "no hyperparameter varies over one range in all trials"
    return None


def _rescaled(
    trials: Sequence[FrozenTrial], space: dict[str, BaseDistribution], scores: Floats
) -> list[FrozenTrial]:
    """The trials with nothing but score and hyperparameters, logarithms where drawn so.

    They share their ranges, which Optuna compares with each other again and again.
    """
    logarithms = {
        name: FloatDistribution(math.log10(range_.low), math.log10(range_.high))
        for name, range_ in space.items()
        if isinstance(range_, FloatDistribution | IntDistribution) and range_.log
    }
    rescaled = []
    for trial, score in zip(trials, scores.tolist(), strict=True):
        params = {name: trial.params[name] for name in space}
        for name, range_ in logarithms.items():
            params[name] = min(max(math.log10(params[name]), range_.low), range_.high)
        ranges = {**space, **logarithms}
        rescaled.append(create_trial(params=params, distributions=ranges, value=score))
    return rescaled


def _rankings(
    trials: Sequence[FrozenTrial],
    names: list[str],
    rng: np.random.Generator,
    *,
    resamples: int,
    confidence: float,
) -> dict[str, Ranking]:
    """Each method's ranking; a method that says nothing about these trials is missing."""
    estimates: dict[str, Floats] = _evaluated(trials, names, _seed(rng), TREES)
    draws: dict[str, list[Floats]] = {method: [] for method in estimates}
    for _ in range(resamples):
        chosen = [trials[i] for i in rng.integers(len(trials), size=len(trials))]
        for method, values in _evaluated(chosen, names, _seed(rng), TREES_RESAMPLED).items():
            draws[method].append(values)
    rankings = {
        method: ranking(
            names,
            values,
            draws=np.reshape(draws[method], (resamples, len(names))),
            confidence=confidence,
        )
        for method, values in estimates.items()
    }
    return {method: ranked for method, ranked in rankings.items() if ranked is not None}


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def _evaluated(
    trials: Sequence[FrozenTrial], names: list[str], seed: int, trees: int
) -> dict[str, Floats]:
    """Method -> importances, shape [p]; zeros where the scores leave the method nothing to say."""
    study = _Drawn(trials)
    scores = np.array([trial.value for trial in trials], dtype=np.float64)
    return {
        PED_ANOVA: _of(study, PedAnovaImportanceEvaluator(target_quantile=TOP), names)
        if _has_top(scores)
        else np.zeros(len(names)),
        FANOVA: _of(
            study, FanovaImportanceEvaluator(n_trees=trees, max_depth=DEPTH, seed=seed), names
        ),
    }


class _Drawn(Study):
    """A study of these trials, as they stand: a storage would copy each of them, every time."""

    def __init__(self, trials: Sequence[FrozenTrial]) -> None:
        storage = InMemoryStorage()
        identity = storage.create_new_study([StudyDirection.MAXIMIZE])
        super().__init__(storage.get_study_name_from_id(identity), storage)
        self._drawn = [copy(trial) for trial in trials]  # one may be drawn several times
        for number, trial in enumerate(self._drawn):
            trial.number = trial._trial_id = number

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials, all of them finished."""
        del deepcopy
        return [trial for trial in self._drawn if states is None or trial.state in states]


def _has_top(scores: Floats) -> bool:
    """Whether the best tenth, with all that tie with it, leaves any trial out."""
    place = math.ceil(TOP * scores.size) - 1
    return bool(scores.min() < np.sort(scores)[::-1][place])


def _of(study: Study, evaluator: BaseImportanceEvaluator, names: list[str]) -> Floats:
    try:
        values = evaluator.evaluate(study, params=names)
    except RuntimeError as problem:  # no tree of the forest drew two different scores
        if "zero total variance" not in str(problem):
            raise
        return np.zeros(len(names))
    return np.array([values[name] for name in names], dtype=np.float64)


def _silence(methods: Sequence[str]) -> str:
    if methods == [PED_ANOVA]:
        return "the best tenth of the trials ties with the worst"
    return "no hyperparameter explains any difference between the scores"
