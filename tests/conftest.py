"""For tests: an SQLite file and a real PostgreSQL server, and a cache folder of their own."""

import gc
import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.postgres_server import postgres_server

settings.register_profile("tuner", deadline=None)
settings.load_profile("tuner")

KINDS = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql))
"""Both kinds of databases; ``make check`` leaves the second out."""

LONGEST = ("test_documents.py", "test_kill.py", "test_fleet.py")
"""Files that take minutes."""

KEPT = Path(__file__).resolve().parents[1] / ".pytest_cache" / "kernels"
"""Where the compiled library waits for the next run: its name says what it was made of."""

gc.disable()  # until all tests are imported, see pytest_collection_finish
_numbers = count()
_cache = tempfile.TemporaryDirectory(prefix="tuner-cache-", ignore_cleanup_errors=True)
_own_cache = os.environ.setdefault("TUNER_CACHE_DIR", _cache.name) == _cache.name
os.environ.setdefault("TUNER_CHECKPOINT_DIR", f"{_cache.name}/checkpoints")
if "PYTEST_XDIST_WORKER" in os.environ:  # beside others, which set the variables above already
    os.environ["TUNER_CHECKPOINT_DIR"] = f"{_cache.name}/checkpoints"
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: each has a core of its own


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a shell's background job
    signal.signal(signal.SIGINT, signal.default_int_handler)  # or no child would hear it either


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use, before any are left out by their marks; order them.

    Those that name the PostgreSQL server. The files that take longest come first, so that no
    process is left alone with one at the end.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "postgres" in item.fixturenames:
            item.add_marker(pytest.mark.postgresql)
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_sessionstart() -> None:
    """Begin with the library that an earlier run compiled; workers have this process's cache."""
    for library in KEPT.glob("*.so") if _own_cache else ():
        shutil.copy(library, _cache.name)


def pytest_sessionfinish() -> None:
    """Keep what was compiled, in the place of what earlier runs compiled."""
    known = Path(_cache.name).glob("kernels-*.so") if _own_cache else ()
    if made := [library for library in known if not (KEPT / library.name).exists()]:
        shutil.rmtree(KEPT, ignore_errors=True)
        KEPT.mkdir(parents=True)
        for library in made:
            shutil.copy(library, KEPT)


def pytest_collection_finish() -> None:
    """What was imported stays: nobody need look through it for garbage again and again.

    Nor through what tests leave after every few hundred objects: that took a seventh of all time.
    """
    gc.enable()
    gc.set_threshold(10_000, 20, 20)
    gc.freeze()


@pytest.fixture(autouse=True)
def _own_log_lines() -> Iterator[None]:
    """What a test does to the process's log lines ends with it, as the stream they go to does."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A PostgreSQL server."""
    with postgres_server() as server:
        server.psql("alter system set autovacuum = off;")  # it would go through all the tests
        server.psql("select pg_reload_conf();")
        yield server


@pytest.fixture(scope="session")
def sqlite_with_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with all tables and nothing in them, to copy: making them takes longer."""
    path = tmp_path_factory.mktemp("sqlite") / "tuner.db"
    _make_tables(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def optunas_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file that Optuna made, without studies, to copy: making one takes longer."""
    from optuna.storages import RDBStorage

    path = tmp_path_factory.mktemp("optuna") / "theirs.db"
    RDBStorage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_with_tables(postgres: Any) -> str:
    """The name of a PostgreSQL database with all tables and nothing in them, to copy."""
    postgres.psql("create database with_tables;")
    _make_tables(postgres.get_uri("with_tables"))
    return "with_tables"


def _make_tables(url: str) -> None:
    from tuner.search.database.store import open_store

    open_store(url).close()


@pytest.fixture
def sqlite_url(sqlite_with_tables: Path, tmp_path: Path) -> str:
    """The address of an SQLite file with all tables and nothing in them."""
    shutil.copy(sqlite_with_tables, tmp_path / "tuner.db")
    return f"sqlite:///{tmp_path}/tuner.db"


@pytest.fixture
def postgres_url(postgres: Any, postgres_with_tables: str) -> Iterator[str]:
    """The address of a PostgreSQL database with all tables and nothing in them."""
    name = f"test{next(_numbers)}"
    postgres.psql(f"create database {name} template {postgres_with_tables};")
    yield str(postgres.get_uri(name))
    postgres.psql(f"drop database {name} with (force);")


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> str:
    """The address of a database of either kind, with all tables and nothing in them."""
    kind = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(kind))


@pytest.fixture
def empty_postgres_url(postgres: Any) -> str:
    """The address of a new PostgreSQL database, without any table."""
    name = f"test{next(_numbers)}"
    postgres.psql(f"create database {name};")
    return str(postgres.get_uri(name))


@pytest.fixture(params=KINDS)
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a new database of either kind, without any table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/tuner.db"
    return str(request.getfixturevalue("empty_postgres_url"))


@pytest.fixture(scope="session")
def compiled() -> None:
    """The compiled library; tests of it are left out where it cannot be had."""
    from tuner import kernels

    if kernels.library() is None:
        pytest.skip("needs a C++ compiler")


@pytest.fixture
def single_thread() -> Iterator[None]:
    """Torch computes in one thread: on small tensors several wait for each other longer."""
    from tuner.train.threads import one_thread

    with one_thread():
        yield
