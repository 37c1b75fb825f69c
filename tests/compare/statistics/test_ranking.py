import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuner.compare.figures.importance import importance_figure
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.ranking import Importance, Ranking, effective_number, ranking
from tuner.errors import InvalidInput

NAN = math.nan
NAMES = ("alpha", "gamma", "decay")


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8).filter(any), st.integers(1, 100))
def test_the_effective_number_is_the_smallest_set_that_holds_the_share(
    parts: list[int], per_cent: int
):
    fewest = next(
        size
        for size in range(1, len(parts) + 1)
        if any(100 * sum(some) >= per_cent * sum(parts) for some in combinations(parts, size))
    )
    assert effective_number(np.array(parts, dtype=float), per_cent / 100) == fewest


def test_the_effective_number_of_equal_importances_is_nearly_all():
    assert effective_number(np.full(10, 0.1)) == 9
    assert effective_number(np.array([6.0, 3.0, 1.0])) == 2
    assert effective_number(np.array([0.0, 5.0])) == 1


@pytest.mark.parametrize("bad", [[], [0.0, 0.0], [1.0, -0.1], [1.0, NAN], [math.inf, 1.0]])
def test_importances_that_no_share_can_be_taken_of_are_refused(bad: list[float]):
    with pytest.raises(InvalidInput, match="effective number: needs importances of at least 0"):
        effective_number(np.array(bad))


def test_a_share_to_hold_must_be_positive():
    with pytest.raises(InvalidInput, match=r"held must be in \(0, 1\], got nan"):
        effective_number(np.ones(2), NAN)


def test_a_ranking_has_shares_and_intervals_by_hand():
    draws = np.array([[k, 100.0 - k, 0.0] for k in range(101)])
    ranked = ranking(NAMES, np.array([1.0, 3.0, 0.0]), draws=draws, confidence=0.9)
    assert ranked is not None
    assert list(ranked.shares) == ["gamma", "alpha", "decay"]
    assert ranked.shares["gamma"] == Estimate(0.75, pytest.approx(0.05), pytest.approx(0.95))
    assert ranked.shares["decay"] == Estimate(0.0, 0.0, 0.0)
    assert ranked.effective == Estimate(2, 1.0, 2.0)
    assert ranked.total.value == 4 and ranked.total.interval == (4, 100)  # holds its estimate


def test_resamples_without_importance_are_left_out_or_take_the_interval_away():
    importances = np.array([2.0, 1.0, 1.0])
    draws = np.vstack([np.tile(importances, (95, 1)), np.zeros((3, 3)), np.full((2, 3), NAN)])
    few = ranking(NAMES, importances, draws=draws)
    many = ranking(NAMES, importances, draws=np.vstack([draws, np.zeros((10, 3))]))
    none = ranking(NAMES, importances, draws=np.empty((0, 3)))
    assert few is not None and many is not None and none is not None
    assert few.shares["alpha"] == Estimate(0.5, 0.5, 0.5)
    for without in (many, none):
        assert without.shares["alpha"] == Estimate(0.5)
        assert without.effective == Estimate(3)
    assert ranking(NAMES, np.zeros(3), draws=draws) is None


def test_the_interval_of_a_count_is_widened_to_whole_numbers():
    draws = np.array([[1.0, 0.0, 0.0]] * 4 + [[1.0, 1.0, 1.0]] * 4)
    ranked = ranking(NAMES, np.array([1.0, 1.0, 0.0]), draws=draws, confidence=0.1)
    assert ranked is not None and ranked.effective == Estimate(2, 1.0, 3.0)


@pytest.mark.parametrize(
    ("importances", "shape", "confidence", "message"),
    [
        (np.ones(2), (5, 3), 0.9, r"ranking: needs importances \[p\] .* got \[2\] and \[5, 3\]"),
        (np.ones(3), (5, 2), 0.9, r"got \[3\] and \[5, 2\]"),
        (np.ones(3), (5, 3), NAN, r"ranking: confidence must be in \(0, 1\), got nan"),
    ],
)
def test_a_ranking_of_what_does_not_fit_is_refused(
    importances: np.ndarray, shape: tuple[int, int], confidence: float, message: str
):
    with pytest.raises(InvalidInput, match=message):
        ranking(NAMES, importances, draws=np.ones(shape), confidence=confidence)


def test_bars_and_intervals_are_the_shares_in_the_first_method_s_order():
    first = Ranking(
        {"gamma": Estimate(0.7, 0.5, 0.8), "alpha": Estimate(0.3, 0.2, 0.5)},
        Estimate(2, 1, 2),
        Estimate(1.0),
    )
    second = Ranking(
        {"alpha": Estimate(0.95), "gamma": Estimate(0.05)}, Estimate(1), Estimate(0.6)
    )
    drawing = importance_figure(
        [
            ("new", Importance({"PED-ANOVA": first, "fANOVA": second}, None, 50)),
            ("old", Importance({}, "needs at least 20 finished trials, got 3", 3)),
        ]
    )
    new, old = drawing.axes
    assert [label.get_text() for label in new.get_yticklabels()] == ["gamma", "alpha"]
    assert [bar.get_width() for bar in new.patches] == [0.7, 0.3, 0.05, 0.95]
    assert [line[:, 0].tolist() for line in new.collections[0].get_segments()] == [
        [0.5, 0.8],
        [0.2, 0.5],
    ]
    assert [text.get_text() for text in new.get_legend().get_texts()] == [
        "PED-ANOVA: 2 of 2 hold 90% [1, 2]",
        "fANOVA: 1 of 2 hold 90%",
    ]
    assert [text.get_text() for text in old.texts] == ["needs at least 20 finished trials, got 3"]
    drawing.canvas.draw()
    with pytest.raises(InvalidInput, match="importance figure: needs at least one arm"):
        importance_figure([])
