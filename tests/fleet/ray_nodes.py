"""A Ray cluster of several nodes on this machine, and the processes that it has."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SEARCH = ROOT / "tests" / "search"
HERE = Path(__file__).parent
ENDED_SECONDS = 60.0

NODE = {
    "include_dashboard": False,
    "include_log_monitor": False,
    "object_store_memory": 80 * 2**20,
}
"""What the nodes have in common."""


@contextmanager
def ray_cluster() -> Iterator[Any]:  # Any: Ray's, which has no types
    """A cluster whose head has two CPUs; its processes are gone afterwards.

    Start servers before: what is set here would mark their processes too.
    """
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


def processes_in(folder: str) -> list[str]:
    """The command lines of the processes that belong to a cluster by the folder of its files.

    Without this process and the servers that it forks from.
    """
    lines = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            environment = (place / "environ").read_bytes()
            if f"RAY_TMPDIR={folder}".encode() in environment and place.name != str(os.getpid()):
                line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if f"PPid:\t{os.getpid()}\n" in (place / "status").read_text():
                    line = "" if "multiprocessing" in line else line
                lines.append(line)
        except OSError:  # ended just now
            continue
    return [line for line in lines if line]
