from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from tuner.compare import Arm, Retrained
from tuner.compare.evidence.optimism import optimism

Make = Callable[..., Arm]


def test_optimism_is_the_best_score_minus_its_fresh_runs(arm: Make) -> None:
    val, test = np.array([0.90, 0.92, 0.94]), np.array([0.89, 0.92, 0.90])
    found = optimism(arm("a", [0.5, 0.96, 0.7], retrained=Retrained({}, val=val, test=test)))
    assert found is not None
    assert (found.best, found.seeds) == (0.96, 3)
    half = stats.t.ppf(0.975, 2) * 0.02 / np.sqrt(3)
    assert (found.selection.value, found.selection.low, found.selection.high) == pytest.approx(
        (0.04, 0.04 - half, 0.04 + half)
    )
    # Paired by seed: .01, 0, .04, and not the spread of either list.
    half = stats.t.ppf(0.975, 2) * np.std([0.01, 0.0, 0.04], ddof=1) / np.sqrt(3)
    assert (found.split.value, found.split.low, found.split.high) == pytest.approx(
        (0.05 / 3, 0.05 / 3 - half, 0.05 / 3 + half)
    )


def test_the_best_of_equal_settings_is_optimistic_and_its_fresh_runs_are_not(arm: Make) -> None:
    rng = np.random.default_rng(0)
    runs = Retrained({}, val=rng.normal(0.9, 0.01, 10), test=rng.normal(0.9, 0.01, 10))
    found = optimism(arm("a", rng.normal(0.9, 0.01, 200), retrained=runs))
    assert found is not None and found.selection.low is not None
    assert found.selection.low > 0.015
    assert found.split.interval is not None
    assert found.split.interval[0] < 0 < found.split.interval[1]


def test_a_wider_confidence_widens_both_intervals(arm: Make) -> None:
    runs = Retrained({}, val=np.array([0.8, 0.9]), test=np.array([0.7, 0.9]))
    plain, wide = (optimism(arm("a", [0.9], retrained=runs), confidence=c) for c in (0.95, 0.99))
    assert plain and wide and plain.selection.low and wide.selection.low
    assert wide.selection.low < plain.selection.low
    assert wide.split.high is not None and plain.split.high is not None
    assert wide.split.high > plain.split.high


def test_a_single_seed_has_no_interval_and_equal_seeds_no_width(arm: Make) -> None:
    one = Retrained({}, val=np.array([0.9]), test=np.array([0.8]))
    single = optimism(arm("a", [0.95], retrained=one))
    assert single is not None and single.selection.interval is None
    assert single.split.value == pytest.approx(0.1) and single.split.interval is None
    same = Retrained({}, val=np.full(5, 0.5), test=np.full(5, 0.5))
    equal = optimism(arm("a", [0.5, 0.5], retrained=same))
    assert equal is not None
    assert equal.selection.interval == (0.0, 0.0) and equal.split.interval == (0.0, 0.0)


def test_an_incumbent_that_was_not_retrained_has_no_optimism_to_show(arm: Make) -> None:
    assert optimism(arm("a", [0.9])) is None
