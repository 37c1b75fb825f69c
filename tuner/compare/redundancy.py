"""How much of a search repeats itself, misses every useful filter, or breaks the equivalence.

Trials are looked at as the gradient filters they are, (alpha, gamma) and how alpha decays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.spatial import cKDTree

from tuner.compare.estimators import Estimate
from tuner.compare.filters import Filters, LawRatio, check_scores, law_ratio
from tuner.compare.protocol import Floats, Ints
from tuner.compare.targets import good_region_share
from tuner.errors import InvalidInput

SAME = 1e-9
"""Relative difference up to which two filters count as exactly the same."""
STABLE, NOT_INERT = "stable", "alpha_not_inert"
FEWEST = 10
MOST_PREDICTED = 4000
RESAMPLES = 1000
_BLOCK = 2**19
_BORDER = 1e-9

Cell = tuple[str, int, int]
"""A class of filters: alpha's decay, and the cells of log10 alpha and log10 gamma."""


@dataclass(frozen=True)
class Classes:
    """Classes of equivalent filters: how many, and the share of trials that repeat one."""

    distinct: int
    repeats: Estimate


@dataclass(frozen=True)
class Prediction:
    """How well coordinates predict the scores of trials they have not seen.

    Args:
        coordinates: Their name.
        correlation: Spearman's rank correlation of scores and leave-one-out predictions.
        lead: How much that of (alpha, gamma) is above it, on the same trials.
        n: Trials it rests on: the same for all coordinates of an arm.
        reason: Why there is none; ``None`` if there is.
    """

    coordinates: str
    correlation: Estimate | None
    lead: Estimate | None
    n: int
    reason: str | None = None


@dataclass(frozen=True)
class Redundancy:
    """What an arm's trials are worth as filters; every share is of all n trials.

    Args:
        n: Number of trials.
        without_filter: Share without a real filter.
        cells: Classes on the grid.
        exact: Classes of the same (alpha, gamma, decay) to a relative 1e-9.
        unusable: Share that has no real filter, an inert alpha, or is unstable.
        outside: Share without a real filter or in a cell without a good trial of any arm;
            ``None`` if nothing is declared good.
        good_without_filter: Good trials that have no real filter, counted as outside.
        conditions: Condition -> share of trials that violate it.
        any_violated: Share that violates at least one.
        predictions: Of (alpha, gamma) first, then of others.
        law: ``None`` if no trial is fit for it.
    """

    n: int
    without_filter: Estimate
    cells: Classes
    exact: Classes
    unusable: Estimate
    outside: Estimate | None
    good_without_filter: int
    conditions: Mapping[str, Estimate]
    any_violated: Estimate
    predictions: tuple[Prediction, ...]
    law: LawRatio | None


def redundancy(
    filters: Filters,
    scores: Floats,
    *,
    good: float | None,
    useful: frozenset[Cell] = frozenset(),
    confidence: float = 0.95,
    seed: int = 0,
) -> Redundancy:
    """How much of an arm's budget repeats, is of no use, or breaks the equivalence.

    Intervals of shares are Clopper-Pearson's, as if each trial counted independently with one
    chance. That is so for conditions under random search; whether a trial repeats or hits a
    useful cell depends on the other trials, so those intervals are for the size of the number.
    A cell nobody tried counts as useless: with few trials a cell, "outside" is nearly all that
    is not good.

    An interval of a correlation is the bootstrap's percentile interval over pairs of score and
    prediction (1,000 resamples, ranks taken anew in each). It contains the chance of which pairs
    are correlated, not that of the neighbours behind a prediction, which stay as they are: where
    nothing is related it is about a quarter too narrow. A leave-one-out mean is low where the
    trial itself is high, so that without any relation the correlation is below 0 (-0.17 for 20
    trials, -0.03 for 200). Of more than 4,000 trials as many are drawn.

    Args:
        filters: Of the arm's trials.
        scores: Finite, higher is better, shape [n].
        good: Least score of a good trial; ``None`` if none was declared.
        useful: ``useful_cells`` of the other arms; this arm's own are added.
        confidence: Of every interval, in (0, 1).
        seed: Of the resamples.

    Raises:
        InvalidInput: If scores or confidence do not fit.
    """
    check_scores("redundancy", filters, scores)
    if not 0 < confidence < 1:
        raise InvalidInput(f"redundancy: confidence must be in (0, 1), got {confidence}")

    def share(count: int) -> Estimate:
        return good_region_share(count, filters.n, confidence=confidence)

    def classes(of: list[Cell]) -> Classes:
        return Classes(len(set(of)), share(len(of) - len(set(of))))

    none = np.zeros(filters.n, dtype=np.bool_)
    broken = [filters.violated.get(name, none) for name in (STABLE, NOT_INERT)]
    cells, outside, without = _cells(filters), None, 0
    if good is not None:
        useful = useful | useful_cells(filters, scores, good)
        outside = share(filters.n - sum(cell in useful for cell in cells))
        without = int((~filters.real & (scores >= good)).sum())
    return Redundancy(
        n=filters.n,
        without_filter=share(int((~filters.real).sum())),
        cells=classes(cells),
        exact=classes(_exact(filters)),
        unusable=share(int(np.any([~filters.real, *broken], axis=0).sum())),
        outside=outside,
        good_without_filter=without,
        conditions={name: share(int(at.sum())) for name, at in filters.violated.items()},
        any_violated=share(int(filters.any_violated.sum())),
        predictions=_predictions(filters, scores, confidence, np.random.default_rng(seed)),
        law=law_ratio(filters),
    )


def useful_cells(filters: Filters, scores: Floats, good: float) -> frozenset[Cell]:
    """The cells that hold a trial of at least the score ``good``; joined over arms by ``|``.

    Raises:
        InvalidInput: If ``good`` is not finite, or there is not one finite score per trial.
    """
    check_scores("useful cells", filters, scores)
    if not np.isfinite(good):
        raise InvalidInput(f"useful cells: good must be finite, got {good}")
    hits = (scores >= good)[filters.real]
    return frozenset(cell for cell, hit in zip(_cells(filters), hits, strict=True) if hit)


def _cells(filters: Filters) -> list[Cell]:
    """The cell of every trial with a real filter; a value on a border belongs to the upper one."""
    points = np.log10([filters.alpha[filters.real], filters.gamma[filters.real]]) / filters.cell
    return _labelled(filters, *np.floor(points + _BORDER).astype(np.int64))


def _exact(filters: Filters) -> list[Cell]:
    """The same without a grid: a value within ``SAME`` of the next lower one equals it."""

    def chained(values: Floats) -> Ints:
        order = np.argsort(values)
        steps = np.diff(values[order], prepend=values[order][:1]) > SAME * values[order]
        labels = np.empty(values.size, dtype=np.int64)
        labels[order] = np.cumsum(steps)
        return labels

    real = filters.real
    return _labelled(filters, chained(filters.alpha[real]), chained(filters.gamma[real]))


def _labelled(filters: Filters, alphas: Ints, gammas: Ints) -> list[Cell]:
    decays = [filters.decay[i] for i in np.flatnonzero(filters.real)]
    return list(zip(decays, alphas.tolist(), gammas.tolist(), strict=True))


def _predictions(
    filters: Filters, scores: Floats, confidence: float, rng: np.random.Generator
) -> tuple[Prediction, ...]:
    given = [filters.alpha, filters.gamma, filters.learning_rate, filters.weight_decay]
    with np.errstate(divide="ignore"):  # a rate of 0 has no logarithm: it counts as missing
        alpha, gamma, rate, decay = np.log10(given)
    candidates = {
        "alpha and gamma": np.stack([alpha, gamma], axis=1),
        "alpha": alpha[:, None],
        "learning rate": rate[:, None],
        "weight decay": decay[:, None],
        "learning rate * weight decay": (rate + decay)[:, None],
    }
    present = {name: np.isfinite(at).all(axis=1) for name, at in candidates.items()}
    held = [at for at in present.values() if at.any()]
    rows = np.flatnonzero(np.all([np.ones(filters.n, dtype=np.bool_), *held], axis=0))
    if rows.size > MOST_PREDICTED:
        rows = np.sort(rng.choice(rows, MOST_PREDICTED, replace=False))
    y, guesses, reasons = scores[rows], {}, {}
    for name, points in candidates.items():
        reason = _unfit(name, points[rows], y) if present[name].any() else f"no trial has {name}"
        guess = y if reason else _left_out(points[rows], y)
        reasons[name] = reason or ("all its predictions are equal" if np.ptp(guess) == 0 else None)
        if reasons[name] is None:
            guesses[name] = guess
    draws = _resampled(y, guesses, rng)
    found = {name: float(stats.spearmanr(y, guess).statistic) for name, guess in guesses.items()}
    first = next(iter(candidates))

    def prediction(name: str) -> Prediction:
        if name not in found:
            return Prediction(name, None, None, rows.size, reasons[name])
        lead, correlation = None, _percentiles(found[name], draws[name], confidence)
        if name != first and first in found:
            difference = found[first] - found[name]
            lead = _percentiles(difference, draws[first] - draws[name], confidence)
        return Prediction(name, correlation, lead, rows.size)

    return tuple(prediction(name) for name in candidates)


def _unfit(name: str, points: Floats, y: Floats) -> str | None:
    if y.size < FEWEST:
        return f"needs {FEWEST} trials that have all of the arm's coordinates, got {y.size}"
    if (np.ptp(points, axis=0) < SAME).any():
        return f"{name}: the same in every trial"
    return "all scores are equal" if np.ptp(y) == 0 else None


def _left_out(points: Floats, y: Floats) -> Floats:
    """Each trial's score as the mean of its k nearest others, k = max(5, round(sqrt(m)))."""
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    k = max(5, round(np.sqrt(y.size)))
    near = cKDTree(scaled).query(scaled, k + 1)[1]
    itself = near == np.arange(y.size)[:, None]
    itself[~itself.any(axis=1), -1] = True  # among k + 1 equals it need not be in the list
    others = near[~itself].reshape(y.size, k)
    # Sorted, because the sum of the same scores in another order differs by a rounding error.
    return np.asarray(np.sort(y[others], axis=1).mean(axis=1), dtype=np.float64)


def _resampled(
    y: Floats, guesses: Mapping[str, Floats], rng: np.random.Generator
) -> dict[str, Floats]:
    """Name -> rank correlation in each resample of the pairs, NaN where one side is constant."""
    draws: dict[str, list[Floats]] = {name: [] for name in guesses}
    rows = max(1, _BLOCK // y.size) if guesses else RESAMPLES
    for start in range(0, RESAMPLES, rows):
        size = min(rows, RESAMPLES - start)
        counts = rng.multinomial(y.size, np.full(y.size, 1 / y.size), size=size)
        ranks = _midranks(y, counts)
        for name, guess in guesses.items():
            draws[name].append(_correlations(ranks, _midranks(guess, counts), counts))
    return {name: np.concatenate(blocks) for name, blocks in draws.items()}


def _midranks(values: Floats, counts: Ints) -> Floats:
    """Rank of each value, less the mean rank, where it occurs counts[r, i] times; shape [r, m]."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    together = np.add.reduceat(counts[:, np.argsort(group, kind="stable")], starts, axis=1)
    ranks = np.cumsum(together, axis=1) - (together - 1) / 2 - (values.size + 1) / 2
    return np.asarray(ranks[:, group], dtype=np.float64)


def _correlations(x: Floats, y: Floats, counts: Ints) -> Floats:
    weighed = counts * x
    squares = np.einsum("ri,ri->r", weighed, x) * np.einsum("ri,ri,ri->r", counts, y, y)
    shared = np.einsum("ri,ri->r", weighed, y)
    draws = np.full(shared.size, np.nan)
    np.divide(shared, np.sqrt(squares), out=draws, where=squares > 0)
    return draws


def _percentiles(value: float, draws: Floats, confidence: float) -> Estimate:
    """Percentile interval; none where more resamples than its tails hold are undefined."""
    tail = (1 - confidence) / 2
    if np.isnan(draws).mean() > tail:
        return Estimate(value)
    low, high = np.nanquantile(draws, [tail, 1 - tail]).tolist()
    return Estimate(value, low, high)
