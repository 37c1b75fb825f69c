"""A simulated worker: the product's, in a process of its own, whose training is a sleep."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from tuner.bench.fleet.lengths import Lengths
from tuner.errors import Interrupted, TunerError
from tuner.guard import leave
from tuner.rules import Setting
from tuner.search.database.store import open_store
from tuner.search.queue.queue import Queue
from tuner.search.work.keeper import kept
from tuner.search.work.trainer import OnEpoch
from tuner.search.work.worker import Worker
from tuner.trial import EpochPoint, EpochReport, TrialResult
from tuner.workload import AnyWorkload

A_MACHINE = 8
"""So many workers are one machine's, which keeps the comparisons going once."""

_LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Times:
    """What one worker did, by the clock that all processes of a machine share.

    Args:
        trained: When it began and ended each training.
        cpu_seconds: Of its process while it worked.
    """

    trained: tuple[tuple[float, float], ...]
    cpu_seconds: float


@dataclass
class Sleeping:
    """A trainer that sleeps.

    Args:
        lengths: How long.
        batch: How many trials it trains together, side by side.
        trained: When it began and ended each training.
    """

    lengths: Lengths
    batch: int = 1
    trained: list[tuple[float, float]] = field(default_factory=list)

    def batch_size(self, _workload: AnyWorkload) -> int:
        """As many as it was told."""
        return self.batch

    def conditions(self, _workload: AnyWorkload) -> dict[str, str]:
        """Where it sleeps."""
        return {"device": "cpu"}

    def describe(
        self, _workload: AnyWorkload, _rule: str, _settings: Mapping[str, Setting], _steps: int
    ) -> dict[str, Any]:
        """Nothing that a reader of reports would look for."""
        return {}

    def train(
        self,
        workload: AnyWorkload,
        _rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        on_epoch: OnEpoch,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> list[TrialResult]:
        """Sleep once for all trials, as long as the first one's seed says; see ``Trainer``."""
        del test
        seeds = [seed for _, seed in trials]
        began = time.monotonic()
        try:
            return self._sleep(seeds, workload.epochs, on_epoch, stopping)
        finally:
            self.trained.append((began, time.monotonic()))

    def _sleep(
        self, seeds: Sequence[int], epochs: int, on_epoch: OnEpoch, stopping: Callable[[], bool]
    ) -> list[TrialResult]:
        seconds = self.lengths.draw(seeds[0]) / epochs
        active, stopped = list(range(len(seeds))), set[int]()
        curves: list[list[EpochPoint]] = [[] for _ in seeds]
        for epoch in range(1, epochs + 1):
            _rest(seconds, stopping)
            each = seconds / len(active)
            for place in active:
                score = (seeds[place] % 997) / 997 * epoch / epochs
                curves[place].append(EpochPoint(epoch, 1 - score, score, 0.01, each))
            leaving = set(on_epoch(_report(epoch, active, curves))) & set(active)
            if epoch < epochs:
                stopped |= leaving
                active = [place for place in active if place not in leaving]
            if not active:
                break
        return [
            TrialResult(
                val_accuracy=curve[-1].val_accuracy,
                test_accuracy=None,
                curve=tuple(curve),
                diverged=False,
                stopped=place in stopped,
                seconds=sum(point.seconds for point in curve),
                steps=0,
            )
            for place, curve in enumerate(curves)
        ]


def _rest(seconds: float, stopping: Callable[[], bool]) -> None:
    """Sleep for an epoch.

    Raises:
        Interrupted: If it is told to stop meanwhile.
    """
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, _LOOK_SECONDS))
        if stopping():
            raise Interrupted("told to stop")


def _report(
    epoch: int, active: Sequence[int], curves: Sequence[Sequence[EpochPoint]]
) -> EpochReport:
    """The epoch of the trials that are left, of all together."""
    points = [curves[place][-1] for place in active]
    seconds = tuple(point.seconds for point in points)
    return EpochReport(
        epoch=epoch,
        trials=tuple(active),
        train_loss=tuple(point.train_loss for point in points),
        val_accuracy=tuple(point.val_accuracy for point in points),
        flip_ratio=tuple(point.flip_ratio for point in points),
        seconds=seconds,
        train_seconds=seconds,
        curves=tuple(curves[place] for place in active),
    )


def simulate(database: str, trainer: Sleeping, name: str, number: int, pipe: Connection) -> None:
    """What the process runs: says that it is ready, hears when to begin and when to stop.

    Then it says what it did.
    """
    try:
        store = open_store(database, must_exist=True)
    except TunerError as error:
        pipe.send(str(error))
        leave(1)
    pipe.send(None)
    pipe.recv()
    before = time.process_time()
    worker = Worker(
        Queue(store),
        trainer,
        name=name,
        stopping=pipe.poll,
        share=None,
    )
    with kept(store) if number % A_MACHINE == 0 else nullcontext():
        worker.run()
    pipe.send(Times(tuple(trainer.trained), time.process_time() - before))
    store.close()
    leave(0)
