"""A Ray cluster of several nodes on this machine, and what the tests of searches have."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

sys.path[:0] = [str(HERE.parent / "search"), str(HERE)]


@pytest.fixture
def ray() -> Any:
    """Ray; tests of it are left out where it cannot be imported."""
    return pytest.importorskip("ray", reason="needs Ray: pip install 'bnn-tuner[ray]'")


@pytest.fixture(scope="module")
def cluster(postgres: Any) -> Iterator[Any]:
    """A cluster whose head has two CPUs; PostgreSQL was started before it."""
    del postgres
    pytest.importorskip("ray", reason="needs Ray: pip install 'bnn-tuner[ray]'")
    from ray_nodes import ray_cluster

    with ray_cluster() as running:
        yield running
