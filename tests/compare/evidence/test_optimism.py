from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare import Arm, Retrained
from tuner.compare.evidence.optimism import optimism

Make = Callable[..., Arm]


def test_optimism_is_the_best_score_minus_its_fresh_runs(arm: Make) -> None:
    val = np.array([0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96])
    test = val - np.array([0.01, 0.0, 0.04, 0.02, 0.03, 0.0, 0.05])
    luck = optimism(arm("a", [0.5, 0.97, 0.7], retrained=Retrained({}, val=val, test=test)))
    assert luck is not None
    assert (luck.best, luck.seeds) == (0.97, 7)
    # Of seven runs the median's 95% interval reaches from the least to the greatest.
    assert (luck.selection.value, luck.selection.low, luck.selection.high) == pytest.approx(
        (0.04, 0.01, 0.07)
    )
    # Paired by seed, and not the spread of either list.
    assert (luck.split.value, luck.split.low, luck.split.high) == pytest.approx((0.02, 0.0, 0.05))


def test_the_best_of_equal_settings_is_optimistic_and_its_fresh_runs_are_not(arm: Make) -> None:
    rng = np.random.default_rng(0)
    runs = Retrained({}, val=rng.normal(0.9, 0.01, 10), test=rng.normal(0.9, 0.01, 10))
    found = optimism(arm("a", rng.normal(0.9, 0.01, 200), retrained=runs))
    assert found is not None and found.selection.low is not None
    assert found.selection.low > 0.015
    assert found.split.interval is not None
    assert found.split.interval[0] < 0 < found.split.interval[1]


def test_a_wider_confidence_widens_both_intervals(arm: Make) -> None:
    rng = np.random.default_rng(0)
    runs = Retrained({}, val=rng.random(20), test=rng.random(20))
    plain, wide = (optimism(arm("a", [0.9], retrained=runs), confidence=c) for c in (0.8, 0.99))
    assert plain and wide
    for narrow, broad in ((plain.selection, wide.selection), (plain.split, wide.split)):
        assert broad.low < narrow.low < narrow.high < broad.high


def test_few_seeds_have_no_interval_and_equal_seeds_no_width(arm: Make) -> None:
    five = Retrained({}, val=np.full(5, 0.9), test=np.full(5, 0.8))
    few = optimism(arm("a", [0.95], retrained=five))
    assert few is not None and few.selection.interval is None
    assert few.split.value == pytest.approx(0.1) and few.split.interval is None
    same = Retrained({}, val=np.full(6, 0.5), test=np.full(6, 0.5))
    equal = optimism(arm("a", [0.5, 0.5], retrained=same))
    assert equal is not None
    assert equal.selection.interval == (0.0, 0.0) and equal.split.interval == (0.0, 0.0)


def test_an_incumbent_that_was_not_retrained_has_no_optimism_to_show(arm: Make) -> None:
    assert optimism(arm("a", [0.9])) is None
