"""PgBouncer between a client and the tests' PostgreSQL, in transaction mode."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"


def is_installed() -> bool:
    return Path(PROGRAM).is_file()


@contextmanager
def pooled(url: str, *, connections: int) -> Iterator[str]:
    """The address of the same database through a pooler of so many connections."""
    address = make_url(url)
    there = str(address.query["host"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(
            f"""
[databases]
{address.database} = host={there} port={address.port or 5432} user={address.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 2000
"""
        )
        # It refuses to be root, and PostgreSQL's socket lies in a folder of its user's.
        user = ["-u", Path(there).owner()] if os.getuid() == 0 else []
        started = subprocess.Popen([PROGRAM, "-q", *user, settings], stderr=subprocess.DEVNULL)
        through = f"postgresql://{address.username}@127.0.0.1:{port}/{address.database}"
        try:
            _wait_for(through, started)
            yield through
        finally:
            started.kill()
            started.wait()


def _wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(address).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None and time.monotonic() < deadline, "no pooler"
            time.sleep(0.05)
