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
from math import sqrt

import numpy as np
import scipy

from tuner.compare.statistics.estimate import Bools, Estimate, Floats, Ints
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
        wins=_wins(first, second),
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
    z = float(scipy.stats.norm.isf((1 - confidence) / 2))
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
    rank = int(scipy.stats.binom.ppf((1 - confidence) / 2, n, 0.5))
    while rank > 0 and 2 * scipy.stats.binom.cdf(rank - 1, n, 0.5) > 1 - confidence:
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
    draws.sort(axis=2)
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
    ended = np.full(_DRAWS, n)
    for look, allowed in sorted(early.items(), reverse=True):
        seen = np.sort(draws[:, :, :look], axis=2)
        ended[[_rejects(one + shift, other, allowed) for one, other in seen]] = look
    return float(ended.mean())


def _median_difference(first: Floats, second: Floats, allowed: float | None) -> Estimate:
    """The median of all differences and its interval; none where an end would be infinite.

    Between two neighbours of the sorted differences the test says the same of every value: the
    interval begins at the first neighbour above which it does not reject.
    """
    ordered = np.sort((first[:, None] - second).ravel())
    middle = float(np.median(ordered))
    if allowed is None:
        return Estimate(middle)
    first, second = np.sort(first), np.sort(second)
    low = _end(first, second, ordered, allowed)
    high = _end(second, first, -ordered[::-1], allowed)
    if low is None or high is None:
        return Estimate(middle)
    return Estimate(middle, min(low, middle), max(-high, middle))


def _end(first: Floats, second: Floats, ordered: Floats, allowed: float) -> float | None:
    """The lower end: by bisection over the gaps below the median; both samples are sorted."""
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
    """Whether one sample is shown to be above or below the other more often than not.

    It is asked some thousand times for a report and stays with whole numbers: sums of counts, in
    place of numpy's variances. Both samples are sorted.
    """
    ours, theirs = _half_wins(first, second), _half_wins(second, first)
    n, m = first.size, second.size
    pairs, won = n * m, int(ours.sum())
    # Of the shares of pairs won, n variances over n: whole numbers, over what they share.
    parts = (
        (n * int(ours @ ours) - won**2) / (n * (n - 1) * n * (2 * m) ** 2),
        (m * int(theirs @ theirs) - (2 * pairs - won) ** 2) / (m * (m - 1) * m * (2 * n) ** 2),
    )
    if sum(parts) == 0:  # one wins every pair, or all are equal
        return won != pairs
    freedom = sum(parts) ** 2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    t = abs(won / (2 * pairs) - 0.5) / sqrt(sum(parts))
    return bool(2 * scipy.special.stdtr(freedom, -t) < allowed)


def _wins(first: Floats, second: Floats) -> float:
    """Share of all pairs in which the first is above the second, ties half."""
    return float((_half_wins(first, np.sort(second)) / 2 / second.size).mean())


def _half_wins(first: Floats, ordered: Floats) -> Ints:
    """Of each value of the first sample, twice how many of the second's it beats, ties half."""
    return ordered.searchsorted(first, "left") + ordered.searchsorted(first, "right")
