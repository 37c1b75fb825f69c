from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare.statistics.best_of_k import (
    best_of_k_difference,
    best_of_k_interval,
    best_of_k_probability,
    expected_best_of_k,
    trials_for_interval,
)

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
            difference = best_of_k_difference(a, b, k, seed=repeat, draws=400)
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


def test_scores_of_two_values_have_clopper_and_pearsons_interval() -> None:
    # 12 good of 60: (.107841, .323300); the best of 2 is good with the chance 1 - (1 - share)^2.
    scores = np.repeat([0.0, 1.0], [48, 12])
    estimate = best_of_k_interval(scores, 2, draws=40_000)
    expected = (1 - (1 - 0.107841) ** 2, 1 - (1 - 0.323300) ** 2)
    assert estimate.interval == pytest.approx(expected, abs=4e-3)


def test_the_interval_agrees_with_one_built_trial_by_trial() -> None:
    rng = np.random.default_rng(3)
    scores, k = np.sort(np.round(rng.random(60), 1)), 4
    below = np.sort(rng.random((20_000, 60)), axis=1) ** k
    lower, upper = np.zeros(20_000), (1 - below[:, -1]) * 2.0
    for i in range(60):
        chance = below[:, i] - (below[:, i - 1] if i else 0.0)
        upper += chance * scores[i]
        lower += chance * (scores[i - 1] if i else -1.0)
    lower += (1 - below[:, -1]) * scores[-1]
    estimate = best_of_k_interval(scores, k, bounds=(-1.0, 2.0), confidence=0.9, draws=20_000)
    expected = (np.quantile(lower, 0.05), np.quantile(upper, 0.95))
    assert estimate.interval == pytest.approx(expected, abs=3e-3)


def test_bounds_widen_the_interval_on_their_own_side() -> None:
    scores = np.random.default_rng(2).uniform(0.8, 0.9, 100)
    seen, higher = (best_of_k_interval(scores, 5, bounds=(0.8, most)) for most in (0.9, 1.0))
    assert seen.interval is not None and higher.interval is not None
    assert higher.interval[0] == seen.interval[0]
    assert higher.interval[1] > seen.interval[1] + 0.005


def test_the_better_arm_shows_what_the_other_may_still_find() -> None:
    ours, theirs = np.full(200, 0.5), np.repeat([0.5, 0.9], [100, 100])
    difference = best_of_k_difference(ours, theirs, 10)
    assert difference.interval is not None
    # 200 misses leave a share of at most 1.83%: the best of 10 is then .9 with a chance of 16.8%.
    assert difference.interval[1] == pytest.approx(-0.4 * (1 - 0.168), abs=0.01)


def test_both_intervals_hold_their_estimate_and_turn_round_with_the_arms() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(200), 0.9 * rng.random(150)
    difference, chance = best_of_k_difference(a, b, 10), best_of_k_probability(a, b, 10)
    turned, turned_chance = best_of_k_difference(b, a, 10), best_of_k_probability(b, a, 10)
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
    scores = np.full(40, 0.5)
    difference, chance = (
        f(scores, scores, 2) for f in (best_of_k_difference, best_of_k_probability)
    )
    assert difference.value == pytest.approx(0.0, abs=1e-12)
    assert difference.interval == pytest.approx((0.0, 0.0), abs=1e-12)
    assert chance.value == pytest.approx(0.5)


def test_leaving_out_hopeless_scores_does_not_change_the_estimate() -> None:
    scores = np.random.default_rng(0).random(5000)
    estimate = best_of_k_interval(scores, 500, draws=200)
    assert estimate.value == pytest.approx(expected_best_of_k(scores, [500])[0])
    assert estimate.interval is not None
    assert estimate.interval[0] < 500 / 501 < estimate.interval[1]
