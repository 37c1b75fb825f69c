"""Verdicts: what a figure says, and what figures say together."""

import pytest

from tuner.claims.outcome import ClaimOutcome, Figure, other_signs, same_signs, within, worst
from tuner.compare.statistics.estimate import Estimate


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.9, 0.9, "holds"),
        (-1.0, 1.0, "holds"),
        (-1.1, 0.5, "not settled"),
        (0.5, 1.5, "not settled"),
        (-2.0, 2.0, "not settled"),
        (1.1, 1.5, "does not hold"),
        (-3.0, -1.1, "does not hold"),
    ],
)
def test_an_interval_decides_only_where_it_lies_inside_or_outside_entirely(low, high, verdict):
    assert within(Estimate((low + high) / 2, low, high), -1.0, 1.0) == verdict


def test_a_number_without_an_interval_settles_nothing():
    assert within(Estimate(0.0), -1.0, 1.0) == "not settled"


def test_the_worst_figure_decides_and_is_shown_first():
    figures = (
        Figure("a", 0.0, "0", "0", "holds"),
        Figure("b", 1.0, "1"),
        Figure("c", 2.0, "2", "0", "not settled"),
        Figure("d", 3.0, "3", "0", "does not hold"),
        Figure("e", 4.0, "4", "0", "holds"),
    )
    assert ClaimOutcome(figures).verdict == "does not hold"
    assert [figure.label for figure in ClaimOutcome(figures).headlines] == ["d", "c", "a"]
    assert ClaimOutcome(figures[:3]).verdict == worst(["holds", "not settled"]) == "not settled"


def test_equal_signs_say_nothing_where_nothing_moved():
    assert same_signs("x", 0, 10, moved=5).verdict == "holds"
    assert same_signs("x", 0, 10, moved=0).verdict == "not settled"
    assert same_signs("x", 1, 10, moved=0).verdict == "does not hold"


def test_where_the_same_training_twice_differs_nothing_is_settled():
    assert same_signs("x", 0, 10, moved=5, twin=1).verdict == "not settled"
    assert same_signs("x", 3, 10, moved=5, twin=1).verdict == "not settled"


def test_signs_that_should_differ_must_do_so_in_the_share_declared():
    assert other_signs("x", 5, 100, least=0.05).verdict == "holds"
    assert other_signs("x", 4, 100, least=0.05).verdict == "does not hold"
    assert other_signs("x", 4, 100, least=None).verdict is None
