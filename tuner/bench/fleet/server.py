"""What PostgreSQL does meanwhile: its connections, and its processors' time."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from tuner.search.database.store import Store

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.5
_COUNT = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")


@dataclass
class Watched:
    """What was seen.

    Args:
        connections: The most at once to this database, ours among them.
    """

    connections: int = 0


@contextmanager
def watched(store: Store) -> Iterator[Watched]:
    """Look at the server twice a second while the block lasts."""
    seen, ended = Watched(), threading.Event()

    def watch() -> None:
        with store.reader.connect() as connection:
            while not ended.wait(_EVERY_SECONDS):
                seen.connections = max(seen.connections, connection.scalar(_COUNT) or 0)

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def cpu_seconds(store: Store) -> float | None:
    """What all of the server's processes have spent so far; None if it is on another machine."""
    with store.reader.connect() as connection:
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
    with suppress(OSError, ValueError):
        if "postgres" in Path(f"/proc/{pid}/comm").read_text():
            parent = int(_fields(str(pid))[1])
            own, of_the_ended = _spent(_fields(str(parent)))
            return own + of_the_ended + sum(_children(parent))
    return None


def _children(parent: int) -> Iterator[float]:
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has just ended
            fields = _fields(place.name)
            if int(fields[1]) == parent:
                yield _spent(fields)[0]


def _fields(pid: str) -> list[str]:
    """State, parent and so on of a process, as ``/proc`` has them."""
    stat = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    return stat.rpartition(")")[2].split()


def _spent(fields: list[str]) -> tuple[float, float]:
    """Seconds of the process, and of those of its children that have ended."""
    user, system, theirs, their_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, theirs + their_system
