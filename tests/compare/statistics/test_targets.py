import numpy as np
import pytest

from tuner.compare.statistics.targets import (
    Trials,
    Waits,
    good_region_share,
    logrank_p,
    mean_trials,
    survival,
    trials_for_success,
    waits,
)
from tuner.errors import InvalidInput

OURS = Waits(np.array([3.0, 5, 8, 12, 20, 20]), np.array([True, True, True, True, False, False]))
THEIRS = Waits(
    np.array([6.0, 11, 15, 20, 20, 20]), np.array([True, True, True, False, False, False])
)


@pytest.mark.parametrize(
    ("hits", "low", "high"),
    [(12, 0.107841, 0.323300), (5, 0.027613, 0.183858), (0, 0.0, 0.059629)],
)
def test_good_region_share_has_the_reference_interval(hits: int, low: float, high: float) -> None:
    share = good_region_share(hits, 60)
    assert (share.value, share.low, share.high) == pytest.approx((hits / 60, low, high), abs=1e-6)


def test_trials_for_success_have_the_reference_values() -> None:
    assert trials_for_success(good_region_share(12, 60)).value == 14
    assert trials_for_success(good_region_share(5, 60)).value == 35


def test_a_target_never_reached_takes_no_finite_number_of_trials() -> None:
    assert trials_for_success(good_region_share(0, 60)) == Trials(None, 49, None)
    assert trials_for_success(good_region_share(60, 60)) == Trials(1, 1, 2)


def test_hits_outside_the_trials_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got 61/60"):
        good_region_share(61, 60)


def test_kaplan_meier_has_the_reference_values() -> None:
    events, chances = survival(OURS)
    assert events.tolist() == [3, 5, 8, 12]
    assert chances == pytest.approx([5 / 6, 2 / 3, 1 / 2, 1 / 3])


def test_mean_trials_have_the_reference_values() -> None:
    assert mean_trials(OURS, 20) == pytest.approx(11.3333, abs=1e-4)
    assert mean_trials(THEIRS, 20) == pytest.approx(15.3333, abs=1e-4)
    assert logrank_p(OURS, THEIRS) == pytest.approx(0.412541, abs=1e-6)


def test_mean_trials_without_any_miss_are_the_plain_mean() -> None:
    times = Waits(np.array([2.0, 4, 4, 9]), np.ones(4, dtype=bool))
    assert mean_trials(times, 9) == pytest.approx(4.75)
    assert mean_trials(times, 50) == pytest.approx(4.75)


def test_a_horizon_beyond_a_search_that_missed_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"horizon must be in \(0, 20\].*got 21"):
        mean_trials(OURS, 21)


def test_waits_censor_a_search_that_never_reaches_the_target() -> None:
    times = waits([np.array([0.2, 0.9, 0.95]), np.array([0.1, 0.2])], 0.9)
    assert times.trials.tolist() == [2, 2]
    assert times.reached.tolist() == [True, False]


def test_the_log_rank_test_says_nothing_where_nothing_differs() -> None:
    never = Waits(np.array([5.0, 5]), np.array([False, False]))
    at_once = Waits(np.array([1.0]), np.array([True]))
    assert logrank_p(never, never) is None
    assert logrank_p(at_once, at_once) is None
    assert survival(never)[0].size == 0
    assert mean_trials(never, 5) == 5
