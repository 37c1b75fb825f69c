"""SQLite files read so that nothing is left of it: neither in the file, nor beside it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

_MAGIC = b"SQLite format 3\0"
_WAL = 2
_BUSY_SECONDS = 10
_ENDS = ("", "-wal", "-journal")
_TRIES = 3


def is_sqlite(head: bytes) -> bool:
    """Whether a file that begins so is a SQLite database."""
    return head.startswith(_MAGIC)


@contextmanager
def untouched(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, also in a folder that cannot be written.

    A mere reader of a file in WAL mode makes or marks -shm: such a file is read as if nobody could
    write it, or from a copy with what lies beside it; only if that is written on and on, as every
    reader does. So is what a process left that died (a journal to be rolled back).

    Raises:
        sqlite3.Error: If it is no database, is damaged, or stays locked.
        OSError: If it cannot be read, or there is no room for a copy.
    """
    with path.open("rb") as file:
        in_wal_mode = file.read(19)[18:] == bytes([_WAL])
    if not in_wal_mode:
        with closing(_connected(path, "mode=ro")) as connection:
            if _is_whole(connection):
                yield connection
                return
    elif not _beside(path, "-wal").exists():
        with closing(_connected(path, "immutable=1")) as connection:
            yield connection
            return
    with TemporaryDirectory(prefix="tuner-") as folder:
        copy = Path(folder) / "copy.db"
        still = any(_copied(path, copy) for _ in range(_TRIES))
        opened = sqlite3.connect(copy) if still else _connected(path, "mode=ro")
        with closing(opened) as connection:
            yield connection


def _copied(path: Path, copy: Path) -> bool:
    """Whether nothing changed while the file and what lies beside it were copied."""
    before = _state(path)
    for end in _ENDS:
        _beside(copy, end).unlink(missing_ok=True)
        with suppress(FileNotFoundError):  # whoever closes the file removes what lies beside it
            _beside(copy, end).write_bytes(_beside(path, end).read_bytes())
    return _state(path) == before


def _state(path: Path) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for end in _ENDS:
        try:
            stat = _beside(path, end).stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((stat.st_size, stat.st_mtime_ns))
    return found


def _beside(path: Path, end: str) -> Path:
    return Path(f"{path}{end}")


def _connected(path: Path, how: str) -> sqlite3.Connection:
    url = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(url, uri=True, timeout=_BUSY_SECONDS)


def _is_whole(connection: sqlite3.Connection) -> bool:
    """Whether no journal has to be rolled back first, which takes writing.

    Raises:
        sqlite3.Error: If there is another reason why it cannot be read.
    """
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname not in ("SQLITE_READONLY_ROLLBACK", "SQLITE_CANTOPEN"):
            raise
        return False
    return True
