"""The storages of others that studies are compared from: those that this server's maker names.

A client names a storage as the server's settings call it, and what is below it; it never says
where anything lies, and is never told.
"""

import re
from collections.abc import Mapping
from pathlib import PurePath

from tuner.config import without_password
from tuner.errors import InvalidInput, NotFound, UnknownName
from tuner.search.foreign.address import Address

VARIABLE = "TUNER_STORAGES"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def storages_in(text: str) -> dict[str, str]:
    """Name of each storage -> its address or path, out of ``team=postgresql://...,sweeps=/srv``.

    Raises:
        InvalidInput: If it is written otherwise, or names one twice.
    """
    found: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, storage = part.partition("=")
        if not _NAME.fullmatch(name) or not storage:
            raise InvalidInput(
                f"{VARIABLE}: must be NAME=STORAGE, others after commas, names of letters, "
                f"digits, '.', '_' and '-'; got {without_password(part)!r}"
            )
        if name in found:
            raise InvalidInput(f"{VARIABLE}: names {name!r} twice")
        found[name] = storage
    return found


def address_in(
    storages: Mapping[str, str], storage: str, path: str | None, study: str | None
) -> Address:
    """Where a study lies that a client named.

    Args:
        storages: Name -> address or path.
        storage: One of the names.
        path: What is meant in a folder.
        study: The study's name, where there are several.

    Raises:
        InvalidInput: If no storage is called so, or the path leads out of it.
        NotFound: If there is no such file.
    """
    if not storages:
        raise InvalidInput(
            f"storage: this server reads no storage but its own database ({VARIABLE} names none)"
        )
    if storage not in storages:
        raise UnknownName("storage", storage, storages)
    whole = Address(storages[storage], study, called=storage)
    if path is None:
        return whole
    root = whole.path
    if whole.scheme not in (None, "file") or not root.is_dir():
        raise InvalidInput(f"path: storage {storage!r} is no folder; leave the path out")
    try:
        place = (root / path).resolve()
        inside = place.is_relative_to(root.resolve()) and not PurePath(path).is_absolute()
        there = inside and place.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, NUL, links in a circle
        raise InvalidInput(f"path: {path!r} is no path") from error
    if not inside:
        raise InvalidInput(f"path: must lie in storage {storage!r}, got {path!r}")
    if not there:
        raise NotFound(f"storage {storage!r}: there is no {path!r} in it")
    return Address(str(place), study, called=f"{storage}/{path}")
