"""An estimate with its interval, and the arrays that estimators take."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
Bounds = tuple[float, float]
"""Least and greatest value possible; infinite where unknown."""


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; a bound is ``None`` where none can be stated."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both bounds, or ``None``."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def negated(self) -> "Estimate":
        """That of the number with the opposite sign; -0.0 is written 0.0."""
        low, high = (None if end is None else 0.0 - end for end in (self.high, self.low))
        return Estimate(0.0 - self.value, low, high)

    def clipped(self, least: float, greatest: float) -> "Estimate":
        """Without what the interval holds beyond the values possible."""
        if self.interval is None:
            return self
        low, high = self.interval
        return Estimate(self.value, max(low, least), min(high, greatest))


def classify(
    estimate: Estimate, rope: float
) -> Literal["supported", "equivalent", "inconclusive"]:
    """Whether an interval lies inside +-rope, else whether it excludes zero, else neither."""
    if estimate.interval is None:
        return "inconclusive"
    low, high = estimate.interval
    if -rope <= low and high <= rope:
        return "equivalent"
    return "supported" if low > 0 or high < 0 else "inconclusive"
