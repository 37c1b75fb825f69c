from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opda.nonparametric import EmpiricalDistribution

from tuner.compare import Arm, Protocol
from tuner.compare.figures.distribution import edf_figure
from tuner.compare.figures.styles import arm_styles
from tuner.compare.statistics.edf import empirical_distribution
from tuner.errors import InvalidInput

Make = Callable[..., Arm]


def test_eight_failures_stay_in_the_denominator() -> None:
    edf = empirical_distribution(np.array([0.1] * 8 + [0.9, 0.8]))
    assert edf.scores.tolist() == [0.1, 0.8, 0.9]
    assert edf.share == pytest.approx([0.8, 0.9, 1.0])


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 17, 40])
def test_the_band_is_the_one_that_opda_simulates(n: int) -> None:
    scores = np.random.default_rng(n).random(n)
    lower, _, upper = EmpiricalDistribution.confidence_bands(
        scores, 0.95, 0.0, 1.0, generator=np.random.default_rng(0),
        method="ld_equal_tailed", n_jobs=1,
    )  # fmt: skip
    edf = empirical_distribution(scores)
    # opda names its bands by the distribution function: the lower one lies below.
    assert edf.low == pytest.approx(lower.cdf(edf.scores), abs=5e-3)
    assert edf.high == pytest.approx(upper.cdf(edf.scores), abs=5e-3)
    assert edf.below == pytest.approx(float(upper.cdf(edf.scores[0] / 2)), abs=5e-3)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_curve_and_band_are_ordered_steps_also_with_ties(scores: list[int]) -> None:
    edf = empirical_distribution(np.array(scores, dtype=float))
    by_hand = [np.mean(np.array(scores) <= x) for x in edf.scores]
    assert edf.share == pytest.approx(by_hand)
    assert (edf.low <= edf.share).all() and (edf.share <= edf.high).all()
    assert (np.diff(edf.low) >= 0).all() and (np.diff(edf.high) >= 0).all()
    assert 0 < edf.below <= edf.high[0] and edf.high[-1] == 1


@pytest.mark.parametrize("levels", [4, 10_000])
def test_the_whole_true_distribution_lies_in_the_band_as_often_as_it_says(levels: int) -> None:
    rng, held, grid = np.random.default_rng(0), 0, np.arange(levels) / levels
    truth = grid + 1 / levels
    for _ in range(400):
        edf = empirical_distribution(np.floor(rng.random(30) * levels) / levels)
        place = np.searchsorted(edf.scores, grid, side="right") - 1
        low = np.where(place >= 0, edf.low[place], 0.0)
        high = np.where(place >= 0, edf.high[place], edf.below)
        held += bool(((low <= truth + 1e-9) & (truth <= high + 1e-9)).all())
    assert held / 400 >= 0.93


@pytest.mark.slow
def test_twenty_thousand_trials_take_the_closed_band() -> None:
    scores = np.random.default_rng(0).random(20_000)
    edf = empirical_distribution(scores)
    assert edf.below == pytest.approx(np.sqrt(np.log(40) / 40_000))
    assert edf.high[9_999] - edf.share[9_999] == pytest.approx(edf.below)
    # At a quarter of the trials the exact one, of twice the width, is wider only in the middle.
    exact = empirical_distribution(scores[:5_000])
    assert 1 < (exact.high[2_500] - exact.share[2_500]) / (2 * edf.below) < 1.3
    assert exact.below < edf.below / 2


def test_scores_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(InvalidInput, match="got 2 scores, 1 of them not finite"):
        empirical_distribution(np.array([0.5, np.nan]))
    with pytest.raises(InvalidInput, match=r"at least one score.*got 0 scores"):
        empirical_distribution(np.empty(0))


def test_the_figure_counts_failures_and_bands_only_independent_trials(arm: Make) -> None:
    rng = np.random.default_rng(0)
    failed = np.arange(40) < 10
    drawn = [
        arm("new", np.where(failed, 0.1, 0.9 + 0.05 * rng.random(40)), failed=failed),
        arm("old", rng.random(40), sampler="tpe"),
    ]
    axes = edf_figure(drawn, Protocol(), arm_styles(["new", "old"])).axes[0]
    assert [line.get_label() for line in axes.lines] == ["new (10 of 40 failed)", "old (40)"]
    assert len(axes.collections) == 1
    share = np.asarray(axes.lines[0].get_ydata())
    assert share[:2] == pytest.approx([0.0, 0.25]) and share[-1] == 1
    assert axes.get_xlabel() == "validation accuracy"


def test_a_single_trial_or_equal_scores_can_be_drawn(arm: Make) -> None:
    arms = [arm("one", [-3.0]), arm("same", [-3.0] * 9)]
    axes = edf_figure(arms, Protocol(unit="loss"), arm_styles(["one", "same"])).axes[0]
    assert axes.get_xlim() == pytest.approx((-3.01, -2.99))
    assert len(axes.lines) == 2


def test_many_trials_are_drawn_in_as_many_steps_as_can_be_seen(arm: Make) -> None:
    scores = np.random.default_rng(0).random(20_000)
    axes = edf_figure([arm("many", scores)], Protocol(), arm_styles(["many"])).axes[0]
    x, share = (np.asarray(data) for data in axes.lines[0].get_data())
    assert x.size <= 2000 and (share[0], share[-1]) == (0, 1)
    assert np.abs(share[1:-1] - x[1:-1]).max() < 0.02
