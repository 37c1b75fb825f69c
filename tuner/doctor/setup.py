"""What checks look at, and what one of them finds."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, NullPool, String, column, create_engine, inspect, select, table
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tuner.errors import DatabaseProblem, TunerError
from tuner.search.database.opening import normalise, reason, shown
from tuner.search.database.tables import SCHEMA, VERSION_TABLE

Status = Literal["ok", "warning", "problem"]
_SECONDS = 5
"""So long a database is waited for."""


@dataclass(frozen=True)
class Finding:
    """What a check says.

    Args:
        status: A problem keeps something from working; a warning may surprise somebody.
        found: What is so.
        fix: What to do about it; empty if it is ok.
    """

    status: Status
    found: str
    fix: str = ""


class Setup:
    """The set-up that is looked at; its connection is opened once, and closed by ``close``.

    Args:
        database: Its address.
        environment: The variables that are set.
    """

    def __init__(self, database: str, environment: Mapping[str, str]) -> None:
        self.database = database
        self.environment = environment

    @cached_property
    def address(self) -> URL:
        """The database's address.

        Raises:
            InvalidInput: If it is none.
        """
        return normalise(self.database)

    @property
    def file(self) -> Path | None:
        """The database's file, if it is one of SQLite's and is named as such."""
        named = self._is_sqlite and "uri" not in self.address.query
        return Path(self.address.database or "") if named else None

    @property
    def yet_to_be_made(self) -> bool:
        """Whether the database is a file that is not there, in a folder that is."""
        with suppress(TunerError):
            return (
                self.file is not None
                and not self.file.exists()
                and self.file.resolve().parent.is_dir()
            )
        return False

    @property
    def _is_sqlite(self) -> bool:
        return self.address.get_backend_name() == "sqlite"

    def connect(self) -> Connection:
        """The connection, in which every query is a transaction of its own.

        Raises:
            InvalidInput: If the address is none.
            DatabaseProblem: If there is no such database, or it cannot be reached.
        """
        if isinstance(self._connected, TunerError):
            raise self._connected
        return self._connected

    @cached_property
    def connection(self) -> Connection | None:
        """The connection; None if there is none, as another check says."""
        with suppress(TunerError):
            return self.connect()
        return None

    @cached_property
    def _connected(self) -> Connection | TunerError:
        try:
            if self.file is not None and not self.file.is_file():  # opening it would make it
                return DatabaseProblem(f"there is no file {self.file}")
            wait = "timeout" if self._is_sqlite else "connect_timeout"
            engine = create_engine(
                self.address,
                connect_args={wait: _SECONDS},
                poolclass=NullPool,
                isolation_level="AUTOCOMMIT",
            )
            connection = engine.connect()
            inspect(connection).get_table_names()  # or a file of anything would do
            return connection
        except DBAPIError as error:
            return DatabaseProblem(f"{shown(self.address)}: {reason(error)}")
        except TunerError as error:
            return error

    @cached_property
    def version(self) -> str | None:
        """The version of our tables; None without tables, or without a database."""
        if self.connection is None or not inspect(self.connection).has_table(VERSION_TABLE):
            return None
        version: str | None = self.connection.scalar(
            select(column("version_num", String)).select_from(table(VERSION_TABLE))
        )
        return version

    @property
    def readable(self) -> Connection | None:
        """The connection, if our tables are there as this software knows them."""
        return self.connection if self.version == SCHEMA else None

    def close(self) -> None:
        """Let go of the database."""
        if self.connection is not None:
            self.connection.close()


Check = Callable[[Setup], Finding | None]
"""What it finds; None where there is nothing to look at, as another check says."""
