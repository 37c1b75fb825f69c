"""Databases behind a server: PostgreSQL and MySQL, in sessions that may only read."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, MetaData, create_engine, inspect, make_url, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.database.opening import reason
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.storages.optuna_storage import OptunaStudies
from tuner.search.foreign.storages.schema import brought_up_to_date, newest, revision

_SECONDS = 10
"""How long a server may take to answer."""
_ROWS = 10_000

_READ_ONLY: dict[str, dict[str, Any]] = {  # Any: keyword arguments of the drivers
    "psycopg": {
        "connect_timeout": _SECONDS,
        "options": "-c default_transaction_read_only=on",
    },
    "pymysql": {
        "connect_timeout": _SECONDS,
        "read_timeout": _SECONDS,
        "init_command": "SET SESSION TRANSACTION READ ONLY",
    },
}
_DRIVERS = {"postgres": "psycopg", "postgresql": "psycopg", "mysql": "pymysql"}
_DRIVERS["mariadb"] = "pymysql"

SCHEMES = frozenset(_DRIVERS)
"""What the addresses begin with, without a driver."""


@contextmanager
def studies_at(address: str) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a server's database, as they stand.

    Tables of an older Optuna are copied into a file of our own, which is brought up to date.

    Args:
        address: ``postgresql://USER:PASSWORD@HOST/NAME`` or ``mysql://...``; a driver that is
            named is replaced by the one that reads here.

    Raises:
        InvalidInput: If the address is malformed, or the driver is not installed.
        DatabaseProblem: If it cannot be read, or is not of Optuna's.
    """
    url = _url(address)
    where = url.render_as_string(hide_password=True)
    driver = url.get_driver_name()
    options = {"connect_args": _READ_ONLY[driver]}
    try:
        with ExitStack() as until_read:
            engine = create_engine(url, **options)
            until_read.callback(engine.dispose)
            if not inspect(engine).has_table("version_info"):
                raise DatabaseProblem(f"database {where}: holds no Optuna studies; check the name")
            if revision(engine) == newest():
                yield OptunaStudies(until_read.enter_context(_storage(url, options)))
                return
            folder = until_read.enter_context(TemporaryDirectory(prefix="tuner-"))
            copy = URL.create("sqlite", database=str(Path(folder) / "copy.db"))
            _copy(engine, copy)
            opened = until_read.enter_context(brought_up_to_date(copy, where))
            yield OptunaStudies(*opened)
    except (DBAPIError, StorageInternalError) as error:
        said = reason(error)
        late = "timeout" in said.lower() or "timed out" in said.lower()
        hint = f" (within {_SECONDS} s); check its host and port, and that it runs" if late else ""
        raise DatabaseProblem(f"database {where}: {said}{hint}") from error
    except ImportError as error:
        raise InvalidInput(
            f"database {where}: its driver is not installed; install it with: pip install {driver}"
        ) from error


@contextmanager
def _storage(url: URL, options: Mapping[str, Any]) -> Iterator[RDBStorage]:
    """Optuna's storage, which neither makes tables nor stamps them."""
    text = url.render_as_string(hide_password=False)
    storage = RDBStorage(
        text.replace("{", "{{").replace("}", "}}"),  # Optuna fills braces
        engine_kwargs=dict(options),
        skip_compatibility_check=True,
        skip_table_creation=True,
    )
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _url(address: str) -> URL:
    hint = "write SERVER://USER:PASSWORD@HOST/NAME, with %40 for an @ in the password, %2F for a /"
    scheme = address.partition("://")[0]
    try:
        url = make_url(address)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise InvalidInput(f"database {scheme}://...: is not an address; {hint}") from error
    if "@" in (url.host or ""):
        raise InvalidInput(f"database {scheme}://...: has an @ too many; {hint}")
    kind = "postgresql" if backend == "postgres" else backend
    return url.set(drivername=f"{kind}+{_DRIVERS[backend]}")


def _copy(engine: Engine, copy: URL) -> None:
    """Copy all tables of Optuna's, whatever their version, into a SQLite file."""
    tables = MetaData()
    tables.reflect(engine, only=lambda name, _: not name.startswith("tuner_"))
    for table in tables.tables.values():
        table.indexes.clear()  # MySQL has some of one name, which SQLite refuses
        for column in table.columns:
            column.type = column.type.as_generic(allow_nulltype=True)
            column.server_default = None
    target = create_engine(copy)
    try:
        tables.create_all(target)
        with engine.connect() as source, target.begin() as connection:
            for table in tables.sorted_tables:
                rows = source.execution_options(yield_per=_ROWS).execute(select(table))
                for some in rows.mappings().partitions():
                    connection.execute(table.insert(), [dict(row) for row in some])
    finally:
        target.dispose()
