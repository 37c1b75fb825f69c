"""What a fleet's manager says is in the way."""

import time
from types import SimpleNamespace

import pytest

pytest.importorskip("ray")

from tuner.fleet import manager as module


def test_a_slow_start_is_not_laid_on_the_database(monkeypatch):
    """Only from when it is asked is the database waited for."""
    manager = object.__new__(module.Manager)  # no cluster, no thread
    manager._order = SimpleNamespace(database="sqlite://")
    manager.differs = manager._not_started = manager._trouble = ""
    manager._heard = time.monotonic() - 3 * module.ANSWER_SECONDS
    assert "the database has not answered for 30 seconds" in manager._amiss
    said = []

    def opened(*_, **__):
        said.append(manager._amiss)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(module, "open_store", opened)
    with manager._opened():
        said.append(manager._amiss)
    assert said == ["", ""]
