"""A trial's folder: on this machine while the trial runs, wherever it is kept.

Below an address it is one archive, fetched when the trial begins and written again as often as
checkpoints are: so it is all of one moment, whoever goes on with it.
"""

import logging
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from tuner.kept.folder import Folder
from tuner.kept.packed import pack, unpack
from tuner.kept.place import Place

_KEEP_SECONDS = 60.0
"""How often the folder is written to its address while the trial runs, after a report."""

_log = logging.getLogger(__name__)


class TrialFolder:
    """A folder that lies where it is kept.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def reported(self) -> None:
        """An epoch was reported: keep the folder if it is time."""

    def keep(self) -> None:
        """The trial is interrupted: keep the folder."""

    def remove(self) -> None:
        """The trial has ended."""
        with suppress(OSError):
            shutil.rmtree(self.path)


class _Fetched(TrialFolder):
    """A folder of this machine that is kept elsewhere, as one archive.

    Args:
        path: The folder, empty.
        place: Where the archive is kept.
        name: What it is called there.
    """

    def __init__(self, path: Path, place: Place, name: str) -> None:
        super().__init__(path)
        self._place = place
        self._name = f"{name}.zip"
        self._kept = time.monotonic()
        self._warned = False
        try:
            if (content := place.read(self._name)) is not None:
                unpack(content, path)
        except (OSError, zipfile.BadZipFile) as error:
            shown = place.shown(self._name)
            _log.warning("the trial starts over, as %s cannot be used: %s", shown, error)

    def reported(self) -> None:
        """See ``TrialFolder``."""
        if time.monotonic() - self._kept >= _KEEP_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Write the archive; where that cannot be, say so once, and go on."""
        try:
            self._place.write(self._name, pack(self.path))
        except OSError as error:
            if not self._warned:
                _log.warning("unfinished training cannot be kept, it would be lost: %s", error)
            self._warned = True
        self._kept = time.monotonic()

    def remove(self) -> None:
        """See ``TrialFolder``; what cannot be removed is swept later, by whoever can."""
        with suppress(OSError):
            self._place.remove(self._name)


@contextmanager
def opened(place: Place, name: str) -> Iterator[TrialFolder]:
    """The folder of that name, as an interrupted attempt left it.

    Args:
        place: Where it is kept.
        name: Its name there.

    Raises:
        OSError: If the folder cannot be made.
    """
    if isinstance(place, Folder):
        folder = place.below(name).path
        folder.mkdir(parents=True, exist_ok=True)
        yield TrialFolder(folder)
        return
    with TemporaryDirectory(prefix="tuner-trial-", ignore_cleanup_errors=True) as made:
        yield _Fetched(Path(made), place, name)
