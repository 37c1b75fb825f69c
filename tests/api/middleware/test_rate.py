"""How often somebody may ask within any minute."""

import pytest

from tuner.api.middleware import rate
from tuner.api.middleware.rate import Rate


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr(rate.time, "monotonic", lambda: now[0])
    return now


def test_of_any_minute_no_more_than_so_many_are_allowed(clock):
    asked = Rate()
    for second in (0, 20, 40):
        clock[0] = 1000 + second
        assert asked.allows("key", "a", 3)
    assert not asked.allows("key", "a", 3)
    clock[0] = 1059.9
    assert not asked.allows("key", "a", 3), "what was refused counts for nothing"
    clock[0] = 1060.0
    assert asked.allows("key", "a", 3)
    assert not asked.allows("key", "a", 3)
    clock[0] = 1080.0
    assert asked.allows("key", "a", 3)


@pytest.mark.usefixtures("clock")
def test_each_is_counted_alone():
    asked = Rate()
    assert asked.allows("key", "a", 1)
    assert not asked.allows("key", "a", 1)
    assert asked.allows("address", "a", 1)
    assert asked.allows("key", "b", 1)


def test_who_asks_no_more_is_forgotten(clock):
    asked = Rate()
    for number in range(100):
        assert asked.allows("address", str(number), 1)
    clock[0] = 1030.0
    assert asked.allows("address", "late", 1)
    clock[0] = 1060.5
    assert not asked.allows("address", "late", 1)
    assert set(asked._asked) == {("address", "late")}
