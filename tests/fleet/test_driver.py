"""What a fleet is refused for before any cluster is asked to start it."""

from contextlib import closing
from pathlib import Path

import pytest
from comparisons import comparison
from sqlalchemy import update

from tuner.errors import InvalidInput
from tuner.fleet import driver
from tuner.fleet.cluster import Node
from tuner.search.database.store import open_store
from tuner.search.database.tables import comparisons

NODES = [Node(host, host, "10.0.0.1", False, {}) for host in ("one", "two")]


def test_machines_cannot_share_an_sqlite_file(sqlite_url: str):
    with pytest.raises(InvalidInput, match="2 machines cannot share an SQLite file"):
        driver._check_database(sqlite_url, NODES)
    driver._check_database(sqlite_url, NODES[:1])


def test_the_nodes_find_a_file_from_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert driver.for_all_nodes("sqlite:///a.db") == f"sqlite:///{tmp_path}/a.db"
    address = "postgresql://me:secret@host/tuner"
    assert driver.for_all_nodes(address) == address


def test_a_database_of_another_version_alone_is_refused_with_what_differs(sqlite_url: str):
    with closing(open_store(sqlite_url)) as store:
        for name in ("small", "other"):
            store.declare(comparison(name=name))

        def make_old(name: str) -> None:
            this = comparisons.c.name == name
            with store.begin() as connection:
                connection.execute(update(comparisons).where(this).values(code_version="0.0.9"))

        make_old("small")
        driver._check_database(sqlite_url, NODES[:1])  # the other can be run
        make_old("other")
    with pytest.raises(InvalidInput, match=r"are for bnn-tuner 0\.0\.9, this is"):
        driver._check_database(sqlite_url, NODES[:1])
