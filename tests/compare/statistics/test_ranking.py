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


def contributions(*means: float, spread: float = 0.0, n: int = 100) -> np.ndarray:
    """Of n trials to each hyperparameter, with these means, and one spread in turn up and down."""
    signs = np.where(np.arange(n) % 2, 1.0, -1.0)
    return np.array([mean + spread * signs * (1 if i == 0 else 0) for i, mean in enumerate(means)])


def test_a_ranking_of_what_is_certain_has_shares_and_no_width():
    ranked = ranking(NAMES, contributions(0.1, 0.3, 0.0), explained=0.4, unlearned=0.0)
    assert ranked is not None
    assert list(ranked.shares) == ["gamma", "alpha", "decay"]
    assert ranked.shares["gamma"] == Estimate(
        pytest.approx(0.75), pytest.approx(0.75), pytest.approx(0.75)
    )
    assert ranked.shares["decay"] == Estimate(0.0, 0.0, 0.0)
    assert ranked.effective == Estimate(2, 2.0, 2.0)
    assert (ranked.explained, ranked.unlearned) == (0.4, 0.0)


def test_what_is_unlearned_may_be_any_single_hyperparameter_s():
    ranked = ranking(NAMES, contributions(0.1, 0.3, 0.0), explained=0.6, unlearned=0.2)
    assert ranked is not None  # a quarter of all
    low, high = ranked.shares["gamma"].interval or (0, 0)
    assert (low, high) == (pytest.approx(0.75 * 0.75), pytest.approx(0.75 * 0.75 + 0.25))
    assert ranked.shares["decay"].interval == (0, pytest.approx(0.25))
    assert ranked.effective == Estimate(2, 2.0, 3.0)
    alone = ranking(["alpha"], contributions(0.1), explained=0.6, unlearned=0.2)
    assert alone is not None and alone.shares["alpha"] == Estimate(1.0, 1.0, 1.0)


def test_the_width_is_that_of_the_shares_error_and_a_quarter_more():
    spread = ranking(NAMES[:2], contributions(1.0, 1.0, spread=0.2), explained=0.5, unlearned=0.0)
    assert spread is not None  # the share a / (a + b) has the slope b / (a + b)^2 = 1/4
    reach = 1.25 * 1.959964 * 0.25 * 0.2 / 10
    assert spread.shares["alpha"].interval == pytest.approx((0.5 - reach, 0.5 + reach))


def test_a_mean_below_zero_counts_as_none_and_all_below_zero_as_nothing():
    ranked = ranking(NAMES, contributions(0.4, -0.1, 0.1), explained=0.5, unlearned=0.0)
    assert ranked is not None
    assert [share.value for share in ranked.shares.values()] == pytest.approx([0.8, 0.2, 0])
    assert all(share.interval is not None for share in ranked.shares.values())
    for none in (-contributions(1, 1, 1), contributions(0, 0, 0)):
        assert ranking(NAMES, none, explained=0.5, unlearned=0.0) is None
    assert ranking(NAMES, contributions(1, 1, 1), explained=-0.1, unlearned=0.0) is None


def test_the_seed_decides_the_interval_of_the_count():
    some = np.random.default_rng(0).normal(1, 4, (3, 60))
    first, again = (ranking(NAMES, some, explained=0.5, unlearned=0.1, seed=1) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("shape", "confidence", "message"),
    [
        ((5, 2), 0.9, r"ranking: needs contributions \[p, n\] of p=3 names, got \[5, 2\]"),
        ((3,), 0.9, r"got \[3\]"),
        ((3, 5), NAN, r"ranking: confidence must be in \(0, 1\), got nan"),
    ],
)
def test_a_ranking_of_what_does_not_fit_is_refused(
    shape: tuple[int, ...], confidence: float, message: str
):
    with pytest.raises(InvalidInput, match=message):
        ranking(NAMES, np.ones(shape), explained=0.5, unlearned=0.0, confidence=confidence)


def test_bars_and_intervals_are_the_shares_the_largest_first():
    ranked = Ranking(
        {"gamma": Estimate(0.7, 0.5, 0.8), "alpha": Estimate(0.3, 0.2, 0.5)},
        Estimate(2, 1, 2),
        explained=0.8,
        unlearned=0.1,
    )
    drawing = importance_figure(
        [
            ("new", Importance(ranked, None, 90)),
            ("old", Importance(None, "needs at least 60 finished trials, got 3", 3)),
        ]
    )
    new, old = drawing.axes
    assert [label.get_text() for label in new.get_yticklabels()] == ["gamma", "alpha"]
    assert [bar.get_width() for bar in new.patches] == [0.7, 0.3]
    assert [line[:, 0].tolist() for line in new.collections[0].get_segments()] == [
        [0.5, 0.8],
        [0.2, 0.5],
    ]
    assert [text.get_text() for text in new.get_legend().get_texts()] == ["2 of 2 hold 90% [1, 2]"]
    assert [text.get_text() for text in old.texts] == ["needs at least 60 finished trials, got 3"]
    drawing.canvas.draw()
    with pytest.raises(InvalidInput, match="importance figure: needs at least one arm"):
        importance_figure([])
