"""What code of the user's must not do to the process it runs in: outlast its time, return twice.

A limit of time is a signal that raises where the code is, every second until it leaves. Code that
never comes back to Python is ended with its process, by a watchdog that needs no lock of Python's;
whoever started the process counts that as a death of the trial and starts another.
"""

import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, ParamSpec, TypeVar

_AGAIN_SECONDS = 1.0
_WATCHDOG_SECONDS = 30.0
"""So long after its limit, code that does not come back to Python is ended with its process."""

_STANDARD_ERROR = 2
_log = logging.getLogger(__name__)

Given = ParamSpec("Given")
Returned = TypeVar("Returned")


class Overtime(BaseException):
    """Raised in code that outlasted its limit.

    No Exception, so that code that handles its own errors does not handle this.
    """


class TimeLimitReached(RuntimeError):
    """Code of the user's outlasted its limit; its traceback says where it was."""


class Guard:
    """Watches over a call of the user's code.

    Args:
        seconds: Its limit; ``None`` for none.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._process = os.getpid()
        self._sheltered = self._due = False
        self.open = False

    def sheltered(self, function: Callable[Given, Returned]) -> Callable[Given, Returned]:
        """The function, for the user's code to call: the limit waits until it has returned."""

        def within(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
            self.end_a_copy()
            self._sheltered = True
            try:
                return function(*args, **kwargs)
            finally:
                self._sheltered = False
                if self._due and self.open:
                    raise Overtime

        return within

    def end_a_copy(self) -> None:
        """End this process if it is a copy, forked by the user's code, of the one that called it.

        It would record trials a second time.
        """
        if os.getpid() != self._process:
            os._exit(1)

    def ring(self, _number: int, _frame: FrameType | None) -> None:
        """The time is over; to be called by the signal."""
        self._due = True
        if self.open and not self._sheltered:
            raise Overtime


@contextmanager
def guarded(seconds: float | None) -> Iterator[Guard]:
    """Watch over the user's code that is called inside; with a limit, in the main thread only.

    Args:
        seconds: How long it may take; ``None`` for as long as it likes.

    Raises:
        TimeLimitReached: If it took longer.
    """
    guard = Guard(seconds)
    try:
        if seconds is None:
            yield guard
            return
        with _alarm(guard, seconds):
            yield guard
    except Overtime as over:
        raise TimeLimitReached(
            f"it took longer than {seconds:g} seconds, its time limit (time_limit); the lines "
            "above say where it was"
        ) from over
    finally:
        guard.end_a_copy()


@contextmanager
def _alarm(guard: Guard, seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, guard.ring)
    faulthandler.dump_traceback_later(seconds + _WATCHDOG_SECONDS, exit=True, file=_STANDARD_ERROR)
    guard.open = True
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
    finally:
        guard.open = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)


def leave(code: int) -> NoReturn:
    """End this process, whatever threads and processes the user's code left running in it.

    Python waits for them, for ever if they do not end.
    """
    ours = (threading.main_thread(), threading.current_thread())
    threads = [t.name for t in threading.enumerate() if t not in ours and not t.daemon]
    children = multiprocessing.active_children()
    for child in children:
        child.terminate()
    if threads or children:
        left = ", ".join([*threads, *(child.name for child in children)])
        _log.warning("what was left running ends with this process: %s", left)
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
