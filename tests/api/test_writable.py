"""Whether a database takes what is written, tried on ones that do and on ones that do not."""

from collections.abc import Iterator

import pytest
from sqlalchemy import event, func, select

from tuner.api import writable
from tuner.api.writable import Writable
from tuner.errors import DatabaseProblem
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import requests


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


def make_read_only(store: Store) -> None:
    """From here on this store's connections may read only, as those to a standby."""
    commands = {
        "sqlite": "PRAGMA query_only = ON",
        "postgresql": "SET default_transaction_read_only = on",
    }
    command = commands[store.engine.dialect.name]

    @event.listens_for(store.engine, "connect")
    def _forbid(connection, _record):
        connection.execute(command)
        connection.commit()

    store.engine.dispose()


def test_a_database_that_takes_everything_has_nothing_left_of_the_try(store: Store):
    Writable(store).check()
    with store.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(requests)) == 0


def test_a_database_that_may_be_read_only_is_refused_in_its_own_words(store: Store):
    make_read_only(store)
    with pytest.raises(DatabaseProblem, match=r"cannot be written to: .*read-?only"):
        Writable(store).check()


def test_it_is_not_tried_again_at_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    known = Writable(store)
    known.check()
    make_read_only(store)
    known.check()
    monkeypatch.setattr(writable, "_LOOK_SECONDS", 0.0)
    with pytest.raises(DatabaseProblem):
        Writable(store).check()


def test_a_disk_that_is_full_is_refused(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writable, "LEAST_FREE_BYTES", 2**80)
    store = open_store(sqlite_url)
    with pytest.raises(DatabaseProblem, match=r"its disk has \d+ MiB left"):
        Writable(store).check()
    store.close()


def test_a_database_that_another_writes_to_is_not_waited_for(sqlite_url: str):
    store, other = open_store(sqlite_url), open_store(sqlite_url)
    with other.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        Writable(store).check()
        connection.rollback()
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000
    store.close()
    other.close()
