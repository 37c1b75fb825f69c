"""Objectives of these tests, allowed; a database on SQLite."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tuner.search.database.store import Store, open_store

MODULE = "objectives_for_tests"


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What workers find where they run."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)
    monkeypatch.setenv("TUNER_CHECKPOINT_DIR", str(tmp_path / "checkpoints"))


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    """Where searches of objectives are kept."""
    with closing(open_store(sqlite_url)) as opened:
        yield opened
