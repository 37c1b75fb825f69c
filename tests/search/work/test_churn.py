"""A part of what ``churn.py`` does with thousands of trials, and CI with a thousand; see there."""

from collections import Counter
from functools import partial

import pytest

from tests.postgres_server import restart
from tests.search.work.churn import churn


@pytest.mark.slow
def test_every_trial_is_done_once_or_failed_with_a_reason_whatever_happens(
    database: str, request: pytest.FixtureRequest
):
    harm, again = Counter(kill=6, zombie=1, freeze=1), print
    if "postgres" in database:
        harm["restart"], again = 1, partial(restart, request.getfixturevalue("postgres"))
    wrong, _ = churn(database, 100, harm=harm, restart=again, seconds=600.0)
    assert wrong == []
