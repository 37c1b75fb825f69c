"""Requests to stop: SIGTERM and Ctrl-C, heard in the main thread, and those that work asks for.

Each holds for as long as a block runs.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import current_thread, main_thread
from types import FrameType

from tuner.errors import Interrupted

Handler = Callable[[int, FrameType | None], object]

_ASK_SECONDS = 0.5
_stopping: ContextVar[Callable[[], bool] | None] = ContextVar("stopping", default=None)


@contextmanager
def hearing(handler: Handler, *numbers: signal.Signals) -> Iterator[dict[int, object]]:
    """Have a handler hear signals while the block runs; what heard them before does so after it.

    Args:
        handler: Called with the signal's number and the frame.
        numbers: The signals.

    Yields:
        What heard each signal before; empty, and nothing is changed, outside the main thread:
        there signals are someone else's.
    """
    if current_thread() is not main_thread():
        yield {}
        return
    before: dict[int, object] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield before
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)  # type: ignore[arg-type]  # as signal gave it


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that it stops a run as Ctrl-C does."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with hearing(interrupt, signal.SIGTERM):
        yield


@contextmanager
def at_once() -> Iterator[None]:
    """Have SIGTERM and Ctrl-C wait for the end of the block, so that nothing is done by halves."""
    heard: list[int] = []

    def wait(number: int, _frame: FrameType | None) -> None:
        heard.append(number)

    try:
        with hearing(wait, signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        for number in heard[:1]:
            signal.raise_signal(number)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Whether SIGTERM or Ctrl-C came; the second one interrupts what is still going on."""
    requested = False

    def request(_number: int, _frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True

    with hearing(request, signal.SIGTERM, signal.SIGINT):
        yield lambda: requested


@contextmanager
def stoppable(stopping: Callable[[], bool]) -> Iterator[None]:
    """Have long work inside, such as building a network, end early once it is not wanted.

    Args:
        stopping: Asked twice a second at most, wherever ``stop_if_asked`` is called.
    """
    asked = time.monotonic()

    def now() -> bool:
        nonlocal asked
        if time.monotonic() - asked < _ASK_SECONDS:
            return False
        stops = stopping()
        asked = time.monotonic()
        return stops

    before = _stopping.set(now)
    try:
        yield
    finally:
        _stopping.reset(before)


def stop_if_asked() -> None:
    """Between two parts of long work: end it if it is not wanted any more.

    Raises:
        Interrupted: If so.
    """
    stopping = _stopping.get()
    if stopping is not None and stopping():
        raise Interrupted("training was told to stop before it began")
