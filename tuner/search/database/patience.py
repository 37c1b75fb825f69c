"""Waiting for a database that is away: restarted, moved, or busy for longer than usual."""

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import (
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.pool import ConnectionPoolEntry

from tuner.errors import DatabaseProblem

PATIENCE_SECONDS = 600.0
"""How long a worker waits for its database before it gives up."""

_SQLITE_PASSING = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
"""SQLite has one kind of error for what passes and for what does not, and codes to tell them."""

_LOCKED, _READ_ONLY = "55P03", "25006"
"""What PostgreSQL calls a lock that was not to be had in time, and a database for reading only."""

_COLLISIONS = ("40001", "40P01")
"""PostgreSQL's codes for a serialization failure and a deadlock."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_log = logging.getLogger(__name__)

_TRUSTED_SECONDS = 1.0
"""A connection that was in use so lately is not asked whether it is alive."""

Result = TypeVar("Result")


def note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    """When a connection goes back to its pool: remember when that was."""
    record.info["used"] = time.monotonic()


def see_whether_alive(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """When a connection of psycopg's leaves its pool: ask it, unless it was in use just now.

    SQLAlchemy's own question, asked every time, is an eighth of what a short transaction costs. If
    the database goes away within that second, its next statement says so, as in any transaction.

    Raises:
        DisconnectionError: If it does not answer, so that the pool opens another.
    """
    if time.monotonic() - record.info.get("used", -_TRUSTED_SECONDS) < _TRUSTED_SECONDS:
        return
    try:
        connection.autocommit = True
        connection.execute("SELECT 1")
        connection.autocommit = False
    except Exception as error:  # whatever it is, this connection is of no use
        raise DisconnectionError from error


def away(error: BaseException) -> bool:
    """Whether the error says that the database cannot be reached for now."""
    if isinstance(error, StorageInternalError | DatabaseProblem):
        return error.__cause__ is not None and away(error.__cause__)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(said := getattr(error, "orig", None), sqlite3.Error):
        code = getattr(said, "sqlite_errorcode", 0)  # none where Python itself refuses
        return code & 0xFF in _SQLITE_PASSING
    return isinstance(error, OperationalError | InterfaceError) or _code(error) == _READ_ONLY


def locked(error: BaseException) -> bool:
    """Whether the error says that somebody else had a lock for too long."""
    return _code(error.__cause__ if isinstance(error, StorageInternalError) else error) == _LOCKED


def _code(error: BaseException | None) -> str | None:
    """PostgreSQL's code of what went wrong."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)


def collided(error: BaseException) -> bool:
    """Whether the error says that another transaction was in the way; repeated, it may succeed."""
    if _code(error) in _COLLISIONS or isinstance(error, IntegrityError):
        return True
    return error.__cause__ is not None and collided(error.__cause__)


def in_a_line(error: BaseException) -> str:
    """What the database said, without the statement it was about."""
    cause = error.__cause__ or error
    return str(getattr(cause, "orig", cause)).strip().splitlines()[0]


def patiently(
    action: Callable[[], Result],
    *,
    seconds: float = PATIENCE_SECONDS,
    stopping: Callable[[], bool] = lambda: False,
) -> Result:
    """Do something that may be done twice, as soon as the database lets it.

    Args:
        action: One transaction; if its commit went through unheard, doing it again changes
            nothing.
        seconds: How long to wait for a database that is away.
        stopping: Asked while waiting; once true the error is raised.

    Raises:
        DBAPIError, StorageInternalError, DatabaseProblem: What the database said last.
    """
    deadline, wait = time.monotonic() + seconds, _FIRST_WAIT
    while True:
        try:
            return action()
        except (DBAPIError, StorageInternalError, DatabaseProblem) as error:
            if not away(error) or stopping() or time.monotonic() > deadline:
                raise
            if wait == _FIRST_WAIT:
                _log.warning("the database is away, waiting for it: %s", in_a_line(error))
        time.sleep(wait)
        wait = min(2 * wait, _LONGEST_WAIT)
