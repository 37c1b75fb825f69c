"""A server in this process, over a database of its own, and clients with and without keys."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tuner.api.app import create_app
from tuner.api.settings import Settings
from tuner.search.database import keys
from tuner.search.database.store import Store, open_store

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

HERE = ("127.0.0.1", 50_000)
"""The address that clients seem to have."""

Serve = Callable[..., TestClient]


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
