"""One speed-up over several workloads: a random-effects estimate, its interval, what it hangs on.

The model: on workload w the logarithm of the speed-up is theta_w, drawn from a population with
mean mu and variance tau^2; measured is y_w = theta_w + e_w, with e_w of the standard error that
the workload's own interval has. Estimated is exp(mu), the geometric mean of the speed-ups.

Every workload has the same weight. The usual weights, one over the variance, are no constants
here: the fewer trials of an arm reach the target, the larger are both the speed-up and its error,
so they would draw the estimate towards 1 (speed-ups of 5 in the mean, simulated with 40 trials an
arm, to 4.4). The mean of the y_w is unbiased whatever the errors are, and its variance is that of
the y_w over their number, which holds both tau^2 and the errors: with Student's t of one degree
of freedom fewer than workloads this is the interval of Hartung, Knapp, Sidik and Jonkman for equal
weights. It is never narrower than that of the errors alone, as if all workloads had the same
speed-up: a few may agree by chance.

What it supposes: that the workloads are drawn at random from those it is to speak of, and that the
logarithms are about normal between them, which nobody sees in a few. Simulated (40 and 200 trials
an arm, a factor of 2 between workloads, a stated 95%) it covers at least 94% for a normal
population from ``FEWEST_WORKLOADS`` on, at least 92% for a uniform one; at least 88% for
exponential tails to either side, and 85% with four, 92% with five workloads of two equal lumps.

A miss is censoring. Where no trial of the old arm reached the target, the speed-up of that
workload is only known to lie above a bound. Left out, it would be missing because it is large.
So it enters at its bound: the mean of such values is below mu, and so only a lower bound of mu is
stated. Where the new arm missed, likewise an upper one; where both kinds occur, none. Where both
arms missed, the trials say nothing on which is faster: the workload is left out and counted.

Source: Hartung and Knapp (2001), Statistics in Medicine 20; Sidik and Jonkman (2002), Statistics
in Medicine 21; Shuster (2010), Statistics in Medicine 29, for equal weights; Hedges (1983),
Psychological Bulletin 93, for tau^2; Roever, Knapp and Friede (2015), BMC Medical Research
Methodology 15, for the least width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
import scipy

from tuner.compare.statistics.speedup import Speedup
from tuner.wording import count

FEWEST_WORKLOADS = 4
"""Workloads below which no interval is stated: two or three may agree by chance too often."""


@dataclass(frozen=True)
class Pooled:
    """The speed-up over several workloads.

    Args:
        speedup: Of the population that the workloads are a draw of: the geometric mean. As in
            ``Speedup``, there is no value where a miss leaves only a bound.
        another: The same value with the interval of what one more workload of that population
            would show, measured likewise; ``None`` where ``speedup`` lacks a bound.
        between: Standard deviation of the true speed-ups' logarithms between workloads, tau;
            ``None`` likewise.
        n: Workloads that it rests on.
        missed_by_old: Of these, how many the old arm missed and the new one did not.
        missed_by_new: The other way round.
        left_out: Workloads of which nothing is known, since both arms missed or there is no ratio.
    """

    speedup: Speedup
    another: Speedup | None
    between: float | None
    n: int
    missed_by_old: int
    missed_by_new: int
    left_out: int


def pooled_speedup(speedups: Sequence[Speedup], *, confidence: float = 0.95) -> Pooled:
    """The speed-up over workloads; see the file's head for model, weights and misses.

    Args:
        speedups: One per workload, each with its own interval at the same confidence.
        confidence: In (0, 1).
    """
    known = [each for each in speedups if _middle(each) is not None]
    y = np.array([log(_middle(each) or 1.0) for each in known])
    n, left_out = len(known), len(speedups) - len(known)
    old = sum(each.value is None and each.low is not None for each in known)
    new = sum(each.value is None and each.low is None for each in known)
    counts, why = (n, old, new, left_out), _why(n, old, new)
    mean = float(y.mean()) if n else None
    if mean is None or n < FEWEST_WORKLOADS or (old and new):
        value = None if mean is None or old or new else exp(mean)
        return Pooled(Speedup(value, None, None, why), None, None, *counts)
    errors = np.array([_error(each, confidence) for each in known])
    spread, measured = float(y.var(ddof=1)), float((errors**2).mean())
    t = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1))
    width = max(t * sqrt(spread), _normal(confidence) * sqrt(measured))
    half, further = width * sqrt(1 / n), width * sqrt(1 + 1 / n)
    return Pooled(
        Speedup(
            value=None if old or new else exp(mean),
            low=None if new else exp(mean - half),
            high=None if old else exp(mean + half),
            reason=why,
        ),
        None if old or new else Speedup(exp(mean), exp(mean - further), exp(mean + further)),
        None if old or new else sqrt(max(0.0, spread - measured)),
        *counts,
    )


def without_each(speedups: Sequence[Speedup], *, confidence: float = 0.95) -> list[Pooled]:
    """The same without each workload in turn: whether one of them decides."""
    return [
        pooled_speedup([*speedups[:place], *speedups[place + 1 :]], confidence=confidence)
        for place in range(len(speedups))
    ]


def _middle(speedup: Speedup) -> float | None:
    """The value, or where an arm missed the bound that is known."""
    return next((x for x in (speedup.value, speedup.low, speedup.high) if x is not None), None)


def _error(speedup: Speedup, confidence: float) -> float:
    """Standard error of the logarithm, as the interval has it; 0 where there is no interval."""
    if speedup.value is None or speedup.low is None or speedup.high is None:
        return 0.0
    return (log(speedup.high) - log(speedup.low)) / (2 * _normal(confidence))


def _normal(confidence: float) -> float:
    return float(scipy.special.ndtri((1 + confidence) / 2))


def _why(n: int, old: int, new: int) -> str | None:
    """Why there is no value, or no interval."""
    if old and new:
        return (
            f"the old arm missed the target on {count(old, 'workload')} and the new one on "
            f"{count(new, 'other', 'others')}, so neither bound can be given"
        )
    if n < FEWEST_WORKLOADS:
        return f"an interval needs {FEWEST_WORKLOADS} workloads that an arm reached, got {n}"
    if old or new:
        side, arm = ("a lower", "old") if old else ("an upper", "new")
        missed = count(old or new, "workload")
        return f"only {side} bound can be given: the {arm} arm missed the target on {missed}"
    return None
