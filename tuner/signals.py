"""One way to hear SIGTERM and Ctrl-C: for as long as a block runs, and in the main thread only."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


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
