from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tuner.compare.statistics.looks import FEWEST_SEARCHES, looks
from tuner.compare.statistics.selected import (
    detectable_shift,
    median_interval,
    searches_until_shown,
    selected_difference,
)
from tuner.errors import InvalidInput

HALF_AND_MORE = (0.5, 0.75)
Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(0.95, 0.004, n)


def wide(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(0.95, 0.04, n)


def of_449_images(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.round(449 * normal(rng, n)) / 449


def collapsing(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.random(n) < 0.05, 0.1, normal(rng, n))


def skewed(rng: np.random.Generator, n: int) -> np.ndarray:
    return 0.98 - 0.01 * np.exp(1.2 * rng.normal(size=n))


def unmoved(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.full(n, 0.95) + 0 * rng.random(n)


def test_the_interval_is_that_of_brunner_and_munzels_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.5, 1, 20), rng.normal(0, 2, 20)
    estimate = selected_difference(a, b).difference
    assert estimate.value == np.median(a[:, None] - b)
    (allowed,) = looks(20, 0.95).values()
    for end, inside in ((estimate.low, 1e-6), (estimate.high, -1e-6)):
        assert stats.brunnermunzel(a - end - inside, b).pvalue > allowed
        assert stats.brunnermunzel(a - end + inside, b).pvalue < allowed


def test_turning_the_arms_round_turns_the_interval_round():
    rng = np.random.default_rng(1)
    a, b = rng.random(20), rng.random(15)
    one, other = selected_difference(a, b), selected_difference(b, a)
    assert one.difference.value == pytest.approx(-other.difference.value)
    assert one.difference.low == pytest.approx(-other.difference.high)
    assert one.wins == pytest.approx(1 - other.wins)
    assert one.n == one.planned == 15


@pytest.mark.parametrize(
    ("n", "look", "shares"),
    [
        (9, 0, HALF_AND_MORE),
        (10, 10, HALF_AND_MORE),
        (14, 10, HALF_AND_MORE),
        (19, 15, HALF_AND_MORE),
        (20, 20, HALF_AND_MORE),
        (19, 0, ()),
        (20, 20, ()),
    ],
)
def test_there_is_no_interval_before_a_look_is_due(n, look, shares):
    a, b = np.arange(n) + 0.5, np.arange(n) + 0.0
    found = selected_difference(a, b, planned=20, shares=shares)
    assert (found.difference.interval is not None) is (look > 0)
    assert found.n == (look or n)


def test_an_early_look_sees_the_first_searches_alone_and_needs_much_more():
    rng = np.random.default_rng(2)
    a, b = normal(rng, 19) + 0.005, normal(rng, 19)
    found = selected_difference(a, b, planned=20, shares=HALF_AND_MORE)
    early, changed = found.difference, a.copy()
    changed[15:] = 0.1
    assert selected_difference(changed, b, planned=20, shares=HALF_AND_MORE) == found
    last = selected_difference(a[:15], b[:15]).difference
    assert early.low < last.low < last.high < early.high


@pytest.mark.slow
@pytest.mark.parametrize("second", [normal, wide, of_449_images, collapsing, skewed, unmoved])
@pytest.mark.parametrize("first", [normal, of_449_images, collapsing])
def test_no_look_misses_the_median_more_often_than_stated(first: Draw, second: Draw):
    rng, missed, repeats = np.random.default_rng(3), 0, 1000
    truth = float(np.median(first(rng, 400_001) - second(rng, 400_001)))
    for _ in range(repeats):
        a, b = first(rng, 20), second(rng, 20)
        looks = [
            selected_difference(a[:n], b[:n], planned=20, shares=HALF_AND_MORE).difference
            for n in (10, 15, 20)
        ]
        missed += any(
            look.interval is not None and not look.low <= truth <= look.high for look in looks
        )
    assert missed / repeats <= 0.065


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 5, 6, 10, 20, 37])
def test_the_interval_of_a_median_has_the_largest_rank_that_a_coin_allows(n, confidence):
    values = np.random.default_rng(n).permutation(np.arange(float(n)))
    allowed = [
        r for r in range(1, n // 2 + 1) if 2 * stats.binom.cdf(r - 1, n, 0.5) <= 1 - confidence
    ]
    estimate = median_interval(values, confidence=confidence)
    assert estimate.value == np.median(values)
    if allowed:
        assert estimate.interval == (allowed[-1] - 1, n - allowed[-1])
    else:
        assert estimate.interval is None


def test_an_arm_without_a_search_is_refused():
    with pytest.raises(InvalidInput, match="each arm needs at least one search, got none"):
        selected_difference(np.zeros(3), np.zeros(0))


@pytest.mark.slow
def test_the_detectable_shift_has_the_stated_power():
    rng, shift = np.random.default_rng(4), detectable_shift(20)
    assert detectable_shift(FEWEST_SEARCHES - 1) is None and shift is not None
    found = sum(
        selected_difference(rng.normal(shift, 1, 20), rng.normal(size=20)).difference.low > 0
        for _ in range(500)
    )
    assert abs(found / 500 - 0.8) < 0.07


@pytest.mark.slow
def test_the_searches_saved_are_those_that_stopped_comparisons_do_not_run():
    """At the difference shown with 80% power about a sixth is saved, at twice that two fifths."""
    shift, rng = detectable_shift(40, HALF_AND_MORE), np.random.default_rng(7)
    assert shift is not None
    for times, least, most in ((0.0, 39.5, 40), (1.0, 31, 36), (2.0, 20, 24)):
        expected = searches_until_shown(40, HALF_AND_MORE, times * shift)
        ended = []
        for _ in range(200):
            a, b = rng.normal(times * shift, 1, 40), rng.normal(size=40)
            shown = [
                n
                for n in (20, 30)
                if selected_difference(
                    a[:n], b[:n], planned=40, shares=HALF_AND_MORE
                ).difference.low
                > 0
            ]
            ended.append(min(shown, default=40))
        assert least <= expected <= most
        assert abs(expected - np.mean(ended)) < 1.5
