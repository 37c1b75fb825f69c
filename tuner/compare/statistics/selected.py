"""The difference of two spaces by what their independent searches select, right at every look.

A search of k trials selects the setting of best validation score, and that setting is trained
afresh. The fresh scores of a space's searches are independent and of one distribution, whatever
it is: no selection is left in them. Held against each other is every search of one space with
every search of the other. The *median* of all these differences is what a typical pair shows: it
supposes nothing of spread, bounds or rare collapses, which would decide a mean.

Its interval holds all values t for which Brunner and Munzel's test does not reject that one
space's score less t is as often above the other's as below it. The share of pairs won has the
standard error of both arms' ranks, whatever their shapes, and Student's t.

A comparison may be looked at while it runs, if that was declared: ``looks`` says how often each
look may miss, so that the chance that any of them does stays below 1 - confidence, as simulated
in the tests.

Source: Brunner and Munzel (2000), Biometrical Journal 42.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from tuner.compare.statistics.estimate import Bools, Estimate, Floats
from tuner.compare.statistics.looks import looks
from tuner.errors import InvalidInput

_DRAWS = 400


@dataclass(frozen=True)
class SelectedDifference:
    """Two spaces' searches, and what their selected settings reach afresh.

    Args:
        n: Searches of each space that it rests on: those of the last look that was due; before
            any, all there are of the space that has fewer.
        planned: Searches declared of each.
        difference: Median of first minus second over all pairs, with an interval where a look
            was due.
        wins: Share of all pairs in which the first space's setting is better, ties half.
        other_images: The difference with an interval that also holds for other test images of the
            same kind, as many; ``None`` where hits by image are not known.
    """

    n: int
    planned: int
    difference: Estimate
    wins: float
    other_images: Estimate | None = None


def selected_difference(
    first: Floats,
    second: Floats,
    *,
    planned: int | None = None,
    shares: Sequence[float] = (),
    confidence: float = 0.95,
) -> SelectedDifference:
    """What the fresh scores of two spaces' searches say.

    Args:
        first: Fresh score of each search of one space, shape [n], in the order they ran.
        second: The other's, shape [m].
        planned: Searches declared beforehand; the smaller of n and m if ``None``. More than were
            planned count as planned: whoever prolongs a run because of what it showed is not
            covered.
        shares: Of those planned after which earlier looks were declared.
        confidence: In (0, 1).

    Raises:
        InvalidInput: If an arm has no search.
    """
    n = min(first.size, second.size)
    if n == 0:
        raise InvalidInput("selected settings: each arm needs at least one search, got none")
    planned = max(planned or 0, n)
    due = [look for look in looks(planned, confidence, shares).items() if look[0] <= n]
    look, allowed = max(due, default=(n, None))
    if look < planned:
        first, second = first[:look], second[:look]
    return SelectedDifference(
        n=look,
        planned=planned,
        difference=_median_difference(first, second, allowed),
        wins=float(_shares(first, second).mean()),
    )


def on_other_images(
    difference: Estimate, first: Bools, second: Bools, *, confidence: float = 0.95
) -> Estimate:
    """The difference with its interval widened by what the choice of test images may do.

    Both arms see the same images, so what counts is how the difference varies from one image to
    the next: d_i is the share of the first arm's runs that classify image i rightly, less the
    second's, and z std(d) / sqrt(M + 2) of M images is added in squares to either side. Two
    images more are counted, on which the arms differ by sqrt(1/2) either way: images that all
    runs hit do not show that there are no others. The noise of the runs is in d too, which keeps
    the interval on the safe side.

    Args:
        difference: On these images, with an interval over runs, of means or medians.
        first: Hits of one space's runs, shape [n, M]; a run without any says nothing of images,
            and where no run has any, the score is that of chance on all images.
        second: The other's, shape [m, M].
        confidence: In (0, 1).

    Source: Agresti and Min (2005), Statistics in Medicine 24, for the images more: half a count
    in each cell of the table of matched pairs.
    """
    if difference.interval is None:
        return difference
    by_image = _by_image(first) - _by_image(second)
    with_more = np.concatenate([by_image, [0.5**0.5, -(0.5**0.5)]])
    z = float(stats.norm.isf((1 - confidence) / 2))
    of_images = z * float(with_more.std()) / with_more.size**0.5
    low, high = difference.interval
    return Estimate(
        difference.value,
        difference.value - float(np.hypot(difference.value - low, of_images)),
        difference.value + float(np.hypot(high - difference.value, of_images)),
    )


def _by_image(hits: Bools) -> Floats:
    """Share of the runs that classify each image rightly, of those that did not diverge."""
    whole = hits[hits.any(axis=1)]
    return np.zeros(hits.shape[1]) if whole.size == 0 else np.asarray(whole.mean(axis=0))


def median_interval(values: Floats, *, confidence: float = 0.95) -> Estimate:
    """Median of independent values of one distribution, with its interval by order statistics.

    At least half of all values lie at or above the median, so of n as many as heads of n throws of
    a coin: the interval reaches from the r-th smallest to the r-th largest. None below six.

    Args:
        values: Of one distribution, shape [n].
        confidence: In (0, 1).
    """
    ordered, n = np.sort(values), values.size
    rank = int(stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    while rank > 0 and 2 * stats.binom.cdf(rank - 1, n, 0.5) > 1 - confidence:
        rank -= 1
    middle = float(np.median(ordered))
    if rank == 0:
        return Estimate(middle)
    return Estimate(middle, float(ordered[rank - 1]), float(ordered[n - rank]))


def detectable_shift(
    n: int,
    shares: Sequence[float] = (),
    *,
    confidence: float = 0.95,
    power: float = 0.8,
    seed: int = 0,
) -> float | None:
    """Difference that n searches of each space show with this power, in standard deviations.

    Of one fresh score, if they are normal; at the last look, simulated, to about 0.05. ``None``
    below ``FEWEST_SEARCHES``.
    """
    allowed = looks(n, confidence, shares).get(n)
    if allowed is None:
        return None
    rng = np.random.default_rng(seed)
    draws = rng.normal(size=(_DRAWS, 2, min(n, 200)))  # of more the normal law is told below
    low, high = 0.0, 4.0
    for _ in range(8):
        shift = (low + high) / 2
        shown = sum(_rejects(a + shift, b, allowed) for a, b in draws) / len(draws)
        low, high = (low, shift) if shown >= power else (shift, high)
    return high * float(np.sqrt(draws.shape[2] / n))


def searches_until_shown(
    n: int, shares: Sequence[float], shift: float, *, confidence: float = 0.95, seed: int = 0
) -> float:
    """Searches of each space until a look shows a difference, or n: the mean, simulated.

    Args:
        n: Searches planned.
        shares: Of them, after which there is a look.
        shift: The difference, in standard deviations of one fresh score; they are normal.
        confidence: Of all looks together.
        seed: Of the draws.
    """
    early = {look: a for look, a in looks(n, confidence, shares).items() if look < n}
    draws = np.random.default_rng(seed).normal(size=(_DRAWS, 2, n))
    ended = [
        next((m for m, a in early.items() if _rejects(one[:m] + shift, other[:m], a)), n)
        for one, other in draws
    ]
    return float(np.mean(ended))


def _median_difference(first: Floats, second: Floats, allowed: float | None) -> Estimate:
    """The median of all differences and its interval; none where an end would be infinite.

    Between two neighbours of the sorted differences the test says the same of every value: the
    interval begins at the first neighbour above which it does not reject.
    """
    ordered = np.sort((first[:, None] - second).ravel())
    middle = float(np.median(ordered))
    if allowed is None:
        return Estimate(middle)
    low = _end(first, second, ordered, allowed)
    high = _end(second, first, -ordered[::-1], allowed)
    if low is None or high is None:
        return Estimate(middle)
    return Estimate(middle, min(low, middle), max(-high, middle))


def _end(first: Floats, second: Floats, ordered: Floats, allowed: float) -> float | None:
    """The lower end: by bisection over the gaps below the median."""
    rejected, kept = -1, ordered.size // 2
    while kept - rejected > 1:
        gap = (kept + rejected) // 2
        between = ordered[gap] / 2 + ordered[gap + 1] / 2
        if _rejects(first - between, second, allowed):
            rejected = gap
        else:
            kept = gap
    if rejected == -1 and not _rejects(first - ordered[0] + 1, second, allowed):
        return None  # not even below all differences
    return float(ordered[kept])


def _rejects(first: Floats, second: Floats, allowed: float) -> bool:
    """Whether one sample is shown to be above or below the other more often than not."""
    ours, theirs = _shares(first, second), _shares(second, first)
    share = float(ours.mean())
    parts = np.array([ours.var(ddof=1) / ours.size, theirs.var(ddof=1) / theirs.size])
    if parts.sum() == 0:  # one wins every pair, or all are equal
        return share != 0.5
    freedom = parts.sum() ** 2 / (parts**2 / [ours.size - 1, theirs.size - 1]).sum()
    t = abs(share - 0.5) / float(np.sqrt(parts.sum()))
    return bool(2 * stats.t.sf(t, freedom) < allowed)


def _shares(first: Floats, second: Floats) -> Floats:
    """Of each value of the first sample, the share of the second's that it beats, ties half."""
    ordered = np.sort(second)
    beaten = np.searchsorted(ordered, first, "left") + np.searchsorted(ordered, first, "right")
    return beaten / 2 / second.size
