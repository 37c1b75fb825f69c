from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare.bootstrap import best_of_k_contrast, best_of_k_interval, trials_for_interval
from tuner.compare.estimators import best_of_k_cdf, expected_best_of_k

Draw = Callable[[np.random.Generator, int], np.ndarray]


def partly_diverging(share: float) -> Draw:
    """Scores of .1 with this chance, else uniform on [.8, .95]."""
    return lambda rng, n: np.where(rng.random(n) < share, 0.1, rng.uniform(0.8, 0.95, n))


def true_best_of_k(share: float, k: int) -> float:
    """The expectation that ``partly_diverging`` has, in closed form."""
    inside = 1 - (1 - share ** (k + 1)) / ((1 - share) * (k + 1))
    return 0.1 + 0.7 * (1 - share**k) + 0.15 * inside


@pytest.mark.slow
@pytest.mark.parametrize(("n", "k"), [(20, 2), (40, 4), (100, 5), (200, 20)])
def test_a_stated_95_percent_interval_of_the_difference_covers_at_least_93(n: int, k: int) -> None:
    rng = np.random.default_rng(n)
    for ours, theirs in ((0.05, 0.4), (0.6, 0.6)):
        truth = true_best_of_k(ours, k) - true_best_of_k(theirs, k)
        covered = 0
        for repeat in range(300):
            a, b = partly_diverging(ours)(rng, n), partly_diverging(theirs)(rng, n)
            difference, _ = best_of_k_contrast(a, b, k, seed=repeat, resamples=400)
            assert difference.interval is not None
            covered += difference.interval[0] <= truth <= difference.interval[1]
        assert covered / 300 >= 0.93


def test_no_interval_is_stated_where_it_would_not_cover() -> None:
    scores = np.random.default_rng(0).random(99)
    assert best_of_k_interval(scores, 10).interval is None
    assert best_of_k_interval(scores, 9).interval is not None
    assert best_of_k_interval(scores[:19], 2).interval is None
    assert best_of_k_interval(scores[:20], 2).interval is not None
    assert best_of_k_interval(scores, 99).value == scores.max()
    assert trials_for_interval(10) == 100
    assert trials_for_interval(1) == 1000  # a mean hangs on the worst trials


def test_the_bootstrap_agrees_with_resampling_one_by_one() -> None:
    rng = np.random.default_rng(3)
    scores, k = np.round(rng.random(60), 1), 4
    resampled = rng.choice(scores, (20_000, 60))
    by_hand = np.sort(resampled, axis=1) @ np.diff(best_of_k_cdf(60, k))
    estimate = best_of_k_interval(scores, k, confidence=0.9, resamples=20_000)
    # Student's t with 60/4 - 1 observations widens a 90% interval to these percentiles.
    low, high = np.quantile(by_hand, [0.0341, 0.9659])
    assert estimate.interval == pytest.approx((low, high), abs=2e-3)


def test_both_intervals_hold_their_estimate_and_turn_round_with_the_arms() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(200), 0.9 * rng.random(150)
    difference, chance = best_of_k_contrast(a, b, 10)
    turned, turned_chance = best_of_k_contrast(b, a, 10)
    assert difference.interval is not None and chance.interval is not None
    assert difference.interval[0] < difference.value < difference.interval[1]
    assert 0 <= chance.interval[0] < chance.value < chance.interval[1] <= 1
    assert turned.value == pytest.approx(-difference.value)
    assert turned_chance.value == pytest.approx(1 - chance.value)
    assert turned.interval == pytest.approx(
        (-difference.interval[1], -difference.interval[0]), abs=0.01
    )


def test_the_same_seed_gives_the_same_interval() -> None:
    scores = np.random.default_rng(0).random(100)
    assert best_of_k_interval(scores, 5, seed=4) == best_of_k_interval(scores, 5, seed=4)
    assert best_of_k_interval(scores, 5, seed=4) != best_of_k_interval(scores, 5, seed=5)


def test_equal_scores_everywhere_give_an_interval_without_width() -> None:
    difference, chance = best_of_k_contrast(np.full(40, 0.5), np.full(40, 0.5), 2)
    assert difference.value == pytest.approx(0.0, abs=1e-12)
    assert difference.interval == pytest.approx((0.0, 0.0), abs=1e-12)
    assert chance.value == pytest.approx(0.5)


def test_leaving_out_hopeless_scores_does_not_change_the_estimate() -> None:
    scores = np.random.default_rng(0).random(5000)
    estimate = best_of_k_interval(scores, 500, resamples=200)
    assert estimate.value == pytest.approx(expected_best_of_k(scores, [500])[0])
    assert estimate.interval is not None
    assert estimate.interval[0] < 500 / 501 < estimate.interval[1]
