"""Run a comparison to its end on this machine, from any state of its database."""

import time
from collections.abc import Callable
from dataclasses import replace

from tuner.errors import InvalidInput
from tuner.machine import cores, gpus
from tuner.search.database.patience import patiently
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.control import check_active
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import Progress, progress
from tuner.search.work.crew import Crew, MakeTrainer, Task, orphaned
from tuner.search.work.keeper import Keeper
from tuner.search.work.trainers import Trainers
from tuner.signals import interruptible

_POLL_SECONDS = 0.1


def run(
    spec: ComparisonSpec,
    *,
    database: str,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    make_trainer: MakeTrainer = Trainers,
) -> Progress:
    """Run what is missing of the comparison: its searches, then its incumbents on fresh seeds.

    Stopped by Ctrl-C or SIGTERM, it puts unfinished trials back and raises KeyboardInterrupt;
    run again, it goes on from there.

    Args:
        spec: The comparison.
        database: The address of the database; made if missing.
        workers: Worker processes, at least 1; by default one per GPU, or one per core.
        on_progress: Called about ten times a second.
        make_trainer: Makes each worker's trainer.

    Returns:
        The progress at the end.

    Raises:
        InvalidInput: If ``workers`` is out of range, or the database holds another comparison
            of that name.
        Conflict: If the comparison is paused or cancelled.
        DatabaseProblem: If the database cannot be used.
        TunerError: If no trial can run on this machine.
    """
    if workers is not None and workers < 1:
        raise InvalidInput(f"workers must be at least 1, got {workers}")
    began = time.monotonic()
    store = open_store(database)
    queue = Queue(store)
    try:
        store.declare(spec)
        queue.reap()
        queue.lose([name for name in queue.holders() if orphaned(name)])
        now = progress(store, spec)
        if now.complete:
            return Keeper(store).tend_one(spec)
        check_active(store, spec.name)
        ended = sum(arm.done + arm.retrained for arm in now.arms)
        left = spec.n_searched + spec.n_afresh - ended  # at most: it may end at a look
        size = min(workers or len(gpus()) or cores(), left)
        with interruptible():
            crew = Crew(Task(database, spec.name, make_trainer), size, queue)
            try:
                return drive(
                    store,
                    spec,
                    meanwhile=lambda: crew.watch(_POLL_SECONDS),
                    began=began,
                    on_progress=on_progress,
                )
            finally:
                crew.stop()
    finally:
        store.close()


def drive(
    store: Store,
    spec: ComparisonSpec,
    *,
    meanwhile: Callable[[], object],
    began: float,
    on_progress: Callable[[Progress], None] | None,
) -> Progress:
    """Keep a comparison going until it is complete, whoever runs its trials.

    Args:
        store: The database.
        spec: The comparison.
        meanwhile: Called between two looks; it waits, and may raise.
        began: When that was, by ``time.monotonic``.
        on_progress: Called at every look.
    """
    keeper = Keeper(store)
    while True:
        now = replace(patiently(lambda: keeper.tend_one(spec)), seconds=time.monotonic() - began)
        if on_progress is not None:
            on_progress(now)
        if now.complete:
            return now
        meanwhile()
