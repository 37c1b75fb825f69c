"""A server in this process, over a database of its own, and clients with and without keys."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import make_url

from tuner.api.app import create_app
from tuner.api.pages import routes as pages
from tuner.api.reports import maker
from tuner.api.routes import comparisons, studies
from tuner.api.settings import Settings
from tuner.search.database import keys
from tuner.search.database.store import Store, open_store
from tuner.search.queue import control
from tuner.search.work import surroundings

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

HERE = ("127.0.0.1", 50_000)
"""The address that clients seem to have."""

Serve = Callable[..., TestClient]


@pytest.fixture(autouse=True, scope="session")
def _one_server_to_fork_from() -> None:
    """A process has one, and tests of workers may come later in this one."""
    maker.IMPORTED[:] = dict.fromkeys([*surroundings.IMPORTED, *maker.IMPORTED])


@pytest.fixture
def serve(database: str) -> Iterator[Serve]:
    """Starts a server with some settings; returns a client of this machine, without a key."""
    with ExitStack() as stack:

        def start(**settings: object) -> TestClient:
            given = {"database": database, "secret": "not a secret at all", **settings}
            app = create_app(Settings(**given))  # type: ignore[arg-type]
            client = TestClient(
                app,
                base_url="http://127.0.0.1",
                client=HERE,
                raise_server_exceptions=False,
                follow_redirects=False,
            )
            return stack.enter_context(client)

        yield start


@pytest.fixture(autouse=True)
def _patient_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests carry out what they began, however loaded the machine is."""
    for module in (comparisons, studies, pages):
        monkeypatch.setattr(module, "PROMPT_SECONDS", 60.0)


@pytest.fixture
def client(serve: Serve) -> TestClient:
    """A client of this machine, of a server without keys: it may do everything."""
    return serve()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


@pytest.fixture
def key(store: Store) -> Callable[..., dict[str, str]]:
    """Makes a key; returns the header that shows it."""

    def make(*scopes: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys.create(store, 'test', scopes)}"}

    return make


@pytest.fixture(scope="session")
def sqlite_complete(sqlite_with_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file that holds the small comparison, run to its end."""
    path = tmp_path_factory.mktemp("complete") / "tuner.db"
    shutil.copy(sqlite_with_tables, path)
    _run_small(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_complete(postgres: Any, postgres_with_tables: str) -> str:
    """The name of a PostgreSQL database that holds the small comparison, run to its end."""
    postgres.psql(f"create database complete template {postgres_with_tables};")
    _run_small(postgres.get_uri("complete"))
    return "complete"


def _run_small(url: str) -> None:
    from comparisons import comparison, run

    with closing(open_store(url)) as store:
        control.submit(store, comparison())
        run(store)


@pytest.fixture
def complete(request: pytest.FixtureRequest, database: str) -> None:
    """Has the small comparison in the test's database, run to its end: copied, not run.

    To be used before anything opens the database.
    """
    url = make_url(database)
    if url.drivername == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_complete"), str(url.database))
        return
    made, postgres = (request.getfixturevalue(f"postgres{x}") for x in ("_complete", ""))
    postgres.psql(f"drop database {url.database};")
    postgres.psql(f"create database {url.database} template {made};")
