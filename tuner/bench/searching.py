"""Jobs that run a whole search: plain Optuna's ``study.optimize``, and our worker on our queue.

Each slice is a study in a database of its own. It is made while nobody's clock runs, and the
clock stops when the last trial is recorded.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import torch

from tuner.bench.child import Job, Slice
from tuner.bench.plain import plain
from tuner.bnn.data.dataset import load_data
from tuner.errors import TunerError
from tuner.rules import Setting
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import open_store
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spaces import load_space
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.filling import enqueue
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import progress
from tuner.search.work.trainers import Trainers
from tuner.search.work.worker import Worker
from tuner.workload import Workload

_LOOK_SECONDS = 0.1
"""How often a worker looks whether all trials are recorded, as ``tuner run`` does."""


class PlainSearch(Job):
    """One process of the baseline's search.

    Args:
        workload: What is trained, an mlp.
        folder: Where the databases go.
        name: Processes of one name share their studies.
        n_trials: This process's trials.
        n_jobs: Threads that run them.
    """

    def __init__(
        self, workload: Workload, folder: Path, *, name: str, n_trials: int, n_jobs: int = 1
    ) -> None:
        self.workload = workload
        self.folder = folder
        self.name = name
        self.n_trials = n_trials
        self.n_jobs = n_jobs

    def start(self) -> None:
        """Load the data and train one trial's first epoch."""
        torch.set_num_threads(1)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        data = load_data(self.workload)
        self._train, self._val = (
            plain().tensors(split.images, split.labels, data.mean, data.std)
            for split in (data.train, data.val)
        )
        self._shape, self._n_classes = data.shape, data.n_classes
        self._search(plain().open_study(None), n_trials=self.n_jobs, epochs=1)

    def open(self, number: int) -> None:
        """Make the slice's study, or join it."""
        self._study = plain().open_study(f"sqlite:///{self.folder / f'{self.name}-{number}.db'}")

    def run(self, number: int) -> Slice:  # noqa: ARG002  # open made its study
        """Run this process's share of the trials; see ``Job``."""
        start = time.perf_counter()
        self._search(self._study, n_trials=self.n_trials, epochs=self.workload.epochs)
        return Slice(self.n_trials, time.perf_counter() - start)

    def _search(self, study: optuna.Study, *, n_trials: int, epochs: int) -> None:
        plain().search(
            lambda: plain().mlp(self._shape, self._n_classes, self.workload.layer_widths),
            self._train,
            self._val,
            epochs=epochs,
            batch_size=self.workload.batch_size,
            study=study,
            n_trials=n_trials,
            n_jobs=self.n_jobs,
        )


class WorkerSearch(Job):
    """One worker process of a search with this software.

    Args:
        workload: What is trained.
        folder: Where the databases go.
        name: Processes of one name share their studies.
        space: The search space.
        n_trials: Trials of the whole search.
        share: Processes that share them.
    """

    def __init__(
        self,
        workload: Workload,
        folder: Path,
        *,
        name: str,
        space: str,
        n_trials: int,
        share: int,
    ) -> None:
        self.workload = workload
        self.folder = folder
        self.name = name
        self.space = space
        self.n_trials = n_trials
        self.share = share

    def start(self) -> None:
        """Make the trainer and train one batch's first epoch."""
        self._trainer = Trainers("cpu")
        short = replace(self.workload, epochs=1)
        rule = load_space(self.space).rule
        trials: list[tuple[dict[str, Setting], int]] = [
            ({}, seed) for seed in range(self._trainer.batch_size(short))
        ]
        self._trainer.train(short, rule, trials, lambda _: (), test=False, stopping=lambda: False)

    def open(self, number: int) -> None:
        """Make the slice's queue, or join it."""
        self._store = open_store(f"sqlite:///{self.folder / f'{self.name}-{number}.db'}")
        self._spec = ComparisonSpec(
            name="bench",
            workload=self.workload,
            arms=(ArmSpec(name=self.space, space=load_space(self.space)),),
            n_trials=self.n_trials,
            retrain_seeds=0,
            seed=number,
        )
        self._store.declare(self._spec)
        enqueue(self._store, self._spec)

    def run(self, number: int) -> Slice:
        """Work until the last trial is recorded, by whichever process; see ``Job``."""
        start = time.time()
        worker = Worker(
            Queue(self._store),
            self._trainer,
            name=f"bench-{os.getpid()}-{number}",
            stopping=self._until_complete(),
            share=self.share,
        )
        worker.run()
        ended = self._ended()
        self._store.close()
        return Slice(
            self.n_trials / self.share,
            ended - start,
            busy_seconds=worker.busy_seconds,
            training_seconds=worker.training_seconds,
        )

    def _until_complete(self) -> Callable[[], bool]:
        """Whether every trial is recorded; looks it up now and then only."""
        complete = False
        due = time.monotonic()

        def ask() -> bool:
            nonlocal complete, due
            if not complete and time.monotonic() >= due:
                complete = progress(self._store, self._spec).complete
                due = time.monotonic() + _LOOK_SECONDS
            return complete

        return ask

    def _ended(self) -> float:
        """When the last trial was recorded, in seconds since the epoch.

        Raises:
            TunerError: If a trial failed.
        """
        (study,) = self._spec.studies()
        trials = finished_trials(self._store, study.study_name)
        failed = [trial for trial in trials if trial.state == optuna.trial.TrialState.FAIL]
        if failed:
            raise TunerError(f"{len(failed)} of {len(trials)} trials failed")
        return max(
            trial.datetime_complete.timestamp() for trial in trials if trial.datetime_complete
        )
