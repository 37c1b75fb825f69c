"""What a search costs beside its training: real workers that have nothing to train."""

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuner.rules import Setting
from tuner.search.queue import Queue
from tuner.search.spec import ArmSpec, ComparisonSpec
from tuner.search.store import open_store
from tuner.search.studies import enqueue
from tuner.search.trainer import EpochPoint, OnEpoch
from tuner.search.worker import Worker
from tuner.workload import Workload

_MOST_TRIALS = 60


def coordination_seconds(spec: ComparisonSpec, arm: ArmSpec, batch: int) -> float:
    """Seconds for which one search of the arm keeps a worker busy beside the training.

    Enqueueing, claims, the sampler and the trials' records, on an SQLite file of its own; a long
    search is told from its first trials.

    Args:
        spec: The comparison.
        arm: One of its arms.
        batch: Trials that train together.
    """
    whole = spec.trials_of(arm)
    n_trials = min(whole, _MOST_TRIALS)
    search = ComparisonSpec(
        name="idle",
        workload=spec.workload,
        arms=(arm.model_copy(update={"n_trials": None, "repeats": None}),),
        n_trials=n_trials,
        retrain_seeds=0,
    )
    trainer = _Idle(batch)
    with tempfile.TemporaryDirectory(prefix="tuner-plan-") as folder:
        store = open_store(f"sqlite:///{folder}/idle.db")
        try:
            began = time.perf_counter()
            store.declare(search)
            enqueue(store, search)
            Worker(
                Queue(store),
                trainer,
                name="idle",
                stopping=lambda: trainer.trained >= n_trials,
                comparison=search.name,
            ).run()
            return (time.perf_counter() - began) / n_trials * whole
        finally:
            store.close()


@dataclass(frozen=True)
class _Result:
    """What a trial that was not trained ended with."""

    val_accuracy: float
    test_accuracy: float | None = None
    curve: Sequence[EpochPoint] = ()
    diverged: bool = False
    stopped: bool = False
    seconds: float = 0.0
    steps: int = 1


class _Idle:
    """Trains nothing, at once; see ``trainer.Trainer``."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self.trained = 0

    def batch_size(self, _workload: Workload) -> int:
        return self._batch

    def train(
        self,
        _workload: Workload,
        _rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        _on_epoch: OnEpoch,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> Sequence[_Result]:
        del test, stopping
        self.trained += len(trials)
        return [_Result(random.Random(seed).random()) for _, seed in trials]

    def conditions(self, _workload: Workload) -> Mapping[str, str | bool]:
        return {}

    def describe(
        self, _rule: str, _settings: Mapping[str, Setting], _steps: int
    ) -> dict[str, Any]:  # Any: as trainer.Trainer
        return {}
