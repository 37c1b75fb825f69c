"""What a process wrote last to its standard error: often the one thing that says why it died."""

import faulthandler
import os
from collections import deque
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread

_KEPT = 20
_LONGEST = 500
_SECONDS = 1.0


class LastLines:
    """The standard error of one process: passed on as it comes, its last lines kept.

    Attributes:
        theirs: What the process is given, for ``write_to``; to be closed here once it has it.
    """

    def __init__(self) -> None:
        self._ours, self.theirs = Pipe(duplex=False)
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._thread = Thread(target=self._pass_on, name="standard error", daemon=True)

    def follow(self) -> None:
        """Begin; the process has its end."""
        self.theirs.close()
        self._thread.start()

    def after_the_end(self) -> list[str]:
        """The last lines of a process that has ended.

        Another that it started may go on writing: it is not waited for.
        """
        self._thread.join(_SECONDS)
        return list(self._lines)

    def _pass_on(self) -> None:
        rest = b""
        with self._ours:
            while written := os.read(self._ours.fileno(), 65536):
                with suppress(OSError):  # a pipe that nobody reads must not stop the process
                    os.write(2, written)
                *lines, rest = (rest + written).split(b"\n")
                self._keep(lines)
                rest = rest[-_LONGEST:]
            self._keep([rest])

    def _keep(self, lines: list[bytes]) -> None:
        texts = (line.decode(errors="replace").rstrip() for line in lines)
        self._lines.extend(text[:_LONGEST] for text in texts if text)


def write_to(theirs: Connection) -> None:
    """In the process: write what goes to standard error there, and if it crashes, where."""
    os.dup2(theirs.fileno(), 2)
    theirs.close()
    faulthandler.enable(all_threads=False)
