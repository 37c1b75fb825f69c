"""How processes that compute are started: their device, their environment, who hears Ctrl-C."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from tuner.machine import gpus

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
KEEP_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**30))
"""glibc hands large tensors back after every step otherwise, and faults their pages in again."""


def spawn(
    work: Callable[..., None], *arguments: object, slot: int, name: str | None = None
) -> tuple[SpawnProcess, Connection]:
    """Start a process of one thread on a device of its own; it ends with this one.

    Args:
        work: What it does, called with the arguments, the device (``"cuda"`` or ``"cpu"``) and
            the other end of the pipe; a module-level function.
        arguments: What travels to it.
        slot: Its place among those beside it, from 0: they share the GPUs in turn.
        name: Of the process.

    Returns:
        The process and this end of its pipe.
    """
    context, devices = get_context("spawn"), gpus()
    variables = ONE_THREAD | KEEP_MEMORY
    if devices:
        variables["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    ours, theirs = context.Pipe()
    process = context.Process(
        target=work,
        args=(*arguments, "cuda" if devices else "cpu", theirs),
        name=name,
        daemon=True,
    )
    start(process, variables)
    theirs.close()
    return process, ours


def start(process: SpawnProcess, variables: Mapping[str, str]) -> None:
    """Start a process in an environment of its own, deaf to Ctrl-C, which its parent hears."""
    resource_tracker.ensure_running()  # it unblocks SIGINT, so it starts before we block it
    with environment(variables), without_interrupts():
        process.start()


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Block SIGINT in the processes started inside: Ctrl-C reaches all, the parent tells them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
