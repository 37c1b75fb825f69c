"""Numbers as a reader sees them: accuracies in per cent, differences in points, intervals.

Scores come in as they are compared, higher ones better, and go out in the studies' own sign.
"""

from tuner.compare.protocol import ACCURACY, Protocol
from tuner.compare.statistics.estimate import Bounds, Estimate
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.statistics.targets import Trials


def measure(protocol: Protocol) -> str:
    """What the scores of a search are called."""
    return f"validation {ACCURACY}" if protocol.unit == ACCURACY else protocol.unit


def test_measure(protocol: Protocol) -> str:
    """What the scores of settings trained afresh are called."""
    return f"test {ACCURACY}" if protocol.unit == ACCURACY else protocol.unit


def best_of(k: int, protocol: Protocol) -> str:
    """What of the best of k trials is meant: its mean, or its median where no bound is known."""
    return f"{'expected' if protocol.bounded else 'median'} best of {k:,}"


def higher(protocol: Protocol) -> str:
    """What a better score is: higher than another, or lower where the studies minimize."""
    return "lower" if protocol.minimized else "higher"


def score(value: float, protocol: Protocol) -> str:
    """A score with its unit: ``97.41%``, or four digits of any other score."""
    return written(protocol.own(value), protocol.unit)


def written(value: float | None, unit: str) -> str:
    """A score in the studies' own sign, or a dash where there is none: ``97.41%``, ``0.2841``."""
    if value is None:
        return "–"
    return f"{100 * value:.2f}%" if unit == ACCURACY else f"{value:.4g}"


def span(bounds: Bounds, protocol: Protocol) -> str:
    """From one score to another: ``10.00% to 97.41%``."""
    return " to ".join(score(bound, protocol) for bound in _ascending(bounds, protocol))


def points(value: float, protocol: Protocol) -> str:
    """A difference of scores with its sign: ``+0.52 points``."""
    signed = _signed(protocol.own(value), protocol)
    return f"{signed} points" if protocol.unit == ACCURACY else signed


def width(value: float, protocol: Protocol) -> str:
    """A half-width: ``±0.30 points``."""
    return f"±{100 * value:.2f} points" if protocol.unit == ACCURACY else f"±{value:.4g}"


def difference(estimate: Estimate, protocol: Protocol) -> str:
    """A difference with its interval: ``+0.52 points (95% CI +0.11 to +0.93)``."""
    value = points(estimate.value, protocol)
    if estimate.interval is None:
        return value
    return f"{value} ({interval(estimate.interval, protocol)})"


def interval(bounds: Bounds, protocol: Protocol) -> str:
    """The interval of a difference: ``95% CI +0.11 to +0.93``."""
    low, high = (_signed(protocol.own(bound), protocol) for bound in _ascending(bounds, protocol))
    return f"{level(protocol)} CI {low} to {high}"


def probability(estimate: Estimate, protocol: Protocol) -> str:
    """A probability with its interval: ``0.81 (95% CI 0.62 to 0.95)``."""
    value = f"{estimate.value:.2f}"
    if estimate.interval is None:
        return value
    return f"{value} ({level(protocol)} CI {estimate.low:.2f} to {estimate.high:.2f})"


def bracketed(estimate: Estimate, protocol: Protocol) -> str:
    """A score and, where it has one, its interval: ``97.41% [96.80, 97.92]``."""
    value = score(estimate.value, protocol)
    if estimate.interval is None:
        return value
    low, high = (
        score(bound, protocol).rstrip("%") for bound in _ascending(estimate.interval, protocol)
    )
    return f"{value} [{low}, {high}]"


def share(estimate: Estimate) -> str:
    """A share of trials with its interval, in per cent: ``20.0% [10.8, 32.3]``."""
    low, high = estimate.interval or (estimate.value, estimate.value)
    return f"{100 * estimate.value:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


def trials(count: Trials, protocol: Protocol) -> str:
    """A number of trials: ``14 [8, 27]``, ``at least 46 (95% CI)`` if none reached the target."""
    if count.value is None:
        return "unknown" if count.low is None else f"at least {count.low:,} ({level(protocol)} CI)"
    if count.low is None or count.high is None:
        return f"{count.value:,}"
    return f"{count.value:,} [{count.low:,}, {count.high:,}]"


def duration(seconds: float | None) -> str:
    """A duration, short: ``0.31 s``, ``41 s``, ``12 min``, ``3.4 h``; ``unknown`` for ``None``."""
    if seconds is None:
        return "unknown"
    for limit, divisor, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min")):
        if seconds < limit:
            return (
                f"{seconds / divisor:.2g} {unit}"
                if seconds < 10
                else (f"{seconds / divisor:.0f} {unit}")
            )
    return f"{seconds / 3600:.1f} h"


def p_value(p: float | None) -> str:
    """A p-value, never as a bare zero."""
    if p is None:
        return "unknown"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def level(protocol: Protocol) -> str:
    """The confidence level: ``95%``."""
    return f"{100 * protocol.confidence:g}%"


def _ascending(bounds: Bounds, protocol: Protocol) -> list[float]:
    """Both, the one first that is the lower in the studies' own sign."""
    return sorted(bounds, key=protocol.own)


def _signed(value: float, protocol: Protocol) -> str:
    value = 0.0 if abs(value) < 1e-12 else value  # what rounding left of equal scores
    return f"{100 * value:+.2f}" if protocol.unit == ACCURACY else f"{value:+.4g}"


def speedup(estimate: Speedup, protocol: Protocol) -> str:
    """How many times less: ``14 (95% CI 5.4 to 37)``, ``at least 2.8 (95% CI)``, or why not."""
    if estimate.value is not None:
        value = _times(estimate.value)
        if estimate.low is None or estimate.high is None:
            return value
        return f"{value} ({level(protocol)} CI {_times(estimate.low)} to {_times(estimate.high)})"
    if estimate.low is not None:
        return f"at least {_times(estimate.low)} ({level(protocol)} CI)"
    if estimate.high is not None:
        return f"at most {_times(estimate.high)} ({level(protocol)} CI)"
    return estimate.reason or "unknown"


def _times(factor: float) -> str:
    """A factor to two digits: ``14``, ``5.4``, ``1.0``, ``350``."""
    if factor >= 9.95:
        return f"{float(f'{factor:.2g}'):,.0f}"
    return f"{factor:.1f}" if factor >= 0.995 else f"{factor:#.2g}"
