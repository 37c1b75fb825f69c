"""What can be done with files of unfinished training, wherever they lie."""

import re
from abc import ABC, abstractmethod
from functools import cache

OURS = re.compile(
    r"([0-9a-f]{64}(\.pt|\.[0-9a-f]+\.part))|([0-9a-f]{32}\.zip(\.[0-9a-f]+\.part)?)"
)
"""What the files are called, finished or half written; no other file is ever removed."""

OLD_DAYS = 7.0
"""What was last written so long ago is swept: nobody goes on with it."""


class Place(ABC):
    """Where files lie that are written whole or not at all, and swept once nobody wants them.

    Whatever goes wrong there is an OSError that names the file, and no password.
    """

    @abstractmethod
    def below(self, name: str) -> "Place":
        """The place of that name in this one."""

    @abstractmethod
    def shown(self, name: str) -> str:
        """Where the file of that name lies, as a person may see it."""

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """What the file of that name holds; None if there is none.

        Raises:
            OSError: If that cannot be found out.
        """

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Have the file hold this; after a crash it holds the old or the new.

        The place is made, and swept when this process first writes to it.

        Raises:
            OSError: If it cannot be written, such as when the disk is full.
        """
        self._make()
        _sweep_once(self)
        self._put(name, content)

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove the file, if it is there.

        Raises:
            OSError: If it cannot be removed.
        """

    @abstractmethod
    def sweep(self, days: float = OLD_DAYS) -> None:
        """Remove files of ours that were last written more than so many days ago."""

    @abstractmethod
    def _make(self) -> None:
        """Make the place, if it is of the kind that is made."""

    @abstractmethod
    def _put(self, name: str, content: bytes | memoryview) -> None:
        """See ``write``."""


@cache
def _sweep_once(place: Place) -> None:
    place.sweep()
