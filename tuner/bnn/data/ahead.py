"""What is read in a thread while what was read before is used."""

import sys
import traceback
from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Thread

import torch
from torch import Tensor

Read = Callable[[int], Tensor]
"""Takes a number from 0, returns what is read as that."""


def in_turn(read: Read, n: int) -> Generator[Tensor]:
    """What is read as 0 .. n - 1, each when it is asked for."""
    yield from map(read, range(n))


def ahead(read: Read, n: int) -> Generator[Tensor]:
    """What is read as 0 .. n - 1, each while the one before it is used.

    One thread reads them all, one after the other, and never more than one that nobody asked for.
    To be closed by whoever does not take all: that waits until the thread has ended.

    Raises:
        Exception: What reading raised, where that would have been returned. What ends the wait
            for it, such as a time limit, is told where the reading was.
    """
    if not n:
        return
    wanted: SimpleQueue[int | None] = SimpleQueue()
    answers: SimpleQueue[Tensor | BaseException] = SimpleQueue()
    with_gradient = torch.is_grad_enabled()

    def answer() -> None:
        torch.set_grad_enabled(with_gradient)  # each thread has its own
        for number in iter(wanted.get, None):
            try:
                answers.put(read(number))
            except BaseException as error:  # raised again where it is waited for
                answers.put(error)

    thread = Thread(target=answer, name="reads samples ahead", daemon=True)
    thread.start()
    wanted.put(0)
    try:
        for number in range(n):
            found = _next(answers, thread)
            if isinstance(found, BaseException):
                raise found
            if number + 1 < n:
                wanted.put(number + 1)
            yield found
    finally:
        wanted.put(None)
        thread.join()


def _next(answers: SimpleQueue[Tensor | BaseException], thread: Thread) -> Tensor | BaseException:
    """What the thread read, or what it raised."""
    if not thread.is_alive():
        raise RuntimeError("samples are read by the process that began to, and this is a copy")
    try:
        return answers.get()
    except BaseException as error:
        frame = sys._current_frames().get(thread.ident or 0)
        where = "".join(traceback.format_stack(frame)) if frame is not None else ""
        error.add_note(f"It waited for samples, which were being read here:\n{where}".rstrip())
        raise
