"""How processes that compute are started: their device, their environment, who hears Ctrl-C."""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import forkserver, get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from tuner.machine import gpus

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
KEEP_MEMORY = dict.fromkeys(("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"), str(2**30))
"""glibc hands large tensors back after every step otherwise, and faults their pages in again."""

IMPORTED = [
    "torch",
    "numpy.random",
    "tuner.train",
    "tuner.optim.equivalence",
    "tuner.search.work.crew",
]
"""What a worker needs: the fork server imports it once for all of them."""

HAS_FORK_SERVER = sys.platform == "linux"
"""Elsewhere libraries may not live on in a forked process."""

_one_at_a_time = threading.Lock()
"""Threads share the environment in which processes are started."""


def spawn(
    work: Callable[..., None], *arguments: object, slot: int, name: str | None = None
) -> tuple[BaseProcess, Connection]:
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
    devices = gpus()
    variables = ONE_THREAD | KEEP_MEMORY
    if devices:
        variables["CUDA_VISIBLE_DEVICES"] = devices[slot % len(devices)]
    return fork(work, *arguments, device_kind(), variables=variables, imported=IMPORTED, name=name)


def fork(
    work: Callable[..., None],
    *arguments: object,
    variables: Mapping[str, str],
    imported: Sequence[str],
    name: str | None = None,
) -> tuple[BaseProcess, Connection]:
    """Start a process that ends with this one, deaf to Ctrl-C.

    On Linux it is forked from a server that has imported what it needs: that takes milliseconds
    instead of seconds, and the memory is shared.

    Args:
        work: What it does, called with the arguments and the other end of the pipe; a
            module-level function.
        arguments: What travels to it.
        variables: Environment variables that it has beside this process's.
        imported: Modules that it needs.
        name: Of the process.

    Returns:
        The process and this end of its pipe.
    """
    with _one_at_a_time:
        kind = get_context("forkserver") if prepare(imported) else get_context("spawn")
        ours, theirs = kind.Pipe()
        process = kind.Process(
            target=_begin,
            args=({**os.environ, **variables}, work, *arguments, theirs),
            name=name,
            daemon=True,
        )
        start(process, variables, deaf_to={signal.SIGINT, signal.SIGTERM})
    theirs.close()
    return process, ours


def device_kind() -> str:
    """What processes started here compute on: ``"cuda"`` where there are GPUs, or ``"cpu"``."""
    return "cuda" if gpus() else "cpu"


def prepare(imported: Sequence[str] = ()) -> bool:
    """Begin the server that ``fork`` forks from, if there is none: it imports while others work.

    Threads and memory are as it finds them when it starts. It has this process's path, not the
    folder in which it happens to be. What is sent to all processes, such as Ctrl-C, is not for
    it; it ends after this process and those that it forked.

    Args:
        imported: What it imports; what a worker needs if nothing is named.

    Returns:
        Whether there is one: its socket needs a folder for temporary files, not too deep a one.
    """
    if not HAS_FORK_SERVER:
        return False
    forkserver.set_forkserver_preload(list(imported or IMPORTED))
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONSAFEPATH": "1"}
    resource_tracker.ensure_running()  # it unblocks SIGINT, so it starts before we block it
    with environment(ONE_THREAD | KEEP_MEMORY | path), deaf({signal.SIGINT, signal.SIGTERM}):
        try:
            forkserver.ensure_running()
        except OSError:
            return False
    return True


def _begin(variables: Mapping[str, str], work: Callable[..., None], *arguments: object) -> None:
    """Work in a new process, in the environment of the one that asked for it.

    What was imported before the fork is no garbage: looking for some there would write to every
    object of it, and no page of that memory would be shared any more.
    """
    gc.freeze()
    os.environ.clear()
    os.environ.update(variables)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    work(*arguments)


def left_alone() -> Callable[[], bool]:
    """In a process that ``spawn`` started: tells whether the one that asked for it is gone.

    So it is if the server is gone from which it was forked: nobody then hears how it ends.
    """
    asked, forked_by = parent_process(), os.getppid()
    return lambda: os.getppid() != forked_by or not (asked is None or asked.is_alive())


def start(
    process: BaseProcess, variables: Mapping[str, str], *, deaf_to: set[signal.Signals]
) -> None:
    """Start a process in an environment of its own, deaf to signals that its parent hears."""
    resource_tracker.ensure_running()  # it unblocks SIGINT, so it starts before we block it
    with environment(variables), deaf(deaf_to):
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
def deaf(signals: set[signal.Signals]) -> Iterator[None]:
    """Block signals in the processes started inside: Ctrl-C reaches all, the parent tells them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
