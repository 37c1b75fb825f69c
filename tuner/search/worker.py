"""A worker: claims trials from the queue and has them trained until it is told to stop.

The one module that sees both the database and torch. It imports torch only when a worker process
makes its ``TorchTrainer``, so that the process which launches the workers stays light.
"""

import dataclasses
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.errors import DeviceTooSmall, InvalidInput, TunerError
from tuner.rules import Setting
from tuner.search.batch import Batch
from tuner.search.queue import Claim, Queue
from tuner.search.spec import StudySpec
from tuner.search.trainer import OnEpoch, Trainer, TrialResult
from tuner.workload import Workload

MAX_FAILED_BATCHES = 3
"""A worker whose batches fail this often in a row stops: the fault may be its own."""

LEARNING_BATCHES = 20
"""A sampler that learns is asked in at least this many batches, so that it has what to learn."""

_IDLE_SECONDS = 0.1
_log = logging.getLogger(__name__)


def batch_size(n_trials: int, most: int, share: int) -> int:
    """How many trials of a study to train at once: even parts, one per worker if they are few.

    It is fixed for the whole study, so that a trial trains in the same company, and so gives the
    same result to the last bit, whoever runs it and however often a run was interrupted. A fused
    batch costs a good part of its time however small it is, hence at least a quarter of ``most``.

    Args:
        n_trials: Trials of the study.
        most: The most to train at once, at least 1.
        share: How many workers share the queue, at least 1.
    """
    least = math.ceil(most / 4)
    batches = max(math.ceil(n_trials / most), min(share, math.ceil(n_trials / least)))
    if batches > share:
        batches = math.ceil(batches / share) * share  # all workers end at about the same time
    return math.ceil(n_trials / batches)


class TorchTrainer:
    """The training code of ``tuner.train`` on one device.

    Args:
        device: A torch device.

    Raises:
        InvalidInput: If torch cannot use the device.
    """

    def __init__(self, device: str) -> None:
        import torch

        import tuner.train
        from tuner.optim import equivalence

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise InvalidInput(
                "this machine has a GPU, but the installed torch cannot use it; install torch "
                "with CUDA, or set CUDA_VISIBLE_DEVICES to nothing to train on the CPU"
            )
        self._device = device
        self._too_large: set[Workload] = set()
        self._training = tuner.train
        self._equivalence = equivalence

    def batch_size(self, workload: Workload) -> int:
        """How many trials of the workload to train at once on this device.

        A workload that does not fit on it is trained on the CPU from then on.
        """
        try:
            return self._training.trials_per_batch(workload, self._on(workload))
        except DeviceTooSmall as error:
            if self._on(workload) == "cpu":
                raise
            _log.warning("%s; it goes on on the CPU, which takes far longer", error)
            self._too_large.add(workload)
            return self.batch_size(workload)

    def conditions(self, workload: Workload) -> dict[str, str | bool]:
        """See ``tuner.train.conditions``."""
        return self._training.conditions(workload, self._on(workload))

    def _on(self, workload: Workload) -> str:
        return "cpu" if workload in self._too_large else self._device

    def train(
        self,
        workload: Workload,
        rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        on_epoch: OnEpoch,
        *,
        test: bool,
    ) -> Sequence[TrialResult]:
        """See ``tuner.train.train``."""
        configs = [self._training.TrialConfig(rule, settings, seed) for settings, seed in trials]
        device = self._on(workload)
        return self._training.train(workload, configs, on_epoch, device=device, test=test)

    def describe(self, rule: str, settings: Mapping[str, Setting], steps: int) -> dict[str, Any]:
        """See ``tuner.optim.equivalence.describe``."""
        return dataclasses.asdict(self._equivalence.describe(rule, settings, steps))


class Worker:
    """Runs trials from a queue.

    Args:
        queue: The queue.
        trainer: Trains them.
        name: A name that no other process ever has.
        stopping: Asked between batches and after every epoch.
        comparison: Work on this comparison only.
        share: How many workers share the queue, so that none takes more than its part.

    Attributes:
        busy_seconds: Seconds spent on trials so far, from their claim to their record.
        training_seconds: The part of them inside ``trainer.train``.
    """

    def __init__(
        self,
        queue: Queue,
        trainer: Trainer,
        *,
        name: str,
        stopping: Callable[[], bool],
        comparison: str | None = None,
        share: int = 1,
    ) -> None:
        self._queue = queue
        self._trainer = trainer
        self._name = name
        self._stopping = stopping
        self._comparison = comparison
        self._share = share
        self._specs: dict[str, StudySpec] = {}
        self._shown: set[int] = set()
        self.busy_seconds = 0.0
        self.training_seconds = 0.0
        packages = ("bnn-tuner", "optuna", "torch")
        self._ran_on = {
            "versions": {package: version(package) for package in packages},
        }

    def run(self) -> None:
        """Work until told to stop; trials unfinished then are put back.

        Raises:
            TunerError: If no trial can run here, such as when the data set is missing.
            RuntimeError: If several batches in a row raised; says what the last one did.
        """
        failed_batches = 0
        try:
            with self._heartbeat():
                while not self._stopping():
                    began = time.monotonic()
                    claim = self._claim()
                    if claim is None:
                        time.sleep(_IDLE_SECONDS)
                        continue
                    error = self._train(claim)
                    self.busy_seconds += time.monotonic() - began
                    failed_batches = failed_batches + 1 if error else 0
                    if failed_batches == MAX_FAILED_BATCHES:
                        raise RuntimeError(error)
        finally:
            self._queue.release([self._name])

    def _claim(self) -> Claim | None:
        found = self._queue.next_up(self._comparison)
        if found is None:
            return None
        spec = self._spec(found.study_name)
        most = self._trainer.batch_size(spec.workload)
        if spec.learns:
            most = min(most, math.ceil(spec.n_trials / LEARNING_BATCHES))
        size = batch_size(spec.n_trials, most, self._share)
        first = found.position if found.retry else found.position // size * size
        positions = range(first, first + (1 if found.retry else size))
        claim = self._queue.claim(found.study_name, self._name, positions)
        if not claim.trial_ids:
            return None
        self._show_to_optuna(claim)
        return claim

    def _spec(self, study_name: str) -> StudySpec:
        """What the study is, as its user attribute says."""
        if study_name not in self._specs:
            storage = self._queue.store.optuna
            study_id = storage.get_study_id_from_name(study_name)
            spec = StudySpec.model_validate(storage.get_study_user_attrs(study_id)["spec"])
            self._specs[study_name] = spec
        return self._specs[study_name]

    def _show_to_optuna(self, claim: Claim) -> None:
        """Let Optuna's cache see the trials, once: it writes to trials it has seen only."""
        if not self._shown.issuperset(claim.trial_ids):
            storage = self._queue.store.optuna
            study_id = storage.get_study_id_from_name(claim.study_name)
            found = storage.get_all_trials(study_id, deepcopy=False)
            self._shown.update(trial._trial_id for trial in found)

    def _train(self, claim: Claim) -> str:
        """Train the claimed trials; returns what went wrong, in a line, or nothing."""
        batch = Batch(
            self._queue,
            self._name,
            claim,
            self._spec(claim.study_name),
            stopping=self._stopping,
            ran_on=self._ran_on,
        )
        try:
            batch.train(self._trainer)
        except (TunerError, DBAPIError, StorageInternalError):
            raise
        except Exception as error:
            _log.warning("%s: trials %s raised", claim.study_name, claim.positions, exc_info=True)
            self._queue.fail(self._name, claim.trial_ids, traceback.format_exc())
            return f"{type(error).__name__}: {error}"
        finally:
            self.training_seconds += batch.training_seconds
        return ""

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Keep the leases alive, however long an epoch takes, and reap those of the dead."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._queue.lease_seconds / 4):
                try:
                    self._queue.renew(self._name)
                    self._queue.reap()
                except DBAPIError:  # the database is away; the next beat may find it
                    _log.warning("%s: could not renew its leases", self._name, exc_info=True)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
