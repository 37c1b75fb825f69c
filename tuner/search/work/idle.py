"""What a search costs beside its training: real workers that have nothing to train."""

import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tuner.rules import Setting
from tuner.search.database.store import open_store
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.filling import enqueue
from tuner.search.queue.queue import Queue
from tuner.search.work.trainer import OnEpoch
from tuner.search.work.worker import Worker
from tuner.trial import TrialResult
from tuner.workload import AnyWorkload

_MOST_TRIALS = 60


def coordination_seconds(spec: ComparisonSpec, arm: ArmSpec, batch: int) -> float:
    """Seconds for which one search of the arm keeps a worker busy beside the training.

    Enqueueing, claims, the sampler and the trials' records, on an SQLite file of its own; a long
    search is extrapolated from its first trials.

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


class _Idle:
    """Trains nothing, at once; see ``trainer.Trainer``."""

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self.trained = 0

    def batch_size(self, _workload: AnyWorkload) -> int:
        return self._batch

    def train(
        self,
        _workload: AnyWorkload,
        _rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        _on_epoch: OnEpoch,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> Sequence[TrialResult]:
        del test, stopping
        self.trained += len(trials)
        return [_drawn(seed) for _, seed in trials]

    def conditions(self, _workload: AnyWorkload) -> Mapping[str, Any]:
        return {}

    def describe(
        self, _workload: AnyWorkload, _rule: str, _settings: Mapping[str, Setting], _steps: int
    ) -> dict[str, Any]:  # Any: as trainer.Trainer
        return {}


def _drawn(seed: int) -> TrialResult:
    """What a trial that was not trained ended with."""
    return TrialResult(
        val_accuracy=random.Random(seed).random(),
        test_accuracy=None,
        curve=(),
        diverged=False,
        stopped=False,
        seconds=0.0,
        steps=1,
    )
