"""The worker processes of one machine: started, watched, replaced, stopped.

Processes have one thread each and are stopped by SIGTERM: nothing is shared with them that a
killed process could leave locked. One whose launcher is gone stops by itself.
"""

import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.errors import TunerError
from tuner.logs import configure
from tuner.search.database.patience import in_a_line, patiently
from tuner.search.database.store import open_store
from tuner.search.queue import roster
from tuner.search.queue.queue import RETRIES, Queue
from tuner.search.work.surroundings import device_kind, left_alone, spawn
from tuner.search.work.trainer import Trainer
from tuner.search.work.worker import Worker

MakeTrainer = Callable[[str], Trainer]
"""Makes a trainer for a device, in the worker process; a module-level function or class."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """What a crew works on; travels to its processes.

    Args:
        database: The address.
        comparison: The comparison whose trials to run; None for all.
        make_trainer: Makes each process's trainer.
        retries: How often a trial that raised is run again.
        grace_seconds: How long processes that are told to stop may go on, to end their epoch.
        log_format: How their log lines look; None leaves them to say their warnings only.
    """

    database: str
    comparison: str | None
    make_trainer: MakeTrainer
    retries: int = RETRIES
    grace_seconds: float = 5.0
    log_format: str | None = None


@dataclass(frozen=True)
class _Member:
    name: str
    slot: int
    process: BaseProcess
    pipe: Connection


class Crew:
    """Worker processes on this machine.

    Args:
        task: What they work on.
        size: How many.
        queue: To put back at once what a dead process held.
    """

    def __init__(self, task: Task, size: int, queue: Queue) -> None:
        self._task = task
        self._size = size
        self._queue = queue
        self._deaths = 0
        self._members = [self._start(slot) for slot in range(size)]

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [member.process.pid or 0 for member in self._members]

    def watch(self, seconds: float) -> None:
        """Wait, and replace the processes that died meanwhile.

        Raises:
            TunerError: If a worker says that no trial can run here, or if processes die again
                and again without finishing a trial between.
        """
        wait([member.process.sentinel for member in self._members], timeout=seconds)
        for place, member in enumerate(self._members):
            if member.process.is_alive():
                continue
            fatal, reason = _last_words(member)
            self._put_back([member.name])
            self._deaths += 1
            if fatal:
                raise TunerError(reason)
            if self._deaths > 2 * self._size + 1:
                raise TunerError(
                    f"{self._deaths} worker processes stopped without finishing a trial, the last "
                    f"with: {reason}; trials already finished are kept, run again to resume"
                )
            _log.warning("worker %s stopped (%s); starting another", member.name, reason)
            self._members[place] = self._start(member.slot)

    def progressed(self) -> None:
        """Note that a trial finished: earlier deaths are forgiven."""
        self._deaths = 0

    def stop(self) -> None:
        """Have every process put its trials back and end; kill those that do not."""
        for member in self._members:
            member.process.terminate()
        deadline = time.monotonic() + self._task.grace_seconds
        try:
            for member in self._members:
                member.process.join(max(0.0, deadline - time.monotonic()))
        finally:
            for member in self._members:
                member.process.kill()
                member.process.join()
                member.pipe.close()
            self._put_back([member.name for member in self._members])

    def _put_back(self, names: list[str]) -> None:
        """Put back what these processes hold; if the database is away, the leases will run out."""
        try:
            self._queue.release(names)
            roster.withdraw(self._queue.store, names)
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("trials are not put back: %s", in_a_line(error))

    def _start(self, slot: int) -> _Member:
        name = f"{socket.gethostname()}-{os.getpid()}-{slot}-{secrets.token_hex(4)}"
        self._announce(name)
        started = spawn(_work, self._task, name, self._size, slot=slot, name=name)
        return _Member(name, slot, *started)

    def _announce(self, name: str) -> None:
        """Let those who watch know that a worker is on its way: it takes time to load."""
        try:
            roster.announce(self._queue.store, name, device_kind())
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("worker %s is not announced: %s", name, in_a_line(error))


def orphaned(name: str) -> bool:
    """Whether a worker was started on this machine by a process that is gone.

    Its trials need not wait for their leases to run out. (If it is still finishing an epoch, the
    queue lets it write nothing more.)
    """
    host, launcher, *_ = [*name.rsplit("-", 3), ""]
    return host == socket.gethostname() and not Path("/proc", launcher).exists()


def _work(task: Task, name: str, share: int, device: str, pipe: Connection) -> None:
    """What a worker process runs; its last words, if it fails, go to the parent."""
    stop_requested, abandoned = False, left_alone()

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stop_requested
        stop_requested = True

    signal.signal(signal.SIGTERM, stop)
    if task.log_format is not None:
        configure(task.log_format)
    try:
        store = patiently(lambda: open_store(task.database, must_exist=True))
        worker = Worker(
            Queue(store, retries=task.retries),
            task.make_trainer(device),
            name=name,
            device=device,
            stopping=lambda: stop_requested or abandoned(),
            comparison=task.comparison,
            share=None if task.comparison is None else share,
        )
        worker.run()
    except Exception as error:
        fatal = isinstance(error, TunerError)
        pipe.send((fatal, str(error) if fatal else f"{type(error).__name__}: {error}"))
        sys.exit(1)


def _last_words(member: _Member) -> tuple[bool, str]:
    """Whether the process said that nothing can run here, and what it said."""
    try:
        fatal, reason = member.pipe.recv()
        return bool(fatal), " ".join(str(reason).split())
    except EOFError:
        code = member.process.exitcode or 0
        return False, f"signal {-code}" if code < 0 else f"exit status {code}"
    finally:
        member.pipe.close()
