"""The worker processes of one machine: started, watched, replaced, stopped.

Processes have one thread each and are stopped by SIGTERM: nothing is shared with them that a
killed process could leave locked. One whose launcher is gone stops by itself.
"""

import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.errors import TunerError
from tuner.guard import leave
from tuner.logs import configure
from tuner.search.database.patience import in_a_line, patiently
from tuner.search.database.store import open_store
from tuner.search.queue import roster
from tuner.search.queue.queue import RETRIES, Queue
from tuner.search.work.last_lines import LastLines, write_to
from tuner.search.work.surroundings import device_kind, left_alone, spawn
from tuner.search.work.trainer import Trainer
from tuner.search.work.worker import Worker

MakeTrainer = Callable[[str], Trainer]
"""Makes a trainer for a device, in the worker process; a module-level function or class."""

_MORE_DEATHS = 6
_MOST_WORDS = 10_000
"""Characters of a process's last words, which the pipe holds until it has ended."""

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
        share: How many workers share the queue, here and elsewhere; None where nobody knows.
        place: What to record with each trial about where it ran.
        device_name: What the roster is to call their device; None for its kind.
    """

    database: str
    comparison: str | None
    make_trainer: MakeTrainer
    retries: int = RETRIES
    grace_seconds: float = 5.0
    log_format: str | None = None
    share: int | None = None
    place: Mapping[str, object] = field(default_factory=dict)
    device_name: str | None = None


@dataclass(frozen=True)
class _Member:
    name: str
    slot: int
    process: BaseProcess
    pipe: Connection
    written: LastLines


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
        self._prefix = f"{socket.gethostname()}-{os.getpid()}-"
        self._before = 0  # by workers of such names that another process of this number had
        self._before = patiently(self._count_finished)
        self._finished = 0
        self._deaths = 0
        self._blamed: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._members = [self._start(slot) for slot in range(size)]

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [member.process.pid or 0 for member in self._members]

    def watch(self, seconds: float) -> None:
        """Wait, and replace the processes that died meanwhile.

        If they die again and again without finishing a trial between, the studies that they
        trained are left out here.

        Raises:
            TunerError: If a worker says that no trial can run here, or if processes die again
                and again and nothing else can be run.
        """
        wait([member.process.sentinel for member in self._members], timeout=seconds)
        for place, member in enumerate(self._members):
            if member.process.is_alive():
                continue
            end = _end_of(member)
            counts = self._note_death(member, end)
            if end.fatal:
                raise TunerError(end.reason)
            if counts and self._deaths > self._most_deaths:
                self._leave_out(end.reason)
            _log.warning("worker %s stopped (%s); starting another", member.name, end.reason)
            self._members[place] = self._start(member.slot)

    @property
    def _most_deaths(self) -> int:
        """So many in a row are forgiven; more if this machine has been seen to finish trials.

        What trials that died before do to it then says nothing about the machine: only deaths of
        others count, and some trials in a row may be to blame for theirs.
        """
        return 2 * self._size + 1 + (_MORE_DEATHS if self._finished else 0)

    def _note_death(self, member: _Member, end: "_End") -> bool:
        """Put back what a dead process held; returns whether its death counts against us."""
        try:
            finished = self._count_finished()
            studies = dict.fromkeys(end.studies, 1)
            if not end.spoke:
                studies |= self._queue.died(member.name, end.reason, end.lines)
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("trials are not put back: %s", in_a_line(error))
            finished, studies = self._finished, {}
        self._put_back([member.name], end.reason)
        if finished > self._finished:
            self._deaths, self._blamed = 0, {}
        self._finished = finished
        if self._finished and studies and max(studies.values()) > 1:
            return False
        self._deaths += 1
        self._blamed |= dict.fromkeys(studies, end.reason)
        return True

    def _count_finished(self) -> int:
        """How many trials this crew has finished."""
        return roster.finished(self._queue.store, self._prefix) - self._before

    def _leave_out(self, reason: str) -> None:
        """Go on without the studies that processes died of.

        Raises:
            TunerError: If nothing else can be run.
        """
        self._left_out |= {
            study: f"{study} is left out here: worker processes stopped {self._deaths} times "
            f"without finishing a trial, the last with {why}"
            for study, why in self._blamed.items()
        }
        if not self._blamed or self._nothing_else():
            raise TunerError(
                f"{self._deaths} worker processes stopped without finishing a trial, the last "
                f"with: {reason}; trials already finished are kept, run again to resume"
            )
        self._deaths, self._blamed = 0, {}

    def _nothing_else(self) -> bool:
        """Whether nothing but what is left out waits, and nobody is to wait for more.

        A crew of one comparison is waited for; one of a database goes on if its machine has been
        seen to finish trials.
        """
        comparison = self._task.comparison
        if self._queue.next_up(comparison) is None:
            return False  # all have failed, or are with others
        if comparison is not None:
            return True
        return not self._finished and self._queue.next_up(without=self._left_out) is None

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
            names = [member.name for member in self._members]
            self._put_back(names, "it did not stop in time and was killed")

    def kill(self) -> None:
        """End every process at once; what they held is put back by ``stop``."""
        for member in self._members:
            member.process.kill()

    def _put_back(self, names: list[str], why: str) -> None:
        """Put back what these processes held, which ended for that reason.

        If the database is away, their leases will run out.
        """
        try:
            self._queue.release(names)
            roster.withdraw(self._queue.store, names, why)
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("trials are not put back: %s", in_a_line(error))

    def _start(self, slot: int) -> _Member:
        name = f"{self._prefix}{slot}-{secrets.token_hex(4)}"
        self._announce(name)
        written = LastLines()
        arguments = (self._task, name, self._size, dict(self._left_out), written.theirs)
        process, pipe = spawn(_work, *arguments, slot=slot, name=name)
        written.follow()
        return _Member(name, slot, process, pipe, written)

    def _announce(self, name: str) -> None:
        """Let those who watch know that a worker is on its way: it takes time to load."""
        try:
            device = self._task.device_name or device_kind()
            roster.announce(self._queue.store, name, device)
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("worker %s is not announced: %s", name, in_a_line(error))


def orphaned(name: str) -> bool:
    """Whether a worker was started on this machine by a process that is gone.

    Its trials need not wait for their leases to run out. (If it is still finishing an epoch, the
    queue lets it write nothing more.)
    """
    host, launcher, *_ = [*name.rsplit("-", 3), ""]
    return host == socket.gethostname() and not Path("/proc", launcher).exists()


def _work(
    task: Task,
    name: str,
    share: int,
    leaving_out: Mapping[str, str],
    standard_error: Connection,
    device: str,
    pipe: Connection,
) -> None:
    """What a worker process runs; its last words, if it fails, go to the parent."""
    write_to(standard_error)
    stop_requested, abandoned = False, left_alone()

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stop_requested
        stop_requested = True

    signal.signal(signal.SIGTERM, stop)
    if task.log_format is not None:
        configure(task.log_format)
    worker: Worker | None = None
    try:
        store = patiently(lambda: open_store(task.database, must_exist=True))
        worker = Worker(
            Queue(store, retries=task.retries),
            task.make_trainer(device),
            name=name,
            device=task.device_name or device,
            stopping=lambda: stop_requested or abandoned(),
            comparison=task.comparison,
            share=task.share if task.comparison is None else share,
            leaving_out=leaving_out,
            place=task.place,
        )
        worker.run()
    except Exception as error:
        fatal = isinstance(error, TunerError)
        words = str(error) if fatal else f"{type(error).__name__}: {error}"
        failing = worker.failing if worker is not None else set()
        pipe.send((fatal, words[:_MOST_WORDS], failing))
        leave(1)
    leave(0)


@dataclass(frozen=True)
class _End:
    """How a process ended.

    Args:
        spoke: Whether it said why itself.
        fatal: Whether it said that nothing can run here.
        reason: Why, in a line.
        studies: Whose trials raised, in its own words.
        lines: The last lines of its standard error.
    """

    spoke: bool
    fatal: bool
    reason: str
    studies: frozenset[str]
    lines: tuple[str, ...]


def _end_of(member: _Member) -> _End:
    """How a process that is not alive any more ended."""
    lines = tuple(member.written.after_the_end())
    try:
        fatal, reason, studies = member.pipe.recv()
        return _End(True, bool(fatal), " ".join(str(reason).split()), frozenset(studies), lines)
    except EOFError:
        code = member.process.exitcode or 0
        return _End(False, False, _exit_in_words(code), frozenset(), lines)
    finally:
        member.pipe.close()


def _exit_in_words(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
