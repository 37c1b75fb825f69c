"""Opening a database: SQLite in WAL mode, or PostgreSQL, with Optuna's tables and ours.

Whatever is wrong with the address, the file, the server or the schema ends here, in one line.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import optuna
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, create_engine, inspect, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from tuner.config import without_password
from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.database.patience import note_use, see_whether_alive
from tuner.search.database.storage.limits import UNANSWERED_MILLISECONDS, set_limits
from tuner.search.database.storage.rows import StorageByRows
from tuner.search.database.tables import SCHEMA, VERSION_TABLE
from tuner.search.database.untouched import untouched

BUSY_SECONDS = 60
"""How long a SQLite writer waits for the others before it gives up."""

_KEPT, _CONNECTIONS, _MORE = 8, 40, 10
"""Connections that stay open when nobody needs them, as many as a server has threads, and more.

A thread that reads trials holds Optuna's cache while it waits for a connection; others have one,
in a transaction, and wait for the cache. So a store has more connections than threads.

SQLAlchemy's pool closes none of those it keeps, so of PostgreSQL's, which are few and shared with
all workers, it keeps what a busy server needs most of the time; SQLite's cost nobody anything.
"""

_RECYCLE_SECONDS = 1800
"""Connections older than this are opened anew: proxies and firewalls drop those that last."""

_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
"""Within a minute a connection is known to be dead, not after the two hours of the default."""

_newest: dict[str, str] = {}
"""Optuna's version -> that of its tables, once it has been asked."""

_HELP = "write sqlite:///FILE or postgresql://USER@HOST/NAME"


def normalise(url: str) -> URL:
    """The address in SQLAlchemy's terms; ``postgres://`` and ``postgresql://`` mean psycopg 3.

    Raises:
        InvalidInput: If it is not the address of a SQLite file or a PostgreSQL database.
    """
    try:
        address = make_url(url)
        backend = address.drivername.split("+")[0]
    except (ArgumentError, ValueError) as error:
        raise InvalidInput(
            f"database {without_password(url)!r} is not an address; {_HELP}"
        ) from error
    if backend in ("postgres", "postgresql"):
        return address.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise InvalidInput(f"database {shown(address)}: {backend} is not supported; {_HELP}")
    if address.database in (None, "", ":memory:"):
        raise InvalidInput(f"database {url!r}: processes cannot share memory; {_HELP}")
    return address


def shown(address: URL) -> str:
    """The address as a person may see it: without the password, wherever it is written."""
    secret = [name for name in address.query if "pass" in name.lower()]
    return address.update_query_dict(dict.fromkeys(secret, "***")).render_as_string()


def connect(address: URL, *, must_exist: bool) -> RDBStorage:
    """Optuna's storage at a normalised address; our tables are on the same engine.

    Args:
        address: A normalised address.
        must_exist: Refuse a database without our tables instead of making them.

    Raises:
        DatabaseProblem: If there is no such database, it cannot be reached or written, or it
            belongs to another version of Optuna or of this software.
    """
    if must_exist:
        _check_ours(address)
    storage = connect_optuna(address, must_exist=must_exist)
    with ExitStack() as on_failure:
        on_failure.callback(storage.engine.dispose)
        with _alone(storage, address) as connection:
            _migrate(connection, shown(address), must_exist=must_exist)
        on_failure.pop_all()
    return storage


def upgrade(url: str) -> tuple[str | None, str]:
    """Bring a database's tables, Optuna's and ours, up to this software's version.

    A database without any gets them. All changes to our tables are one transaction.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.

    Returns:
        The version of our tables before, None if there were none, and the version now.

    Raises:
        InvalidInput: If the address is malformed.
        DatabaseProblem: If it cannot be reached or written, or newer software made it.
    """
    address = normalise(url)
    where = shown(address)
    storage = connect_optuna(address, must_exist=False, check=False)
    try:
        with _alone(storage, address) as connection:
            before = _version(connection)
        if before is not None and before not in _known():
            _refuse(before, where)
        _upgrade_optuna(storage, where)
        with _alone(storage, address) as connection:
            _run_migrations(connection)
        return before, SCHEMA
    finally:
        storage.engine.dispose()


def _upgrade_optuna(storage: RDBStorage, where: str) -> None:
    version = storage.get_current_version()
    if version not in storage.get_all_versions():
        _refuse_optuna(storage, where)
    if version != _newest_of_optuna(storage):
        try:
            storage.upgrade()
        except (DBAPIError, StorageInternalError) as error:
            raise DatabaseProblem(f"database {where}: {reason(error)}") from error


@contextmanager
def _alone(storage: RDBStorage, address: URL) -> Iterator[Connection]:
    """One transaction that changes tables, while nobody else does.

    Raises:
        DatabaseProblem: If the database refuses it.
    """
    try:
        with storage.engine.connect() as connection:
            if storage.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")  # makes its DDL atomic
            else:  # tables may be large, and whoever changes them is waited for
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7105811)")
            yield connection
            connection.commit()
    except DBAPIError as error:
        raise DatabaseProblem(f"database {shown(address)}: {reason(error)}") from error


def connect_optuna(address: URL, *, must_exist: bool, check: bool = True) -> RDBStorage:
    """Optuna's storage at a normalised address.

    Args:
        address: A normalised address.
        must_exist: Refuse a database without Optuna's tables instead of making them.
        check: Refuse tables of another version of Optuna.

    Raises:
        DatabaseProblem: As ``connect``.
    """
    where = shown(address)
    _check_file(address, where, must_exist=must_exist)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        there = (must_exist or not check) and _has_optuna(address)
        if must_exist and not there:
            raise DatabaseProblem(f"database {where}: holds no Optuna studies; check the name")
        try:
            storage = _storage(address, must_exist=there)
        except (DBAPIError, StorageInternalError) as error:
            if not (isinstance(error, IntegrityError) or "already exists" in str(error)):
                raise
            storage = _storage(address, must_exist=False)  # another made them
        with ExitStack() as on_failure:
            on_failure.callback(storage.engine.dispose)
            if check and storage.get_current_version() != _newest_of_optuna(storage):
                _refuse_optuna(storage, where)
            on_failure.pop_all()
        return storage
    except (DBAPIError, StorageInternalError) as error:
        raise DatabaseProblem(f"database {where}: {reason(error)}") from error


def _newest_of_optuna(storage: RDBStorage) -> str:
    """The version of tables that the Optuna in use makes; it reads all its migrations for that."""
    if optuna.__version__ not in _newest:
        _newest[optuna.__version__] = storage.get_head_version()
    return _newest[optuna.__version__]


def _refuse_optuna(storage: RDBStorage, where: str) -> NoReturn:
    """Say that Optuna's tables are too old or too new, and what to do about it."""
    version = storage.get_current_version()
    fix = "use the newer Optuna that made them, or another database"
    if version in storage.get_all_versions():
        fix = "bring them up to date with: tuner db upgrade"
    raise DatabaseProblem(
        f"database {where}: Optuna's tables are of version {version}, Optuna {optuna.__version__} "
        f"needs {_newest_of_optuna(storage)}; {fix}"
    )


def _storage(address: URL, *, must_exist: bool) -> RDBStorage:
    url = address.render_as_string(hide_password=False)
    return StorageByRows(
        url.replace("{", "{{").replace("}", "}}"),  # Optuna fills braces
        engine_kwargs=_engine_options(address),
        skip_compatibility_check=True,  # connect_optuna does it, in words of ours
        skip_table_creation=must_exist,
    )


def _engine_options(address: URL) -> dict[str, Any]:  # Any: keyword arguments
    if address.get_backend_name() == "sqlite":
        return {
            "pool_events": [(_set_pragmas, "connect")],
            "connect_args": {"timeout": BUSY_SECONDS},
            "pool_size": _CONNECTIONS,
            "max_overflow": _MORE,
        }
    unanswered = {"tcp_user_timeout": UNANSWERED_MILLISECONDS}
    return {
        "connect_args": {"connect_timeout": 10, **_KEEPALIVES, **unanswered},
        "pool_events": [
            (set_limits, "connect"),
            (note_use, "checkin"),
            (see_whether_alive, "checkout"),
        ],
        "pool_recycle": _RECYCLE_SECONDS,
        "pool_size": _KEPT,
        "max_overflow": _CONNECTIONS - _KEPT + _MORE,
    }


def _set_pragmas(connection: Any, _record: object) -> None:  # Any: a DBAPI connection
    """Let readers and one writer work side by side; a crash loses no committed trial."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def _check_file(address: URL, where: str, *, must_exist: bool) -> None:
    if address.get_backend_name() != "sqlite" or "uri" in address.query:
        return
    path = Path(address.database or "")
    if path.is_dir():
        raise DatabaseProblem(f"database {where}: {path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise DatabaseProblem(f"database {where}: folder {path.parent} does not exist; create it")
    if must_exist and not path.is_file():
        raise DatabaseProblem(f"database {where}: there is no file {path}; check the name")


def _check_ours(address: URL) -> None:
    """Refuse a SQLite file in which no comparison was run, before it is opened for writing."""
    where = shown(address)
    _check_file(address, where, must_exist=True)
    if address.get_backend_name() != "sqlite" or "uri" in address.query:
        return
    try:
        with untouched(Path(address.database or "")) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    except (OSError, sqlite3.Error) as error:
        raise DatabaseProblem(f"database {where}: {reason(error)}") from error
    if "version_info" not in tables:
        raise DatabaseProblem(f"database {where}: holds no Optuna studies; check the name")
    if VERSION_TABLE not in tables:
        raise DatabaseProblem(
            f"database {where}: no comparison was ever run in it; check the name"
        )


def _has_optuna(address: URL) -> bool:
    engine = create_engine(address, **_engine_options(address))
    try:
        return inspect(engine).has_table("version_info")
    finally:
        engine.dispose()


def _migrate(connection: Connection, where: str, *, must_exist: bool) -> None:
    version = _version(connection)
    if version == SCHEMA:
        return
    if version is None and must_exist:
        raise DatabaseProblem(
            f"database {where}: no comparison was ever run in it; check the name"
        )
    if version is not None:
        _refuse(version, where)
    _run_migrations(connection)


def _version(connection: Connection) -> str | None:
    """The version of our tables, if there are any."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def _refuse(version: str, where: str) -> NoReturn:
    """Say that tables are too old or too new, and what to do about it."""
    raise DatabaseProblem(
        f"database {where}: its tables are of version {version}, "
        f"this software needs {SCHEMA}; {remedy(version)}"
    )


def remedy(version: str) -> str:
    """What to do about tables of a version that is not this software's."""
    if version in _known():
        return "bring them up to date with: tuner db upgrade"
    return "use the newer software that made them, or another database"


def _scripts() -> Config:
    config = Config()
    scripts = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", scripts.replace("%", "%%"))
    return config


def _known() -> set[str]:
    """The schema versions that this software can bring up to date."""
    return {script.revision for script in ScriptDirectory.from_config(_scripts()).walk_revisions()}


def _run_migrations(connection: Connection) -> None:
    config = _scripts()
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA)


def reason(error: Exception) -> str:
    """The driver's own words, on one line, without SQL; what to do about a damaged file."""
    cause: BaseException | None = error
    while cause is not None and not getattr(cause, "orig", None):
        cause = cause.__cause__
    said = getattr(cause, "orig", error)
    words = " ".join(str(said).split()) or type(error).__name__
    if getattr(said, "sqlite_errorcode", None) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            f"{words}: the file is damaged or cut off; copy it afresh, or save what can still be "
            "read with: sqlite3 FILE .recover | sqlite3 saved.db"
        )
    return words
