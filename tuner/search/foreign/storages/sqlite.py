"""SQLite files of Optuna or MLflow, of any version: read from a copy, so nothing touches them."""

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from tuner.errors import DatabaseProblem
from tuner.search.database.opening import reason
from tuner.search.database.untouched import is_sqlite, untouched
from tuner.search.foreign.exports.mlflow_database import holds_runs, studies_of_database
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.shown import typed
from tuner.search.foreign.storages.files import head
from tuner.search.foreign.storages.optuna_storage import OptunaStudies
from tuner.search.foreign.storages.schema import brought_up_to_date

_CHECK = re.compile(r",\s*(?:CONSTRAINT \w+ )?CHECK \((?:[^()]|\([^()]*\))*\)")


def recognises(path: Path) -> bool:
    """Whether a file is a SQLite file."""
    return is_sqlite(head(path))


@contextmanager
def studies_in(path: Path) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies in a SQLite file, as they stand: Optuna's, or the experiments of MLflow.

    Raises:
        DatabaseProblem: If it cannot be read, or is neither Optuna's nor MLflow's.
    """
    with TemporaryDirectory(prefix="tuner-") as folder:
        copy = Path(folder) / "copy.db"
        try:
            with untouched(path) as source, closing(sqlite3.connect(copy)) as target:
                target.execute("PRAGMA synchronous = OFF")
                source.backup(target)
                _ease(target)
            if holds_runs(copy):
                yield studies_of_database(copy, str(path))
                return
            with brought_up_to_date(URL.create("sqlite", database=str(copy)), str(path)) as opened:
                yield OptunaStudies(*opened)
        except (OSError, sqlite3.Error, DBAPIError, StorageInternalError) as error:
            said = reason(error).replace("sqlite3 FILE", f"sqlite3 {typed(str(path))}")
            raise DatabaseProblem(f"database {path}: {said}") from error


def _ease(copy: sqlite3.Connection) -> None:
    """Take away what Optuna's own migrations from before 2.4 stumble over in a SQLite file.

    A column of choices had a check that outlives the column (SQLAlchemy before 1.4 made one); a
    report that was not a number is null, where null is no longer allowed.
    """
    tables = copy.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    copy.execute("PRAGMA writable_schema = ON")
    for name, sql in tables:
        eased = _CHECK.sub("", sql)
        if eased != sql:
            copy.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (eased, name))
    copy.execute("PRAGMA writable_schema = RESET")
    columns = {row[1] for row in copy.execute("PRAGMA table_info (trial_values)")}
    if "step" in columns:
        copy.execute("DELETE FROM trial_values WHERE value IS NULL")
    copy.commit()
