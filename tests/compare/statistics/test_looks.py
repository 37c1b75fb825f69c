import numpy as np
import pytest
from scipy import stats

from tuner.compare.statistics.looks import levels, looks


def test_the_levels_are_those_that_obrien_and_fleming_give():
    """Five equal looks at 5%: the tables give the widths 4.56, 3.23, 2.63, 2.28, 2.04."""
    five = levels((0.2, 0.4, 0.6, 0.8, 1.0), 0.05)
    assert five == pytest.approx((0.0000051, 0.00126, 0.00845, 0.02256, 0.04134), rel=0.02)
    assert levels((0.5, 1.0), 0.05) == pytest.approx((0.0052, 0.0480), abs=1e-4)
    assert levels((1.0,), 0.05) == pytest.approx((0.05,))


@pytest.mark.parametrize("times", [(0.5, 0.75, 1.0), (0.1, 0.9, 1.0), (0.9, 0.95, 1.0)])
def test_a_motion_without_drift_is_called_one_at_any_look_as_often_as_allowed(times):
    rng = np.random.default_rng(0)
    steps = np.diff((0.0, *times)) ** 0.5 * rng.normal(size=(400_000, len(times)))
    z = np.cumsum(steps, axis=1) / np.sqrt(times)
    called = 2 * stats.norm.sf(np.abs(z)) < levels(times, 0.05)
    assert called.any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)


@pytest.mark.parametrize(
    ("planned", "shares", "due"),
    [
        (9, (), []),
        (10, (), [10]),
        (15, (0.5, 0.75), [12, 15]),
        (20, (0.5, 0.75), [10, 15, 20]),
        (20, (), [20]),
        (200, (0.25, 0.5), [50, 100, 200]),
        (40, (0.26, 0.45, 0.5), [18, 20, 40]),
    ],
)
def test_looks_are_due_where_they_are_declared_and_may_say_something(planned, shares, due):
    """After 11 of 40 so little may go wrong that 11 coins all alike are likelier."""
    found = looks(planned, 0.95, shares)
    assert list(found) == due
    assert list(found.values()) == sorted(found.values())
