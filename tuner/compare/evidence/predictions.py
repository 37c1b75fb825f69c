"""How well the filter's coordinates alone predict the accuracy of trials, against the knobs' own.

A trial is predicted by the mean of its nearest others, and the predictions are held against the
scores by Spearman's rank correlation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Estimate, Floats, Ints
from tuner.compare.trial_filters import TrialFilters

_CONSTANT = 1e-9
"""Decades within which all trials lie whose coordinate counts as the same in every one."""
FEWEST_PREDICTED = 20
"""Trials below which nothing is predicted: a part of them has too few neighbours."""
MOST_PREDICTED = 4000
PARTS = 200
LARGEST_PART = 500


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


def predictions(
    filters: TrialFilters, scores: Floats, *, confidence: float = 0.95, seed: int = 0
) -> tuple[Prediction, ...]:
    """The rank correlation of each set of coordinates, with its interval.

    The interval's width is the spread over 200 random halves of the trials (parts of 500 at
    most), predicted anew in each, so that it holds the chance of the neighbours too; it is scaled
    to n by sqrt(b / (n - b)), b the size of a part, and taken on Fisher's scale. Simulated, a
    stated 95% covers at least 93%. A leave-one-out mean is low where the trial itself is high, so
    that without any relation the correlation is below 0 (-0.17 for 20 trials, -0.03 for 200). Of
    more than 4,000 trials as many are drawn.

    Args:
        filters: Of the arm's trials.
        scores: Finite, higher is better, shape [n].
        confidence: Of the intervals, in (0, 1).
        seed: Of the parts.

    Source: Politis, Romano and Wolf (1999), Subsampling, for parts without replacement.
    """
    rng = np.random.default_rng(seed)
    candidates = _candidates(filters)
    present = {name: np.isfinite(at).all(axis=1) for name, at in candidates.items()}
    held = [at for at in present.values() if at.any()]
    rows = np.flatnonzero(np.all([np.ones(filters.n, dtype=np.bool_), *held], axis=0))
    if rows.size > MOST_PREDICTED:
        rows = np.sort(rng.choice(rows, MOST_PREDICTED, replace=False))
    y, correlations, reasons = scores[rows], {}, {}
    for name, points in candidates.items():
        reason = _unfit(name, points[rows], y) if present[name].any() else f"no trial has {name}"
        value = np.nan if reason else _correlation(points[rows], y)
        reasons[name] = reason or ("all its predictions are equal" if np.isnan(value) else None)
        if reasons[name] is None:
            correlations[name] = value
    draws = _in_parts({name: candidates[name][rows] for name in correlations}, y, rng)
    size = _part(y.size)
    reach = float(scipy.special.ndtri((1 + confidence) / 2)) * sqrt(size / max(1, y.size - size))
    most_undefined = (1 - confidence) / 2
    first = next(iter(candidates))

    def prediction(name: str) -> Prediction:
        if name not in correlations:
            return Prediction(name, None, None, rows.size, reasons[name])
        value, lead = correlations[name], None
        half = _half_width(_fisher(draws[name]), reach, most_undefined)
        correlation = Estimate(value)
        if half is not None:
            low, high = np.tanh(_fisher(value) + np.array([-half, half])).tolist()
            correlation = Estimate(value, min(low, value), max(high, value))
        if name != first and first in correlations:
            ahead = correlations[first] - value
            half = _half_width(draws[first] - draws[name], reach, most_undefined)
            lead = Estimate(ahead)
            if half is not None:
                lead = Estimate(ahead, ahead - half, ahead + half).clipped(-2.0, 2.0)
        return Prediction(name, correlation, lead, rows.size)

    return tuple(prediction(name) for name in candidates)


def _candidates(filters: TrialFilters) -> dict[str, Floats]:
    """Name -> coordinates by which trials are neighbours, shape [n, d]; NaN where missing."""
    given = [filters.alpha, filters.gamma, filters.learning_rate, filters.weight_decay]
    with np.errstate(divide="ignore"):  # a rate of 0 has no logarithm: it counts as missing
        alpha, gamma, rate, decay = np.log10(given)
    return {
        "alpha and gamma": np.stack([alpha, gamma], axis=1),
        "alpha": alpha[:, None],
        "learning rate": rate[:, None],
        "weight decay": decay[:, None],
        "learning rate * weight decay": (rate + decay)[:, None],
    }


def _unfit(name: str, points: Floats, y: Floats) -> str | None:
    if y.size < FEWEST_PREDICTED:
        return (
            f"needs {FEWEST_PREDICTED} trials that have all of the arm's coordinates, got {y.size}"
        )
    if _constant(points):
        return f"{name}: the same in every trial"
    return "all scores are equal" if np.ptp(y) == 0 else None


def _constant(points: Floats) -> bool:
    return bool((np.ptp(points, axis=0) < _CONSTANT).any())


def _left_out(points: Floats, y: Floats) -> Floats:
    """Each trial's score as the mean of its k nearest others, k = max(5, round(sqrt(m)))."""
    scaled = (points - points.mean(axis=0)) / points.std(axis=0)
    k = max(5, round(np.sqrt(y.size)))
    near = _on_a_line(scaled[:, 0], k) if scaled.shape[1] == 1 else _in_space(scaled, k)
    itself = near == np.arange(y.size)[:, None]
    itself[~itself.any(axis=1), -1] = True  # among k + 1 equals it need not be in the list
    others = near[~itself].reshape(y.size, k)
    # Sorted, because the sum of the same scores in another order differs by a rounding error.
    return np.asarray(np.sort(y[others], axis=1).mean(axis=1), dtype=np.float64)


def _in_space(points: Floats, k: int) -> Ints:
    """Numbers of the k + 1 nearest points of each, itself among them if it has no k + 1 equals."""
    return np.asarray(scipy.spatial.cKDTree(points).query(points, k + 1)[1], dtype=np.int64)


def _on_a_line(values: Floats, k: int) -> Ints:
    """The same in one dimension, quicker: in order, the nearest of a value stand side by side.

    Of the k + 1 stretches that hold it, theirs is the one whose farther end is nearest.
    """
    order = np.argsort(values)
    ordered, place = values[order][:, None], np.arange(values.size)[:, None]
    first = np.clip(place - np.arange(k + 1), 0, values.size - k - 1)
    reach = np.maximum(ordered - ordered[first, 0], ordered[first + k, 0] - ordered)
    nearest = np.take_along_axis(first, reach.argmin(axis=1)[:, None], axis=1)
    near = np.empty((values.size, k + 1), dtype=np.int64)
    near[order] = order[nearest + np.arange(k + 1)]
    return near


def _correlation(points: Floats, y: Floats) -> float:
    """Spearman's of the scores and their predictions; NaN where one of them is constant."""
    if _constant(points) or np.ptp(y) == 0:
        return np.nan
    guess = _left_out(points, y)
    if np.ptp(guess) == 0:
        return np.nan
    return float(np.corrcoef([_ranks(y), _ranks(guess)])[0, 1])


def _ranks(values: Floats) -> Floats:
    """Those of ``stats.rankdata``, ties in the middle, in a quarter of its time."""
    ordered = np.sort(values)
    twice = ordered.searchsorted(values, "left") + ordered.searchsorted(values, "right") + 1
    return np.asarray(twice / 2, dtype=np.float64)


def _part(n: int) -> int:
    return min(n // 2, LARGEST_PART)


def _in_parts(
    points: Mapping[str, Floats], y: Floats, rng: np.random.Generator
) -> dict[str, Floats]:
    """Name -> correlation within each of the random parts, NaN where there is none."""
    if not points:
        return {}
    parts = [rng.choice(y.size, _part(y.size), replace=False) for _ in range(PARTS)]
    return {
        name: np.array([_correlation(at[rows], y[rows]) for rows in parts])
        for name, at in points.items()
    }


def _fisher(correlation: Floats | float) -> Floats:
    most = 1 - 1e-9
    return np.asarray(np.arctanh(np.clip(correlation, -most, most)), dtype=np.float64)


def _half_width(draws: Floats, reach: float, most_undefined: float) -> float | None:
    """Half an interval from the parts' spread; ``None`` where too many parts have no value."""
    if np.isnan(draws).mean() > most_undefined:
        return None
    return reach * float(np.nanstd(draws, ddof=1))
