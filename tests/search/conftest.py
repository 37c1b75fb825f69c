"""The database of a test; ``light_trainer`` and ``comparisons``, importable in all processes."""

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tuner.search.database.store import Store, open_store

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    """A database of either kind."""
    with closing(open_store(database)) as opened:
        yield opened
