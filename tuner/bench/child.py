"""One side's process: kept alive over a contest, told over a pipe to do one slice of work."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import nan
from multiprocessing import get_context
from multiprocessing.connection import Connection

from tuner.errors import TunerError
from tuner.search.work.surroundings import start


@dataclass(frozen=True)
class Slice:
    """What one process did in one slice; what a contest does not ask for stays NaN.

    Args:
        work: Samples, trials, or weights updated.
        seconds: How long they took.
        accuracy: Validation accuracy at the end, in [0, 1].
        busy_seconds: How long the process worked on trials.
        training_seconds: How much of that it trained or validated.
        p95_seconds: How long the slowest twentieth of the answers took at least.
    """

    work: float
    seconds: float
    accuracy: float = nan
    busy_seconds: float = nan
    training_seconds: float = nan
    p95_seconds: float = nan


class Job(ABC):
    """What a process does; made by the parent, sent to the child, and at work there."""

    def start(self) -> None:  # noqa: B027  # most jobs override it, none has to
        """Once, untimed, while the other processes start too: import, load, warm up."""

    def gauge(self) -> None:  # noqa: B027  # few jobs need it
        """Once, untimed, while nothing else runs: find out how much work makes a slice."""

    def open(self, number: int) -> None:  # noqa: B027  # few jobs need it
        """Before each slice, untimed, one process after the other: make ready."""

    @abstractmethod
    def run(self, number: int) -> Slice:
        """Do slice ``number``, counted from 0."""


class Child:
    """A spawned process with a job.

    Args:
        name: What to call it in an error.
        job: What it does.
        variables: Environment variables, set before the process imports anything.
    """

    def __init__(self, name: str, job: Job, variables: Mapping[str, str]) -> None:
        context = get_context("spawn")
        self._name = name
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(job, theirs), name=name, daemon=True)
        start(self._process, variables, deaf_to={signal.SIGINT})
        theirs.close()

    def tell(self, order: str, number: int = 0) -> None:
        """Have it do one of ``start``, ``gauge``, ``open``, ``run``; ``answer`` must follow."""
        with suppress(BrokenPipeError):  # it is gone, as answer will say
            self._pipe.send((order, number))

    def answer(self) -> Slice | None:
        """Wait until it has done so; returns the slice after ``run``.

        Raises:
            TunerError: If it failed; says how.
        """
        try:
            done: Slice | str | None = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            done = f"the process ended with exit status {self._process.exitcode}"
        if isinstance(done, str):
            raise TunerError(f"{self._name}: {done}")
        return done

    def close(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(job: Job, pipe: Connection) -> None:
    """What the process runs: one order after the other, until the parent is gone."""
    try:
        while True:
            order, number = pipe.recv()
            pipe.send(_obey(job, order, number))
    except (EOFError, BrokenPipeError):
        return
    except Exception as error:
        reason = (
            str(error) if isinstance(error, TunerError) else f"{type(error).__name__}: {error}"
        )
        pipe.send(" ".join(reason.split()))


def _obey(job: Job, order: str, number: int) -> Slice | None:
    match order:
        case "start":
            job.start()
        case "gauge":
            job.gauge()
        case "open":
            job.open(number)
        case _:
            return job.run(number)
    return None
