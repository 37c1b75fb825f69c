"""The nodes of a test's cluster, and the processes that it has."""

import os
from pathlib import Path

NODE = {
    "include_dashboard": False,
    "include_log_monitor": False,
    "object_store_memory": 80 * 2**20,
}
"""What they have in common."""


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
