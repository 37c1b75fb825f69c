"""Whether a database can be written to: its disk may be full, or it may be there to be read only.

Reading goes on then, so nothing else would notice before somebody's work is lost.
"""

import os
import secrets
import time
from pathlib import Path

from sqlalchemy import Connection, delete, insert
from sqlalchemy.exc import DBAPIError

from tuner.errors import DatabaseProblem
from tuner.search.database.opening import BUSY_SECONDS, reason
from tuner.search.database.patience import away
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, requests

LEAST_FREE_BYTES = 16 * 2**20
"""With less than this left on its disk, an SQLite file is as good as read-only."""

_LOOK_SECONDS = 5.0
_OWNER = "-"
"""Whom the requests belong to that are written and deleted at once; no key has this id."""


class Writable:
    """Knows whether a store's database can be written to; it tries now and then, not each time.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._until = 0.0
        self._problem: str | None = None

    def check(self) -> None:
        """Do nothing if it can be written to, or could be seconds ago.

        Raises:
            DatabaseProblem: If it cannot, with the database's own words.
        """
        if time.monotonic() >= self._until:
            self._problem = _problem(self._store)
            self._until = time.monotonic() + _LOOK_SECONDS
        if self._problem is not None:
            raise DatabaseProblem(f"the database cannot be written to: {self._problem}")


def _problem(store: Store) -> str | None:
    """What keeps the database from being written to, if anything does."""
    try:
        if store.engine.dialect.name == "sqlite":
            return _little_room(store) or _unwritten_file(store)
        with store.engine.begin() as connection:
            _write(connection)
    except (DBAPIError, OSError) as error:
        return reason(error)
    return None


def _write(connection: Connection) -> None:
    """Write a row and delete it; both are written down when the transaction ends."""
    this = {"owner": _OWNER, "idempotency_key": secrets.token_hex(8)}
    connection.execute(insert(requests).values(**this, fingerprint="", created=Now()))
    connection.execute(delete(requests).where(requests.c.owner == _OWNER))


def _little_room(store: Store) -> str | None:
    path = Path(store.engine.url.database or "").absolute().parent
    if not path.is_dir():  # an address that SQLite reads as a URI
        return None
    room = os.statvfs(path)
    free = room.f_bavail * room.f_frsize
    if free >= LEAST_FREE_BYTES:
        return None
    return f"its disk has {free // 2**20} MiB left, it needs {LEAST_FREE_BYTES // 2**20}"


def _unwritten_file(store: Store) -> str | None:
    """As ``_problem``; who writes at the moment is not waited for, since it can."""
    with store.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            _write(connection)
            connection.commit()
        except DBAPIError as error:
            connection.rollback()
            busy = away(error) and ("locked" in reason(error) or "busy" in reason(error))
            return None if busy else reason(error)
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    return None
