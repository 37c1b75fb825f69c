"""Waiting for a database that is away: restarted, moved, or busy for longer than usual."""

import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from tuner.errors import DatabaseProblem

PATIENCE_SECONDS = 600.0
"""How long a worker waits for its database before it gives up."""

_SQLITE_PASSING = ("locked", "busy", "unable to open", "disk")
"""SQLite has one kind of error for what passes and for what does not."""

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


def away(error: BaseException) -> bool:
    """Whether the error says that the database cannot be reached for now."""
    if isinstance(error, StorageInternalError | DatabaseProblem):
        return error.__cause__ is not None and away(error.__cause__)
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    if isinstance(getattr(error, "orig", None), sqlite3.Error):
        return any(word in str(error) for word in _SQLITE_PASSING)
    return isinstance(error, OperationalError | InterfaceError)


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
