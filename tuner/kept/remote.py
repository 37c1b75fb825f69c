"""An address that fsspec opens: an object store, or the disk of another machine."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tuner.config import without_password
from tuner.errors import InvalidInput
from tuner.kept.place import OLD_DAYS, OURS, Place

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
"""Kind of address -> the extra of this package that opens it."""

_WHOLE = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"}
"""Stores that show a file when all of it is there; elsewhere it is renamed once it is."""

_WRITTEN = ("mtime", "LastModified", "updated", "last_modified", "created")
"""What fsspec's file systems call the moment a file was last written."""

_OPTIONS: Mapping[str, Mapping[str, Any]] = {  # Any: keyword arguments
    "s3": {
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 15,
            "retries": {"total_max_attempts": 2},
        }
    }
}
"""Training waits for its file to be written, and is not to wait for minutes."""


@dataclass(frozen=True)
class Remote(Place):
    """Files below an address of fsspec's; see ``Place``.

    Args:
        address: Such as ``s3://bucket/checkpoints``, without a slash at its end.
        system: The file system of fsspec's.
        root: The address as that one calls it.
    """

    address: str
    system: Any = field(compare=False, repr=False)  # Any: fsspec's types are not to be imported
    root: str = field(compare=False)

    def below(self, name: str) -> "Remote":
        """What lies below that name."""
        return Remote(f"{self.address}/{name}", self.system, f"{self.root}/{name}")

    def shown(self, name: str) -> str:
        """The file's address, without a password."""
        return f"{without_password(self.address)}/{name}"

    def read(self, name: str) -> bytes | None:
        """See ``Place.read``."""
        with self._said(name):
            try:
                content: bytes = self.system.cat_file(f"{self.root}/{name}")
            except (FileNotFoundError, NotADirectoryError):
                return None
            return content

    def remove(self, name: str) -> None:
        """See ``Place.remove``."""
        with self._said(name), suppress(FileNotFoundError):
            self.system.rm_file(f"{self.root}/{name}")

    def sweep(self, days: float = OLD_DAYS) -> None:
        """See ``Place.sweep``."""
        oldest = time.time() - days * 24 * 3600
        with self._said("*"):
            try:
                there = self.system.ls(self.root, detail=True, refresh=True)
            except FileNotFoundError:
                return
        for each in there:
            name = each["name"].rpartition("/")[2]
            if OURS.fullmatch(name) and (_written(each) or oldest) < oldest:
                with suppress(OSError):  # another process may have removed it
                    self.remove(name)

    def _make(self) -> None:
        if not self._whole:
            with self._said(""):
                self.system.makedirs(self.root, exist_ok=True)

    def _put(self, name: str, content: bytes | memoryview) -> None:
        file = f"{self.root}/{name}"
        with self._said(name):
            if self._whole:
                self.system.pipe_file(file, bytes(content))
                return
            made = f"{self.root}/{name.partition('.')[0]}.{secrets.token_hex(8)}.part"
            try:
                self.system.pipe_file(made, bytes(content))
                self.system.mv(made, file)
            except BaseException:
                with suppress(Exception):
                    self.system.rm_file(made)
                raise

    @property
    def _whole(self) -> bool:
        return self.address.partition("://")[0] in _WHOLE

    @contextmanager
    def _said(self, name: str) -> Iterator[None]:
        """Whatever went wrong there, as an OSError: each of the libraries raises its own."""
        try:
            yield
        except Exception as error:
            raise OSError(f"{self.shown(name)}: {_in_a_line(error)}") from error


def remote(address: str) -> Remote:
    """The place at an address; whether it answers is found out when it is used.

    Raises:
        InvalidInput: If fsspec knows no such addresses, or a library that opens them is missing.
    """
    kind, _, rest = address.partition("://")
    shown = without_password(address)
    extra = EXTRAS.get(kind)
    install = f'pip install "bnn-tuner[{extra}]"' if extra else "pip install fsspec"
    if not rest.strip("/"):
        raise InvalidInput(
            f"TUNER_CHECKPOINT_DIR: {shown} names no folder or bucket; write {kind}://NAME"
        )
    try:
        import fsspec
    except ImportError as error:
        raise InvalidInput(
            f"TUNER_CHECKPOINT_DIR: {shown} is opened by fsspec, which is not installed: {install}"
        ) from error
    try:
        system, root = fsspec.core.url_to_fs(address.rstrip("/"), **_OPTIONS.get(kind, {}))
    except ImportError as error:
        words = install if extra else f"fsspec says: {_in_a_line(error)}"
        raise InvalidInput(
            f"TUNER_CHECKPOINT_DIR: {shown} needs a library that is not installed: {words}"
        ) from error
    except Exception as error:  # each of the libraries raises its own
        raise InvalidInput(
            f"TUNER_CHECKPOINT_DIR: {shown} cannot be used ({_in_a_line(error)}); write a folder, "
            "s3://BUCKET/NAME, gs://BUCKET/NAME, or another address that fsspec knows"
        ) from error
    if hasattr(system, "retries"):  # s3fs tries each request five times over, beside botocore
        system.retries = 1
    return Remote(address.rstrip("/"), system, str(root).rstrip("/"))


def _written(details: Mapping[str, Any]) -> float | None:  # Any: whatever fsspec says
    """When the file was last written, in seconds since 1970; None if nobody says."""
    at = next((details[name] for name in _WRITTEN if details.get(name)), None)
    if isinstance(at, str):
        at = datetime.fromisoformat(at.replace("Z", "+00:00"))
    return at.timestamp() if isinstance(at, datetime) else at


def _in_a_line(error: BaseException) -> str:
    words = " ".join(str(error).split())
    return without_password(words) or type(error).__name__
