import numpy as np
import pytest

from tuner.compare.statistics.batches import batch_of, batch_size, comparable


def test_trials_of_a_batch_share_their_seconds_to_the_last_bit() -> None:
    seconds = np.array([0.5, 0.7, 0.5, np.nan, 0.7, 0.7, np.nan, np.nextafter(0.5, 1), 0.1])
    found = batch_of(seconds)
    together = [{int(i) for i in np.flatnonzero(found == one)} for one in range(found.max() + 1)]
    assert sorted(map(sorted, together)) == [[0, 2], [1, 4, 5], [3], [6], [7], [8]]


def test_the_size_of_a_batch_is_what_the_median_trial_sees() -> None:
    assert batch_size(np.repeat([0, 1, 2], [8, 8, 2])) == 8
    assert batch_size(np.array([0, 1, 2])) == batch_size(None) == 1


@pytest.mark.parametrize(("size", "same"), [(25, True), (20, True), (10, False), (1, False)])
def test_seconds_of_batches_of_other_sizes_do_not_compare(size: int, same: bool) -> None:
    wide, other = np.repeat(np.arange(8), 25), np.repeat(np.arange(8), size)
    assert comparable(wide, other) is comparable(other, wide) is same


def test_trials_that_nobody_batched_compare_with_each_other_alone() -> None:
    assert comparable(None, None) and not comparable(None, np.repeat(np.arange(8), 25))
