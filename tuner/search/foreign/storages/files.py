"""The first bytes of a file, by which its kind is known."""

from pathlib import Path

_HEAD = 4096


def head(path: Path) -> bytes:
    """The first bytes of a file, at most 4,096; none of a folder."""
    if path.is_dir():
        return b""
    with path.open("rb") as file:
        return file.read(_HEAD)
