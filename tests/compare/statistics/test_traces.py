import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tuner.compare import Protocol
from tuner.compare.figures.repeated_searches import traces_figure
from tuner.compare.figures.styles import arm_styles
from tuner.compare.statistics.speedup import rmst_ratio
from tuner.compare.statistics.targets import Waits
from tuner.compare.statistics.traces import incumbent_traces, median_ranks
from tuner.errors import InvalidInput


def waits_of(trials: list[float], misses: int = 0) -> Waits:
    """The last ``misses`` never reached the target."""
    return Waits(np.array(trials), np.arange(len(trials)) < len(trials) - misses)


def test_the_median_of_a_few_repeats_has_its_exact_ranks() -> None:
    assert [median_ranks(r) for r in (1, 5, 6, 8, 9, 10, 20)] == [
        None, None, (1, 6), (1, 8), (2, 8), (2, 9), (6, 15),
    ]  # fmt: skip
    assert median_ranks(5, confidence=0.9) == (1, 5)


@given(st.integers(6, 200), st.floats(0.5, 0.96))
def test_the_ranks_are_the_narrowest_that_cover(r: int, confidence: float) -> None:
    ranks = median_ranks(r, confidence=confidence)
    assert ranks is not None
    d = ranks[0]
    assert ranks[1] == r + 1 - d and d <= r + 1 - d
    assert 1 - 2 * stats.binom.cdf(d - 1, r, 0.5) >= confidence - 1e-9
    if 2 * (d + 1) <= r + 1:
        assert 1 - 2 * stats.binom.cdf(d, r, 0.5) < confidence + 1e-9


def test_best_so_far_is_carried_forward_from_a_search_that_ended() -> None:
    traces = incumbent_traces(
        [np.array([0.1, 0.5, 0.3, 0.9]), np.array([0.4]), np.array([0.2, 0.2, 0.6])]
    )
    # Best so far: .1 .5 .5 .9 / .4 .4 .4 .4 / .2 .2 .6 .6
    assert traces.median.tolist() == [0.2, 0.4, 0.5, 0.6]
    assert traces.low is None and traces.high is None
    assert traces.lengths.tolist() == [4, 1, 3]


def test_six_repeats_are_enclosed_by_their_extremes() -> None:
    rng = np.random.default_rng(0)
    searches = [np.round(rng.random(7), 1) for _ in range(6)]
    best = np.maximum.accumulate(np.array(searches), axis=1)
    traces = incumbent_traces(searches)
    assert traces.low is not None and traces.high is not None
    assert traces.low.tolist() == best.min(axis=0).tolist()
    assert traces.high.tolist() == best.max(axis=0).tolist()
    assert traces.median == pytest.approx(np.median(best, axis=0))


def test_one_repeat_is_its_own_trace() -> None:
    traces = incumbent_traces([np.array([0.3, 0.1, 0.8])])
    assert traces.median.tolist() == [0.3, 0.3, 0.8]
    assert traces.low is None


@pytest.mark.slow
def test_long_searches_are_worked_on_in_blocks() -> None:
    searches = list(np.random.default_rng(0).random((200, 20_000)))
    traces = incumbent_traces(searches)
    best = np.maximum.accumulate(np.array(searches), axis=1)
    for column in (0, 5242, 5243, 19_999):
        assert traces.median[column] == pytest.approx(np.median(best[:, column]))
    assert traces.low is not None and (traces.low <= traces.median).all()


def test_a_search_without_scores_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one search, got none"):
        incumbent_traces([])
    with pytest.raises(InvalidInput, match="search 1 has 0 trials"):
        incumbent_traces([np.ones(2), np.empty(0)])
    with pytest.raises(InvalidInput, match="search 0 has 2 trials, 1 of them not finite"):
        incumbent_traces([np.array([0.1, np.nan])])
    with pytest.raises(InvalidInput, match="r >= 1 values, got 0"):
        median_ranks(0)


def test_the_figure_draws_steps_and_a_band_only_where_there_is_one() -> None:
    rng = np.random.default_rng(0)
    many, one = incumbent_traces(list(rng.random((8, 30)))), incumbent_traces([rng.random(50)])
    axes = traces_figure({"tpe": many, "hand": one}, Protocol(), arm_styles(["tpe", "hand"])).axes[
        0
    ]
    assert [line.get_label() for line in axes.lines] == ["tpe (8 repeats)", "hand (1 repeat)"]
    assert all(line.get_drawstyle() == "steps-post" for line in axes.lines)
    assert np.asarray(axes.lines[1].get_ydata()) == pytest.approx(one.median)
    assert len(axes.collections) == 1
    assert axes.get_xlim()[1] == 50
    of_losses = traces_figure({}, Protocol(unit="loss"), {})
    assert of_losses.axes[0].get_ylabel() == "best loss so far"


def test_the_ratio_of_mean_trials_is_old_over_new() -> None:
    new, old = waits_of([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10]), waits_of([20.0] * 8 + [40, 40], 2)
    ratio = rmst_ratio(new, old, horizon=40)
    assert ratio.value == pytest.approx(24 / 5.5)
    assert ratio.low is not None and ratio.high is not None
    assert 1 < ratio.low < 24 / 5.5 < ratio.high
    assert ratio == rmst_ratio(new, old, horizon=40)
    assert ratio != rmst_ratio(new, old, horizon=40, seed=1)


def test_too_few_repeats_or_successes_are_told_in_words() -> None:
    ten, nine = waits_of([5.0] * 10), waits_of([5.0] * 9)
    never = waits_of([20.0] * 10, 10)
    few = rmst_ratio(ten, nine, horizon=20)
    assert few.value is None and few.reason == "needs at least 10 repeats of each search, got 9"
    neither = rmst_ratio(never, never, horizon=20)
    assert neither.value is None
    assert neither.reason == "neither search reached the target in any repeat"
    half = rmst_ratio(ten, never, horizon=20)
    assert half.value == pytest.approx(4) and 1 < half.low < 4 < half.high


def test_repeats_without_spread_leave_room_for_searches_that_get_stuck() -> None:
    """Of ten searches none was; up to 1 - .025^(1/10) = 31% may be, with 97.5%."""
    ten = waits_of([5.0] * 10)
    ratio = rmst_ratio(ten, ten, horizon=20)
    assert ratio.value == 1
    assert ratio.high == pytest.approx((5 + 0.31 * 15) / 5, rel=0.15)
    assert ratio.low == pytest.approx(1 / ratio.high, rel=0.1)


def test_a_horizon_beyond_a_missed_search_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"horizon must be in \(0, 20\], the shortest new"):
        rmst_ratio(waits_of([20.0] * 10, 10), waits_of([5.0] * 10), horizon=30)
