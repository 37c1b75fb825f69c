"""Which place an address stands for."""

import re
from pathlib import Path

from tuner.kept.folder import Folder
from tuner.kept.place import Place

_FILE = "file://"


def at(where: Path | str) -> Place:
    """The place; addresses, such as ``s3://bucket/name``, are opened by fsspec, folders are not.

    Raises:
        InvalidInput: If it is an address that cannot be opened; names the extra to install.
    """
    text = str(where) if isinstance(where, Path) else where
    if text.startswith(_FILE):
        return Folder(Path(text.removeprefix(_FILE)))
    if isinstance(where, Path) or not is_address(text):
        return Folder(Path(where))
    from tuner.kept.remote import remote  # fsspec is an extra

    return remote(text)


def is_address(where: Path | str) -> bool:
    """Whether it is an address, and no folder."""
    return bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", str(where)))
