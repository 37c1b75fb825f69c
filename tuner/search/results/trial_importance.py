"""The importance of a study's hyperparameters, from its trials, or why they do not tell.

Optuna's own evaluators are not used. Its PED-ANOVA gives a categorical hyperparameter a sixth of
what the same one gets as an integer, and its fANOVA weighs a logarithmic range on the plain scale,
where nine tenths of 1e-5 .. 1e-1 are the last decade.
"""

from collections.abc import Sequence

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from tuner.compare.statistics.estimate import Floats
from tuner.compare.statistics.ranking import Importance, ranking
from tuner.errors import InvalidInput
from tuner.search.results.forest import Learned, learn
from tuner.wording import count

FEWEST = 60
"""Fewest trials that importances are computed from: the fewest that the intervals were held to
their coverage with."""
SURE = 3.0
"""Standard errors that a forest must predict better than the mean by."""
MOST = 500
"""Of longer studies as many trials are drawn, without replacement: the time grows."""


def importances(
    trials: Sequence[FrozenTrial],
    scores: Floats,
    *,
    sampler: str,
    seed: int = 0,
    confidence: float = 0.95,
) -> Importance:
    """How much each hyperparameter matters, with intervals that hold; or why nobody can say.

    A forest learns the scores' ranks from the hyperparameters on the scale they are drawn on: a
    logarithmic one is its logarithm, a choice of two is 0 or 1, each of several choices has a
    column. A hyperparameter's importance is how much worse the forest predicts the trials that
    its trees have not seen once the hyperparameter is another trial's; interactions count for all
    that take part in them. Nothing is said unless the forest predicts such trials better than
    their mean does, by ``SURE`` standard errors.

    Only trials drawn at random tell: a sampler that learns keeps to what was good, so that what
    decides is hardly varied any more and seems to matter little.

    The intervals cover the true shares, and the true number that holds 90%, in at least 93% of
    simulated searches of 60 and of 200 trials with 3 to 7 hyperparameters: one decisive switch,
    equal and unequal ones, an interaction, log ranges, four choices, a plateau of failures.

    Fixed hyperparameters, and those that some trials have over another range or not at all, have
    no importance. Trials without any hyperparameter (failed before the first was drawn) cannot be
    placed and are left out, which a note says.

    Args:
        trials: Finished trials, failed ones among them.
        scores: Score of each, higher is better, shape [n]: diverged and failed trials have the
            score of chance (``tuner.search.results.scores.score``), never none.
        sampler: What drew the trials.
        seed: Of the forests and the resamples.
        confidence: Of every interval, in (0, 1).

    Raises:
        InvalidInput: If there is not one finite score per trial, or the confidence is outside
            (0, 1).

    Source: Breiman (2001), doi:10.1023/A:1010933404324 (permutation importance, out of bag);
    Geurts, Ernst & Wehenkel (2006), doi:10.1007/s10994-006-6226-1 (randomized trees).
    """
    values = np.asarray(scores, dtype=np.float64)
    if values.shape != (len(trials),) or not np.isfinite(values).all():
        raise InvalidInput(
            f"importances.scores: needs one finite score for each of {len(trials)} trials, "
            f"got shape {list(values.shape)} with {int(np.isfinite(values).sum())} finite; "
            "score a failed trial as chance"
        )
    if not 0 < confidence < 1:
        raise InvalidInput(f"importances.confidence: must be in (0, 1), got {confidence}")
    placed = np.array([i for i, trial in enumerate(trials) if trial.distributions], dtype=np.int64)
    notes = []
    if placed.size < len(trials):
        notes.append(
            count(
                len(trials) - placed.size,
                f"of {len(trials):,} trials has no hyperparameters and is left out.",
                f"of {len(trials):,} trials have no hyperparameters and are left out.",
            )
        )
    space, left_out = _space([trials[i] for i in placed])
    reason = _not_random(sampler) or _unfit(values[placed], len(space))
    if reason is not None:
        return Importance(None, reason, len(trials), left_out=left_out, notes=tuple(notes))
    rng = np.random.default_rng(seed)
    used = placed
    if placed.size > MOST:
        used = np.sort(rng.choice(placed, MOST, replace=False))
        notes.append(
            f"Computed from {MOST:,} of {placed.size:,} trials, drawn at random; the intervals "
            f"are those of {MOST:,} trials."
        )
    chosen = [trials[i] for i in used]
    columns = {name: _columns(name, range_, chosen) for name, range_ in space.items()}
    if values[used].min() == values[used].max():
        return Importance(None, _equal(values[used]), len(trials), left_out=left_out)
    learned = learn(columns, values[used], rng)
    ranked = None
    if learned.explained > SURE * learned.error:
        ranked = ranking(
            list(columns),
            learned.contributions,
            explained=learned.explained,
            unlearned=learned.unlearned,
            confidence=confidence,
            seed=int(rng.integers(2**31)),
        )
    return Importance(
        ranked,
        _silence(learned) if ranked is None else None,
        len(trials),
        n_used=used.size,
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


def _not_random(sampler: str) -> str | None:
    """Why trials of this sampler do not tell, if they do not."""
    if sampler == "random":
        return None
    if sampler == "unknown":
        return "nobody recorded the sampler, and only trials drawn at random tell"
    return (
        f"the {sampler} sampler chose its trials by what it had seen: what decides is hardly "
        "varied any more, so that it would seem to matter little"
    )


def _unfit(scores: Floats, parameters: int) -> str | None:
    """Why these trials have no importances, if they have none."""
    if scores.size < FEWEST:
        return f"needs at least {FEWEST} finished trials, got {scores.size}"
    if scores.min() == scores.max():
        return _equal(scores)
    if parameters == 0:
        return "no hyperparameter varies over one range in all trials"
    return None


def _equal(scores: Floats) -> str:
    return f"all {scores.size} scores are equal ({scores[0]:g})"


def _silence(learned: Learned) -> str:
    return (
        "these trials do not tell: a forest that learns from the others predicts a trial's rank "
        "not clearly better than their mean does "
        f"(out of bag it explains {100 * learned.explained:.0f}% of the variance, "
        f"{SURE:g} standard errors are {100 * SURE * learned.error:.0f})"
    )


def _columns(name: str, range_: BaseDistribution, trials: Sequence[FrozenTrial]) -> Floats:
    """A hyperparameter's values from 0 to 1 on the scale it is drawn on, shape [n, c].

    Of several choices each has a column, since they have no order.
    """
    if isinstance(range_, CategoricalDistribution):
        chosen = np.array([range_.to_internal_repr(trial.params[name]) for trial in trials])
        if len(range_.choices) == 2:
            return np.asarray(chosen[:, None], dtype=np.float64)
        return np.asarray(chosen[:, None] == np.arange(len(range_.choices)), dtype=np.float64)
    assert isinstance(range_, FloatDistribution | IntDistribution)  # Optuna has no others
    ends = np.array([range_.low, range_.high], dtype=np.float64)
    values = np.array([trial.params[name] for trial in trials], dtype=np.float64)
    low, high = np.log(ends) if range_.log else ends / 2  # a difference may overflow
    values = np.log(values) if range_.log else values / 2
    placed = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(placed[:, None], dtype=np.float64)
