"""The database that a command is about, where it has to be there already."""

from pathlib import Path

from tuner.config import database_url
from tuner.errors import DatabaseProblem
from tuner.search.database.store import Store, open_store

DEMO, DEMO_FOLDER = "digits", Path("results")
"""The comparison that the demo runs, and where it puts its database unless told otherwise."""


def demo_database(folder: Path) -> str:
    """The address of the database that the demo makes in a folder."""
    return f"sqlite:///{folder / DEMO}.db"


def open_existing(database: str | None) -> Store:
    """The store at the address given, or else at that in use.

    Raises:
        InvalidInput: If the address is malformed.
        DatabaseProblem: If no comparison was run there; says where that is and, if it is there,
            how to name the demo's.
    """
    try:
        return open_store(database or database_url(), must_exist=True)
    except DatabaseProblem as error:
        if database is not None:
            raise
        told = f"{error} (looked in {Path.cwd()}"
        if (DEMO_FOLDER / f"{DEMO}.db").is_file():
            told += f"; the demo's is here: --database {demo_database(DEMO_FOLDER)}"
        raise DatabaseProblem(f"{told})") from error
