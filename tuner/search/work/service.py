"""Worker processes that serve a whole database, for weeks: what ``tuner worker`` runs."""

import logging
import os
import time
from collections.abc import Callable

from tuner.errors import InvalidInput
from tuner.machine import cores, gpus
from tuner.search.database.store import open_store
from tuner.search.queue.queue import RETRIES, Queue
from tuner.search.work.crew import Crew, MakeTrainer, Task
from tuner.search.work.keeper import kept
from tuner.search.work.trainers import Trainers
from tuner.signals import stop_requests

GRACE_SECONDS = 60.0
"""How long processes that are told to stop may go on, to end their epoch."""

_LOOK_SECONDS = 0.5
_log = logging.getLogger(__name__)


def work(
    database: str,
    *,
    processes: int | None = None,
    walltime_seconds: float | None = None,
    grace_seconds: float = GRACE_SECONDS,
    retries: int = RETRIES,
    parent: int | None = None,
    log_format: str | None = None,
    make_trainer: MakeTrainer = Trainers,
    on_start: Callable[[list[int]], None] = lambda _pids: None,
) -> None:
    """Run whatever comparisons the database holds, until told to stop by SIGTERM or Ctrl-C.

    Processes that stop are replaced. Trials unfinished at the end are put back, their training
    kept, so that any worker goes on with them. The comparisons are kept going meanwhile, so no
    server need run.

    Args:
        database: The address of the database.
        processes: How many, at least 1; by default one per GPU, or one per core.
        walltime_seconds: Stop after so long, in time for a batch system that kills what is late.
        grace_seconds: How long processes may go on once told to stop.
        retries: How often a trial that raised is run again.
        parent: Stop as well once this process is not the parent any more.
        log_format: How the processes' log lines look; see ``tuner.logs``.
        make_trainer: Makes each process's trainer.
        on_start: Called with the process ids.

    Raises:
        InvalidInput: If an argument is out of range.
        DatabaseProblem: If the database cannot be used.
        TunerError: If processes stopped again and again, and none ever finished a trial.
    """
    if processes is not None and processes < 1:
        raise InvalidInput(f"processes must be at least 1, got {processes}")
    if retries < 0:
        raise InvalidInput(f"retries must be at least 0, got {retries}")
    if walltime_seconds is not None and not walltime_seconds > 0:
        raise InvalidInput(f"walltime must be positive, got {walltime_seconds}")
    if not grace_seconds >= 0:
        raise InvalidInput(f"grace must be at least 0 seconds, got {grace_seconds}")
    deadline = float("inf") if walltime_seconds is None else time.monotonic() + walltime_seconds
    store = open_store(database)
    try:
        task = Task(database, None, make_trainer, retries, grace_seconds, log_format)
        with stop_requests() as requested, kept(store):
            crew = Crew(task, processes or len(gpus()) or cores(), Queue(store))
            try:
                on_start(crew.pids)
                while not (requested() or _over(deadline, parent)):
                    crew.watch(_LOOK_SECONDS)
            finally:
                _log.info("stopping; unfinished trials are put back")
                crew.stop()
    finally:
        store.close()


def _over(deadline: float, parent: int | None) -> bool:
    return time.monotonic() >= deadline or (parent is not None and os.getppid() != parent)
