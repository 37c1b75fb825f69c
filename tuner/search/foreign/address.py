"""Where a study is kept, as people write it: ``STORAGE::STUDY``, or a storage alone."""

import re
from dataclasses import dataclass
from pathlib import Path

from tuner.config import without_password

_SUFFIXES = (".db", ".sqlite", ".sqlite3", ".log", ".journal", ".pkl", ".joblib", ".csv", ".jsonl")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s:]*(?::[^\s:]+)*")
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]*@)?(?:\[[^]/]*\]|[^]/:[]*)(?::\d+)?")


@dataclass(frozen=True)
class Address:
    """A storage, and a study in it.

    Args:
        storage: An address such as ``sqlite:///a.db``, or the path of a file or folder.
        study: The study's name; None where only the storage was named.
        called: What its readers call the storage, where they may not know where it lies.
    """

    storage: str
    study: str | None
    called: str = ""

    @property
    def scheme(self) -> str | None:
        """What stands before ``://``, such as ``postgresql``; None for a path."""
        found = _SCHEME.match(self.storage)
        return found[0].removesuffix("://").lower() if found else None

    @property
    def path(self) -> Path:
        """The file or folder: what follows ``sqlite:///`` or ``journal:///`` too."""
        return _path(self.storage)

    @property
    def label(self) -> str:
        """The storage without what is the same in most: its scheme, host and suffix."""
        if self.called:
            return re.sub(r"(?<=[^/])\.[A-Za-z0-9]+$", "", self.called)
        found = _HOST.match(self.storage)
        rest = self.storage.partition("?")[0][found.end() if found else 0 :].strip("/")
        return re.sub(r"(?<=[^/])\.[A-Za-z0-9]+$", "", rest) or self.shown

    @property
    def shown(self) -> str:
        """The storage as a person may see it: without the password."""
        return self.called or without_password(self.storage)

    def veiled(self, text: str) -> str:
        """What is said of the storage, as those may read it who may not know where it lies."""
        if not self.called:
            return text
        for place in (self.storage, str(self.path)):
            if place != ".":
                text = text.replace(place, self.called)
        return _PLACE.sub(self.called, text)


def parse(text: str) -> Address:
    """A storage and a study as somebody wrote them.

    They part at a ``::``. Either may have others in it: the storage is the shortest one before a
    ``::`` that is there, else what stands before the first. The host of a server, which may be
    an IPv6 address or follow a password with ``::`` in it, is never parted.
    """
    if _there(text):
        return Address(text, None)
    host = _HOST.match(text)
    start = host.end() if host else 0
    cuts = [found.start() for found in re.finditer(r"(?=::)", text) if found.start() >= start]
    parts = [(text[:cut], text[cut + 2 :]) for cut in cuts if text[:cut] and text[cut + 2 :]]
    for storage, study in parts:
        if _there(storage):
            return Address(storage, study)
    return Address(*parts[0]) if parts else Address(text, None)


def names_storage(text: str) -> bool:
    """Whether a storage without a study was written, and not the name of a comparison."""
    address = parse(text)
    if address.study is not None:
        return False
    is_called_so = address.path.suffix.lower() in _SUFFIXES  # also where there is no such file
    return address.scheme is not None or "/" in text or address.path.is_file() or is_called_so


def _there(storage: str) -> bool:
    path = _path(storage)
    return path != Path() and _exists(path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # longer than a name can be, or with a null in it
        return False


def _path(storage: str) -> Path:
    """The path in ``sqlite:///a.db``, ``journal:///a.log``, ``sqlite:///file:a.db?uri=true``.

    Empty for a server's address.
    """
    scheme, separator, rest = storage.partition("://")
    if not separator or not _SCHEME.match(storage):
        return Path(storage).expanduser()
    if scheme.partition("+")[0].lower() not in ("sqlite", "journal", "file"):
        return Path()
    plain = rest.removeprefix("/") if rest.startswith("/") else rest
    if not _exists(Path(plain)):
        plain = plain.partition("?")[0].removeprefix("file:")
    return Path(plain).expanduser()
