"""Run a comparison to its end on this machine, from any state of its database."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from tuner.errors import InvalidInput
from tuner.search.crew import Crew, MakeTrainer, Task, cores, gpus, orphaned
from tuner.search.queue import Queue, StudyProgress
from tuner.search.spec import ComparisonSpec
from tuner.search.store import Store, open_store
from tuner.search.studies import enqueue, enqueue_retraining
from tuner.search.worker import TorchTrainer

_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class ArmProgress:
    """How far one arm is.

    Args:
        name: The arm.
        done: Trials that ended, failed ones included.
        total: Trials it has in all.
        running: Trials in training now.
        failed: Trials that raised twice.
        best: Best validation accuracy so far, if any.
        retrained: Fresh seeds of its incumbent that ended.
        to_retrain: Fresh seeds in all.
    """

    name: str
    done: int
    total: int
    running: int
    failed: int
    best: float | None
    retrained: int
    to_retrain: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return self.done == self.total and self.retrained == self.to_retrain


@dataclass(frozen=True)
class Progress:
    """How far a comparison is; ``seconds`` since this run of it began, 0 if none is known."""

    arms: tuple[ArmProgress, ...]
    seconds: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether nothing is left to run."""
        return all(arm.complete for arm in self.arms)

    @property
    def searched(self) -> bool:
        """Whether every arm's search has ended; the incumbents are known then."""
        return all(arm.done == arm.total for arm in self.arms)


def run(
    spec: ComparisonSpec,
    *,
    database: str,
    workers: int | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    make_trainer: MakeTrainer = TorchTrainer,
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
        queue.release([name for name in queue.holders() if orphaned(name)])
        now = progress(store, spec, began=began)
        if now.complete:
            return now
        left = sum(arm.total + arm.to_retrain - arm.done - arm.retrained for arm in now.arms)
        size = min(workers or len(gpus()) or cores(), left)
        with _interruptible():
            crew = Crew(Task(database, spec.name, make_trainer), size, queue)
            try:
                return _drive(store, spec, crew, began, on_progress)
            finally:
                crew.stop()
    finally:
        store.close()


def _drive(
    store: Store,
    spec: ComparisonSpec,
    crew: Crew,
    began: float,
    on_progress: Callable[[Progress], None] | None,
) -> Progress:
    enqueue(store, spec)  # the workers are starting meanwhile
    retraining = False
    finished = -1
    while True:
        now = progress(store, spec, began=began)
        if on_progress is not None:
            on_progress(now)
        if now.complete:
            return now
        if now.searched and not retraining:
            enqueue_retraining(store, spec)
            retraining = True
        if (ended := sum(arm.done + arm.retrained for arm in now.arms)) > finished:
            finished = ended
            crew.progressed()
        crew.watch(_POLL_SECONDS)


def progress(store: Store, spec: ComparisonSpec, *, began: float | None = None) -> Progress:
    """How far the comparison is.

    Args:
        store: The database.
        spec: The comparison.
        began: When this run of it began, on the monotonic clock.
    """
    studies = Queue(store).progress(spec.name)
    nothing = StudyProgress()
    arms = []
    for arm in spec.arms:
        searches = [
            studies.get(study.study_name, nothing) for study in spec.studies() if study.arm == arm
        ]
        again = studies.get(f"{spec.name}/{arm.name}/retrain", nothing)
        bests = [search.best for search in searches if search.best is not None]
        done = sum(search.finished for search in searches)
        total = spec.n_trials * spec.repeats
        hopeless = done == total and not bests
        arms.append(
            ArmProgress(
                name=arm.name,
                done=done,
                total=total,
                running=sum(search.running for search in searches) + again.running,
                failed=sum(search.failed for search in searches) + again.failed,
                best=max(bests, default=None),
                retrained=again.finished,
                to_retrain=0 if hopeless else spec.retrain_seeds,
            )
        )
    return Progress(tuple(arms), 0.0 if began is None else time.monotonic() - began)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt, so that it stops a run as Ctrl-C does."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: signals are someone else's
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
