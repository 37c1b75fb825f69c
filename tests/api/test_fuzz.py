"""A little of what ``fuzz.py`` sends for minutes; see there."""

import pytest

from tests.api.fuzz import fuzz


@pytest.mark.slow
def test_whatever_is_sent_in_whatever_order_is_answered_as_documented(database: str):
    once = iter([True])
    answered = fuzz(database, seed=1, going_on=lambda: next(once, False))
    assert set(answered) >= {200, 202, 404, 409, 422}
