"""How much of a search repeats itself, misses every useful filter, or breaks the equivalence.

Trials are looked at as the gradient filters they are, (alpha, gamma) and how alpha decays.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tuner.compare.evidence.predictions import Prediction, predictions
from tuner.compare.statistics.estimate import Estimate, Floats, Ints
from tuner.compare.statistics.targets import good_region_share
from tuner.compare.trial_filters import LawRatio, TrialFilters, check_scores, law_ratio
from tuner.errors import InvalidInput

SAME = 1e-9
"""Relative difference up to which two filters count as exactly the same."""
STABLE, NOT_INERT = "stable", "alpha_not_inert"
_BORDER = 1e-9

Cell = tuple[str, int, int]
"""A class of filters: alpha's decay, and the cells of log10 alpha and log10 gamma."""


@dataclass(frozen=True)
class Classes:
    """Classes of equivalent filters: how many, and the share of trials that repeat one."""

    distinct: int
    repeats: Estimate


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
    filters: TrialFilters,
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

    Args:
        filters: Of the arm's trials.
        scores: Finite, higher is better, shape [n].
        good: Least score of a good trial; ``None`` if none was declared.
        useful: ``useful_cells`` of the other arms; this arm's own are added.
        confidence: Of every interval, in (0, 1).
        seed: Of the parts behind the correlations' intervals.

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
        predictions=predictions(filters, scores, confidence=confidence, seed=seed),
        law=law_ratio(filters),
    )


def useful_cells(filters: TrialFilters, scores: Floats, good: float) -> frozenset[Cell]:
    """The cells that hold a trial of at least the score ``good``; joined over arms by ``|``.

    Raises:
        InvalidInput: If ``good`` is not finite, or there is not one finite score per trial.
    """
    check_scores("useful cells", filters, scores)
    if not np.isfinite(good):
        raise InvalidInput(f"useful cells: good must be finite, got {good}")
    hits = (scores >= good)[filters.real]
    return frozenset(cell for cell, hit in zip(_cells(filters), hits, strict=True) if hit)


def _cells(filters: TrialFilters) -> list[Cell]:
    """The cell of every trial with a real filter; a value on a border belongs to the upper one."""
    points = np.log10([filters.alpha[filters.real], filters.gamma[filters.real]]) / filters.cell
    return _labelled(filters, *np.floor(points + _BORDER).astype(np.int64))


def _exact(filters: TrialFilters) -> list[Cell]:
    """The same without a grid: a value within ``SAME`` of the next lower one equals it."""

    def chained(values: Floats) -> Ints:
        order = np.argsort(values)
        steps = np.diff(values[order], prepend=values[order][:1]) > SAME * values[order]
        labels = np.empty(values.size, dtype=np.int64)
        labels[order] = np.cumsum(steps)
        return labels

    real = filters.real
    return _labelled(filters, chained(filters.alpha[real]), chained(filters.gamma[real]))


def _labelled(filters: TrialFilters, alphas: Ints, gammas: Ints) -> list[Cell]:
    decays = [filters.decay[i] for i in np.flatnonzero(filters.real)]
    return list(zip(decays, alphas.tolist(), gammas.tolist(), strict=True))
