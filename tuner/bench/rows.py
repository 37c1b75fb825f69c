"""From the rounds of a match to rows: ratios and medians, or a difference with its interval."""

from collections.abc import Sequence
from math import sqrt
from statistics import mean, median, variance

from scipy.stats import t

from tuner.bench.match import Match, Round, Row

OVER_ROUNDS = "least and greatest over the rounds"
INTERVAL = "95% confidence interval of the difference"


def by_ratio(match: Match, rounds: Sequence[Round]) -> list[Row]:
    """Each variant's ratio to its baseline, formed within a round; then the median."""
    found = []
    for variant, baseline in match.pairs:
        assert baseline is not None
        ratios = [values[variant] / values[baseline] for values in rounds]
        found.append(
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
    return found


def alone(match: Match, rounds: Sequence[Round]) -> list[Row]:
    """Each variant's median value, held against nothing."""
    found = []
    for variant, _ in match.pairs:
        values = [values[variant] for values in rounds]
        found.append(
            match.row(
                variant,
                None,
                value=median(values),
                low=min(values),
                high=max(values),
                spread=OVER_ROUNDS,
            )
        )
    return found


def by_difference(match: Match, rounds: Sequence[Round]) -> list[Row]:
    """Each variant's mean less its baseline's, every round an independent sample of both."""
    found = []
    for variant, baseline in match.pairs:
        assert baseline is not None
        first = [values[variant] for values in rounds]
        second = [values[baseline] for values in rounds]
        difference = mean(first) - mean(second)
        half = _half_interval(first, second) if len(rounds) > 1 else None
        found.append(
            match.row(
                variant,
                baseline,
                value=mean(first),
                baseline_value=mean(second),
                difference=difference,
                low=None if half is None else difference - half,
                high=None if half is None else difference + half,
                spread=INTERVAL,
            )
        )
    return found


def _half_interval(first: Sequence[float], second: Sequence[float]) -> float:
    """Half the width of Welch's 95% interval for the difference of two means."""
    parts = [variance(sample) / len(sample) for sample in (first, second)]
    if not sum(parts):
        return 0.0
    freedom = sum(parts) ** 2 / sum(part**2 / (len(first) - 1) for part in parts)
    return float(t.ppf(0.975, freedom)) * sqrt(sum(parts))
