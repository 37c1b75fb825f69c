"""One thread per process: the workers of a machine are its parallelism."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute in this thread alone.

    A step of a small network is many short operations. Threads would meet at a barrier after each,
    and whatever else runs on the machine can hold a barrier up for longer than the step takes.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
