"""The gradient filter of each trial: a point (alpha, gamma) and the way alpha decays.

Where a trial's filter comes from is not known here: adapters fill ``TrialFilters``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tuner.compare.statistics.estimate import Bools, Floats
from tuner.errors import InvalidInput

CELL = 0.25
"""Width of a cell in decades of alpha and of gamma: a factor 1.78."""


@dataclass(frozen=True)
class TrialFilters:
    """The gradient filter of each trial of one arm, in trial order.

    Args:
        alpha: At the first step, in (0, 1], shape [n]; NaN where the trial has no real filter.
        gamma: Likewise, NaN where alpha is.
        learning_rate: At least 0, shape [n]; NaN where the arm has none.
        weight_decay: Likewise.
        decay: How alpha decays (``"constant"``, ``"cosine"``, ...), n of them.
        violated: Condition of the equivalence -> where it is known not to hold, shape [n].
        flip_ratio_law: Share of signs that change per step as the law predicts it, shape [n];
            NaN where it says nothing about the epochs measured (alpha had decayed, say).
        flip_ratio_measured: Mean over the trial's last measured epochs, shape [n], NaN if none.
        cell: Width of the grid's cells in decades; arms share useful cells only if it is equal.

    Raises:
        InvalidInput: If there is no trial, lengths differ, or a value is outside its range.
    """

    alpha: Floats
    gamma: Floats
    learning_rate: Floats
    weight_decay: Floats
    decay: tuple[str, ...]
    violated: Mapping[str, Bools]
    flip_ratio_law: Floats
    flip_ratio_measured: Floats
    cell: float = CELL

    def __post_init__(self) -> None:
        for name in ("alpha", "gamma"):
            values = self._store(name, getattr(self, name))
            _need(~((values <= 0) | (values > 1)), name, "must be in (0, 1] or NaN", values)
        rates = ("learning_rate", "weight_decay", "flip_ratio_law", "flip_ratio_measured")
        for name in rates:
            values = self._store(name, getattr(self, name))
            _need(~((values < 0) | np.isinf(values)), name, "must be >= 0 or NaN", values)
        half = np.isnan(self.alpha) == np.isnan(self.gamma)
        _need(half, "gamma", "must be NaN where alpha is, and only there", self.gamma)
        if len(self.decay) != self.n:
            raise InvalidInput(
                f"filters.decay: needs one per trial ({self.n}), got {len(self.decay)}"
            )
        if not 0 < self.cell < np.inf:
            raise InvalidInput(f"filters.cell: must be > 0 and finite, got {self.cell}")
        conditions = {
            key: np.asarray(where, dtype=np.bool_) for key, where in self.violated.items()
        }
        for key, where in conditions.items():
            if where.shape != (self.n,):
                raise InvalidInput(
                    f"filters.violated[{key!r}]: needs shape [{self.n}], got {list(where.shape)}"
                )
        object.__setattr__(self, "violated", conditions)

    def _store(self, name: str, given: ArrayLike) -> Floats:
        values = np.asarray(given, dtype=np.float64)
        if values.ndim != 1 or values.size == 0 or values.shape != np.shape(self.alpha):
            raise InvalidInput(
                f"filters.{name}: needs one value per trial and at least one, got "
                f"shape {list(values.shape)} beside {list(np.shape(self.alpha))}"
            )
        object.__setattr__(self, name, values)
        return values

    @property
    def n(self) -> int:
        """Number of trials."""
        return int(np.size(self.alpha))

    @property
    def real(self) -> Bools:
        """Whether the trial has a real filter, shape [n]."""
        return ~np.isnan(self.alpha)

    @property
    def any_violated(self) -> Bools:
        """Whether any condition is known not to hold, shape [n]."""
        none = np.zeros(self.n, dtype=np.bool_)
        return np.asarray(np.any([none, *self.violated.values()], axis=0), dtype=np.bool_)

    @property
    def flipped(self) -> Bools:
        """Whether both flip ratios, the law's and the measured one, are above 0, shape [n]."""
        return (self.flip_ratio_law > 0) & (self.flip_ratio_measured > 0)


@dataclass(frozen=True)
class LawRatio:
    """Flip ratio measured over flip ratio of the law: median, 5% and 95% quantile of n trials."""

    median: float
    low: float
    high: float
    n: int


def law_ratio(filters: TrialFilters) -> LawRatio | None:
    """Measured over predicted flip ratio where no condition is violated and both are above 0.

    A trial that measured no flip at all is left out, so that rare flips lean upwards.
    """
    law, measured = filters.flip_ratio_law, filters.flip_ratio_measured
    fit = ~filters.any_violated & filters.flipped
    if not fit.any():
        return None
    low, median, high = np.quantile(measured[fit] / law[fit], [0.05, 0.5, 0.95]).tolist()
    return LawRatio(median, low, high, int(fit.sum()))


def check_scores(place: str, filters: TrialFilters, scores: Floats) -> None:
    """Refuses scores that are not one finite number per trial.

    Raises:
        InvalidInput: If they are not.
    """
    if np.shape(scores) != (filters.n,) or not np.isfinite(scores).all():
        raise InvalidInput(
            f"{place}: needs a finite score for each of {filters.n} trials, got "
            f"{np.isfinite(scores).sum()} finite of {np.size(scores)}"
        )


def _need(holds: Bools, name: str, rule: str, values: Floats) -> None:
    bad = np.flatnonzero(~holds)
    if bad.size:
        raise InvalidInput(f"filters.{name}: {rule}, got {values[bad[0]]:g} in trial {bad[0]}")
