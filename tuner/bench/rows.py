"""From the rounds of a match to rows: ratios and medians, or a difference with its interval."""

from collections.abc import Sequence
from statistics import median

import numpy as np
import scipy

from tuner.bench.match import Match, Round, Row
from tuner.compare.statistics.estimate import Floats

OVER_ROUNDS = "least and greatest over the rounds"
INTERVAL = "95% confidence interval of the difference"


def by_ratio(match: Match, rounds: Sequence[Round]) -> list[Row]:
    """Each variant's ratio to its baseline, formed within a round; then the median."""
    rows = []
    for variant, baseline in match.pairs:
        assert baseline is not None
        ratios = [values[variant] / values[baseline] for values in rounds]
        rows.append(
            match.row(
                variant,
                baseline,
                value=median(values[variant] for values in rounds),
                baseline_value=median(values[baseline] for values in rounds),
                ratio=median(ratios),
                low=min(ratios),
                high=max(ratios),
                spread=OVER_ROUNDS,
            )
        )
    return rows


def alone(match: Match, rounds: Sequence[Round]) -> list[Row]:
    """Each variant's median value, held against nothing."""
    rows = []
    for variant, _ in match.pairs:
        values = [values[variant] for values in rounds]
        rows.append(
            match.row(
                variant,
                None,
                value=median(values),
                low=min(values),
                high=max(values),
                spread=OVER_ROUNDS,
            )
        )
    return rows


def by_difference(match: Match, rounds: Sequence[Round]) -> list[Row]:
    """Each variant's mean less its baseline's, every round an independent sample of both."""
    rows = []
    for variant, baseline in match.pairs:
        assert baseline is not None
        first = np.array([values[variant] for values in rounds])
        second = np.array([values[baseline] for values in rounds])
        low, high = _welch(first, second)
        rows.append(
            match.row(
                variant,
                baseline,
                value=float(first.mean()),
                baseline_value=float(second.mean()),
                difference=float(first.mean() - second.mean()),
                low=low,
                high=high,
                spread=INTERVAL,
            )
        )
    return rows


def _welch(first: Floats, second: Floats) -> tuple[float, float] | tuple[None, None]:
    """Welch's 95% interval of a difference of means; none for a single round."""
    if first.size < 2:
        return None, None
    if np.ptp(first) == np.ptp(second) == 0:
        return float(first[0] - second[0]), float(first[0] - second[0])
    interval = scipy.stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    return float(interval.low), float(interval.high)
