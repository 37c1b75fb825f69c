"""A folder, which several machines may share."""

import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.kept.place import OLD_DAYS, OURS, Place


@dataclass(frozen=True)
class Folder(Place):
    """Files in a folder; see ``Place``.

    Args:
        path: The folder; it is made if missing.
    """

    path: Path

    def below(self, name: str) -> "Folder":
        """The folder of that name in this one."""
        return Folder(self.path / name)

    def shown(self, name: str) -> str:
        """The file's path."""
        return str(self.path / name)

    def read(self, name: str) -> bytes | None:
        """See ``Place.read``."""
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def remove(self, name: str) -> None:
        """See ``Place.remove``."""
        (self.path / name).unlink(missing_ok=True)

    def sweep(self, days: float = OLD_DAYS) -> None:
        """See ``Place.sweep``."""
        oldest = time.time() - days * 24 * 3600
        for file in self.path.iterdir():
            with suppress(OSError):  # another process may have removed it
                if OURS.fullmatch(file.name) and file.stat().st_mtime < oldest:
                    file.unlink()

    def _make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)

    def _put(self, name: str, content: bytes | memoryview) -> None:
        file = self.path / name
        write_whole(file, file.with_name(f"{file.stem}.{secrets.token_hex(8)}.part"), content)


def write_whole(file: Path, part: Path, content: bytes | memoryview) -> None:
    """Have the file hold this, by way of another beside it; after a crash it holds old or new.

    Raises:
        OSError: If it cannot be written; it names the file, and not the other.
    """
    try:
        with part.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except OSError as error:
        error.filename, error.filename2 = str(file), None
        raise
    finally:
        part.unlink(missing_ok=True)
