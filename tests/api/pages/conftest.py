"""A server in this process over an SQLite file, and browsers of it that run no scripts."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tuner.api import auth
from tuner.api.app import create_app
from tuner.api.settings import Settings
from tuner.search.database import keys
from tuner.search.database.store import Store, open_store

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "search")]

Serve = Callable[..., TestClient]


@pytest.fixture
def address(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def complete(address: str, sqlite_complete: Path) -> None:
    """Has the small comparison in the file, run to its end; before anything opens it."""
    shutil.copy(sqlite_complete, address.removeprefix("sqlite:///"))


@pytest.fixture
def serve(address: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server with some settings; returns a browser of this machine."""
    monkeypatch.setattr(auth, "_TRUST_SECONDS", 0.0)
    with ExitStack() as stack:

        def start(database: str = address, **settings: object) -> TestClient:
            given = {"database": database, "secret": "not a secret at all", **settings}
            client = TestClient(
                create_app(Settings(**given)),  # type: ignore[arg-type]
                base_url="http://127.0.0.1",
                client=("127.0.0.1", 50_000),
                headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"},
                raise_server_exceptions=False,
                follow_redirects=False,
            )
            return stack.enter_context(client)

        yield start


@pytest.fixture
def browser(serve: Serve) -> TestClient:
    """A browser of a server without keys: it may do everything."""
    return serve()


@pytest.fixture
def store(address: str) -> Iterator[Store]:
    opened = open_store(address)
    yield opened
    opened.close()


@pytest.fixture
def log_in(store: Store) -> Callable[..., str]:
    """Logs a browser in with a new key of some scopes; returns the key."""

    def log(browser: TestClient, *scopes: str) -> str:
        key = keys.create(store, "somebody", scopes)
        assert browser.post("/login", data={"key": key}).status_code == 303
        return key

    return log
