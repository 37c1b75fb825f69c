"""A little of what ``churn.py`` does with thousands of trials; see there."""

import pytest

from tests.search.work.churn import churn


@pytest.mark.slow
def test_every_trial_is_done_once_or_failed_with_a_reason_whatever_happens(sqlite_url: str):
    assert churn(sqlite_url, 100, kills=6, zombies=1, seconds=300.0) == []
