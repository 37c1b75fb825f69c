"""Optuna's tables in a database of our own, brought up to the version of the Optuna in use."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tuner.errors import DatabaseProblem
from tuner.search.database.opening import reason
from tuner.search.foreign.storages.optuna_storage import unwarned

_MLFLOW = {"experiments", "runs", "metrics"}


@contextmanager
def brought_up_to_date(copy: URL, where: str) -> Iterator[tuple[RDBStorage, tuple[str, ...]]]:
    """Optuna's storage in a copy, and what must be said of it.

    Args:
        copy: The copy's address; nobody else uses it.
        where: What it is a copy of, for messages.

    Raises:
        DatabaseProblem: If it holds no studies, or newer software made them.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    _check(copy, where)
    storage = RDBStorage(str(copy), skip_compatibility_check=True, skip_table_creation=True)
    try:
        version = storage.get_current_version()
        notes: tuple[str, ...] = ()
        if version != newest():
            if version not in storage.get_all_versions():
                raise DatabaseProblem(
                    f"database {where}: Optuna's tables are of version {version}, which Optuna "
                    f"{optuna.__version__} does not know; read it with the newer Optuna that made "
                    "them"
                )
            try:
                with _unheard():
                    storage.upgrade()
            except (DBAPIError, StorageInternalError, RuntimeError, KeyError) as error:
                raise DatabaseProblem(
                    f"database {where}: its tables of version {version} could not be brought up "
                    f"to date in a copy ({reason(error)}); upgrade it with the Optuna that made it"
                ) from error
            notes = (
                f"{where}: its tables are of an older Optuna ({version}); they were read from a "
                "copy that was brought up to date",
            )
        yield storage, notes
    finally:
        storage.remove_session()
        storage.engine.dispose()


@cache
def newest() -> str:
    """The version of tables that the Optuna in use makes; it reads all its migrations for that."""
    storage = RDBStorage("sqlite:///:memory:")
    try:
        return storage.get_head_version()
    finally:
        storage.engine.dispose()


def revision(engine: Engine) -> str | None:
    """The version of Optuna's tables, as it is written there; None where it is not."""
    if not inspect(engine).has_table("alembic_version"):
        return None
    with engine.connect() as connection:
        written = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if written is None else str(written)


@contextmanager
def _unheard() -> Iterator[None]:
    """Without what alembic logs: Optuna sets logging up anew where nobody did."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        with unwarned():
            yield
    finally:
        root.removeHandler(handler)


def _check(copy: URL, where: str) -> None:
    engine = create_engine(copy)
    try:
        tables = set(inspect(engine).get_table_names())
        if "version_info" not in tables or "studies" not in tables:
            raise DatabaseProblem(f"database {where}: holds no Optuna studies; check the name")
        written = revision(engine)
    finally:
        engine.dispose()
    if tables >= _MLFLOW and written is not None and not written.startswith("v"):
        raise DatabaseProblem(
            f"database {where}: MLflow and Optuna share it, and both write their version into "
            f"the table alembic_version, which says {written}: so that of Optuna's tables is not "
            "known; copy the studies with the Optuna that made them (optuna.copy_study) into a "
            "file of their own"
        )
