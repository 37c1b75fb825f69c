"""A simulated worker: the product's, in a process of its own, whose training is a sleep."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
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
        trained: When it began and ended each training.
    """

    lengths: Lengths
    trained: list[tuple[float, float]] = field(default_factory=list)

    def batch_size(self, _workload: AnyWorkload) -> int:
        """One."""
        return 1

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
        on_epoch: Callable[[EpochReport], Collection[int]],
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> list[TrialResult]:
        """Sleep for each trial; see ``Trainer``."""
        del test
        began = time.monotonic()
        try:
            return [
                self._sleep(place, seed, workload.epochs, on_epoch, stopping)
                for place, (_, seed) in enumerate(trials)
            ]
        finally:
            self.trained.append((began, time.monotonic()))

    def _sleep(
        self,
        place: int,
        seed: int,
        epochs: int,
        on_epoch: Callable[[EpochReport], Collection[int]],
        stopping: Callable[[], bool],
    ) -> TrialResult:
        seconds = self.lengths.draw(seed) / epochs
        curve = []
        for epoch in range(1, epochs + 1):
            deadline = time.monotonic() + seconds
            while (left := deadline - time.monotonic()) > 0:
                time.sleep(min(left, _LOOK_SECONDS))
                if stopping():
                    raise Interrupted("told to stop")
            score = (seed % 997) / 997 * epoch / epochs
            curve.append(EpochPoint(epoch, 1 - score, score, 0.01, seconds))
            on_epoch(
                EpochReport(
                    epoch=epoch,
                    trials=(place,),
                    train_loss=(1 - score,),
                    val_accuracy=(score,),
                    flip_ratio=(0.01,),
                    seconds=(seconds,),
                    train_seconds=(seconds,),
                )
            )
        return TrialResult(
            val_accuracy=curve[-1].val_accuracy,
            test_accuracy=None,
            curve=tuple(curve),
            diverged=False,
            stopped=False,
            seconds=seconds * epochs,
            steps=0,
        )


def simulate(database: str, lengths: Lengths, name: str, number: int, pipe: Connection) -> None:
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
    trainer, before = Sleeping(lengths), time.process_time()
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
