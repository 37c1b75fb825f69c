"""A Ray cluster of several nodes on this machine, and what the tests of searches have."""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = ROOT / "tests" / "search"
HERE = Path(__file__).parent
ENDED_SECONDS = 60.0

sys.path[:0] = [str(SEARCH), str(HERE)]


@pytest.fixture
def ray() -> Any:
    """Ray; tests of it are left out where it cannot be imported."""
    return pytest.importorskip("ray", reason="needs Ray: pip install 'bnn-tuner[ray]'")


@pytest.fixture(scope="module")
def cluster(postgres: Any) -> Iterator[Any]:
    """A cluster whose head has two CPUs; its processes are gone after the tests.

    PostgreSQL was started before: what is set here would mark its processes too.
    """
    del postgres
    pytest.importorskip("ray", reason="needs Ray: pip install 'bnn-tuner[ray]'")
    with (
        tempfile.TemporaryDirectory(
            prefix="tuner-ray-", dir="/tmp", ignore_cleanup_errors=True
        ) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("RAY_TMPDIR", folder)  # short: sockets lie in it
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TUNER_KERNELS", "off")  # to be compiled they take longer than all training
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT, SEARCH, HERE))))
        patch.delenv("RAY_ADDRESS", raising=False)
        from ray.cluster_utils import Cluster
        from ray_nodes import NODE, processes_in

        running = Cluster(
            initialize_head=True,
            head_node_args={**NODE, "num_cpus": 2, "no_monitor": True},
            shutdown_at_exit=False,
        )
        yield running
        running.shutdown()
        deadline = time.monotonic() + ENDED_SECONDS
        while left := processes_in(folder):
            assert time.monotonic() < deadline, left
            time.sleep(0.2)
