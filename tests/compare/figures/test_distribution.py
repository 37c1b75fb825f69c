"""Penalties, which are no scores, do not squeeze those that are into a line."""

import sys
from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare import Arm, Protocol
from tuner.compare.comparison import judged
from tuner.compare.figures.distribution import caption, draw, visible

Make = Callable[..., Arm]
LOSS = Protocol(unit="negated loss", rope=0.0)
SCORES = -np.linspace(1, 2, 37)


@pytest.mark.parametrize("penalty", [1e3, 1e30, sys.float_info.max])
@pytest.mark.parametrize("n_penalties", [3, 37])
def test_penalties_are_counted_at_the_left_end(arm: Make, penalty: float, n_penalties: int):
    scores = np.concatenate([np.full(n_penalties, -penalty), SCORES])
    comparison = judged([arm("new", scores), arm("old", SCORES)], LOSS, notes=[])
    drawing = draw(comparison)
    axes = drawing.axes[0]
    assert axes.get_xlim() == pytest.approx((-2.03, -0.97))
    line = axes.get_lines()[0]
    assert line.get_ydata()[1] == pytest.approx(n_penalties / scores.size)
    assert f"{n_penalties} trials score far less than is drawn" in caption(comparison)


def test_scores_with_a_long_tail_are_all_drawn(arm: Make):
    rng = np.random.default_rng(0)
    tail = -np.abs(rng.standard_t(2, 300))
    assert visible([arm("new", tail)]).min() == tail.min()
    two = np.array([0.1, 0.9, 0.9])
    assert visible([arm("new", two)]).tolist() == [0.1, 0.9]
