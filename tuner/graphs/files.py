"""Files written whole or not at all, and what a missing library is called."""

import os
import secrets
from importlib import import_module
from pathlib import Path
from types import ModuleType

from tuner.errors import InvalidInput
from tuner.kept.folder import write_whole


def write(path: Path, content: bytes) -> None:
    """Have the file hold this; after a crash it holds the old or the new.

    Raises:
        OSError: If it cannot be written.
    """
    write_whole(path, path.with_name(f".{path.name}.{secrets.token_hex(8)}.part"), content)


def check_place(path: Path) -> None:
    """Refuse, before any work is done, a file that could not be written afterwards.

    Raises:
        InvalidInput: If its folder is not there or cannot be written to, or it is a folder.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InvalidInput(f"export: the folder {path.parent} does not exist; make it")
    if path.is_dir():
        raise InvalidInput(f"export: {path} is a folder; name a file")
    if not os.access(folder, os.W_OK, effective_ids=True):
        raise InvalidInput(f"export: {path} cannot be written; name another file")


def library(name: str) -> ModuleType:
    """A library of the extra ``export``.

    Raises:
        InvalidInput: If it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InvalidInput(
            f"export: {name.partition('.')[0]} is not installed: pip install 'bnn-tuner[export]'"
        ) from error
