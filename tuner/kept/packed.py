"""A folder as one file: all of it is kept, or nothing."""

import io
import zipfile
from pathlib import Path


def pack(folder: Path) -> bytes:
    """All files below the folder, as one archive; links to folders are not followed."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return made.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Put the files of an archive into a folder.

    Raises:
        zipfile.BadZipFile: If it is damaged; then nothing was put there.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
        archive.extractall(folder)  # names that lead out of the folder are made harmless
