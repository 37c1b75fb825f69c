"""What an objective prints: each line goes to the log, the last ones to a failure."""

import io
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

_LAST_LINES = 20
_LONGEST_LINE = 1000
_log = logging.getLogger(__name__)


class Said(io.TextIOBase):
    """Takes what is printed in place of the terminal, where the progress is shown.

    Attributes:
        last: The last lines.
    """

    def __init__(self) -> None:
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self._begun = ""
        self._telling = threading.local()

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Log the lines that end in it; of one written over and over, as a bar is, the last."""
        if hasattr(self._telling, "line"):
            return len(text)  # the log cannot be written, and its handlers say so: here
        *lines, begun = (self._begun + text).split("\n")
        for line in lines:
            self._end(line)
        self._begun = begun.rpartition("\r")[2][-_LONGEST_LINE:]
        return len(text)

    def close(self) -> None:
        """End the last line."""
        if self._begun:
            self._end(self._begun)
        self._begun = ""

    def _end(self, line: str) -> None:
        shown = line.rstrip("\r").rpartition("\r")[2][:_LONGEST_LINE]
        self.last.append(shown)
        self._telling.line = shown
        try:
            _log.info("%s", shown)
        finally:
            del self._telling.line


@contextmanager
def heard() -> Iterator[Said]:
    """Hear what is printed inside; what is raised out of it tells the last lines."""
    said = Said()
    try:
        with redirect_stdout(said), redirect_stderr(said):
            yield said
    except BaseException as error:
        said.close()
        if said.last:
            error.add_note("It printed last:\n" + "\n".join(said.last))
        raise
    said.close()
