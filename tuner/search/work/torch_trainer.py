"""The training code as a worker takes it.

The one module that sees both sides, database and torch. It imports torch only when a worker
process makes its ``TorchTrainer``, so that the process which launches the workers stays light.
"""

import dataclasses
import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tuner import config
from tuner.errors import DeviceTooSmall, Interrupted, InvalidInput
from tuner.kept import at
from tuner.named import setting_up
from tuner.rules import Setting
from tuner.search.objective.said import heard
from tuner.search.work.trainer import OnEpoch
from tuner.trial import DataCounts, TrialResult
from tuner.workload import AnyWorkload, Workload, in_words

Returned = TypeVar("Returned")

_log = logging.getLogger(__name__)


class TorchTrainer:
    """The training code of ``tuner.train`` on one device.

    Args:
        device: A torch device.
        checkpoints: Where unfinished training is kept; ``config.checkpoint_dir()`` if None.

    Raises:
        InvalidInput: If torch cannot use the device, or checkpoints be kept there.
    """

    def __init__(self, device: str, *, checkpoints: Path | str | None = None) -> None:
        import torch

        import tuner.train
        from tuner.optim import equivalence

        if device.startswith("cuda") and not torch.cuda.is_available():
            raise InvalidInput(
                "this machine has a GPU, but the installed torch cannot use it; install torch "
                "with CUDA, or set CUDA_VISIBLE_DEVICES to nothing to train on the CPU"
            )
        self._device = device
        self._checkpoints = config.checkpoint_dir() if checkpoints is None else checkpoints
        at(self._checkpoints)
        self._fits: dict[tuple[Workload, str], int] = {}
        self._too_large: set[Workload] = set()
        self._training = tuner.train
        self._equivalence = equivalence
        self._out_of_memory = torch.OutOfMemoryError

    def batch_size(self, workload: Workload) -> int:
        """How many trials of the workload to train at once on this device.

        A workload that does not fit on it is trained on the CPU from then on.
        """
        device = self._on(workload)
        try:
            most = self._measured(workload, device)
        except DeviceTooSmall as error:
            if device == "cpu":
                raise
            self._leave_to_the_cpu(workload, str(error))
            return self.batch_size(workload)
        return min(most, self._fits.get((workload, device), most))

    def _measured(self, workload: Workload, device: str) -> int:
        measure = partial(self._training.trials_per_batch, workload, device)
        if not workload.functions:
            return int(measure())
        with heard():
            return int(setting_up(in_words(workload), measure))

    def conditions(self, workload: Workload) -> Mapping[str, Any]:
        """See ``tuner.train.conditions``; and when it was measured how many train at once."""
        device = self._on(workload)
        with _own_code(workload), self._training.fitting(workload, 1, device):
            found: Mapping[str, Any] = self._training.conditions(workload, device)
            measured = self._training.chosen(workload, device)
        return {**found, "batch_size": measured} if measured else found

    def notes(self, workload: Workload) -> tuple[str, ...]:
        """See ``tuner.train.notes``."""
        found: tuple[str, ...] = self._training.notes(workload)
        return found

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
        stopping: Callable[[], bool],
    ) -> Sequence[TrialResult]:
        """See ``tuner.train.train``; trials that do not fit this device at once train in parts.

        A CPU is tried with the whole batch. What code of the user's prints meanwhile goes to the
        log.

        Raises:
            DeviceTooSmall: If this machine's memory ran out with a single trial.
            OwnCodeExited: If code of the user's called ``sys.exit``.
        """
        with _own_code(workload):
            return self._train(workload, rule, trials, on_epoch, test=test, stopping=stopping)

    def _train(
        self,
        workload: Workload,
        rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        on_epoch: OnEpoch,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> Sequence[TrialResult]:
        training = self._training
        configs = [training.TrialConfig(rule, settings, seed) for settings, seed in trials]
        keep = training.Keep(self._checkpoints, stopping)
        parts = training.Parts(self._checkpoints, workload, configs, self._device, test=test)
        while rest := configs[len(parts.results) :]:
            first = len(parts.results)
            if first and stopping():
                raise Interrupted(
                    f"training was told to stop after {first} of {len(configs)} trials"
                )
            size = self._at_once(workload, len(rest))
            device = self._on(workload)
            part = rest[: min(size, parts.most) if device == self._device else size]
            watched = training.Watched(len(part), training.shifted(on_epoch, first))
            attempt = partial(
                training.train,
                workload,
                part,
                watched,
                device=device,
                test=test,
                keep=keep,
            )
            results, shortage = self._if_it_fits(attempt)
            if results is None:
                self._make_smaller(workload, len(part), shortage)
                if device == self._device:
                    parts.limit(max(1, len(part) // 2))
            else:
                watched.note(workload, device)
                parts.add(results)
        parts.remove()
        whole: Sequence[TrialResult] = parts.results
        return whole

    def _at_once(self, workload: Workload, n_trials: int) -> int:
        """How many of so many trials to try at once; on a CPU all, until memory ran out."""
        if self._on(workload) != "cpu":
            most = self.batch_size(workload)  # may turn to the CPU
            if self._on(workload) != "cpu":
                return min(n_trials, most)
        return min(n_trials, self._fits.get((workload, "cpu"), n_trials))

    def _if_it_fits(self, attempt: Callable[[], Returned]) -> tuple[Returned | None, str]:
        """What the attempt gives; None and why, all memory given back, if that ran out."""
        try:
            return attempt(), ""
        except self._out_of_memory as error:
            why = str(error)  # the exception holds what it passed through, until here
        gc.collect()
        return None, why

    def _make_smaller(self, workload: Workload, n_trials: int, why: str) -> None:
        """Train fewer than so many trials of the workload at once from now on.

        Raises:
            DeviceTooSmall: If it was one, on a CPU.
        """
        device = self._on(workload)
        if n_trials == 1:
            if device == "cpu":
                raise self._training.too_small(workload, 1, device, why)
            self._leave_to_the_cpu(workload, f"a trial ran out of the memory of {device}")
            return
        self._fits[workload, device] = n_trials // 2
        _log.warning(
            "%d trials ran out of the memory of %s; from now on %d are trained at once",
            n_trials,
            device,
            n_trials // 2,
        )

    def _leave_to_the_cpu(self, workload: Workload, why: str) -> None:
        _log.warning("%s; it goes on on the CPU, which takes far longer", why)
        self._too_large.add(workload)

    def check_teacher(self, workload: Workload) -> None:
        """Refuse a teacher that does not know the workload's samples and classes."""
        import torch

        from tuner.bnn.data.dataset import load_data
        from tuner.train.recipe.teacher import teacher_of

        teacher_of(workload, load_data(workload), torch.device("cpu"))

    def cost(self, workload: Workload, rule: str, n_trials: int) -> tuple[float, float]:
        """Seconds that a batch takes once, and for each epoch; see ``tuner.train.cost``."""
        from tuner.train.cost import cost

        device = self._on(workload)
        measure = partial(cost, workload, rule, n_trials, device)
        with self._training.fitting(workload, n_trials, device):
            if not workload.functions:
                return dataclasses.astuple(measure())
            with heard():
                return dataclasses.astuple(setting_up(in_words(workload), measure))

    def describe(
        self, workload: AnyWorkload, rule: str, settings: Mapping[str, Setting], steps: int
    ) -> dict[str, Any]:
        """See ``tuner.optim.equivalence.describe``."""
        first = isinstance(workload, Workload) and workload.real_epochs
        ours = self._equivalence
        describe = ours.describe_from_real if first else ours.describe
        return dataclasses.asdict(describe(rule, settings, steps))


class OwnCodeExited(RuntimeError):
    """Code of the user's called ``sys.exit`` while a trial was trained."""


@contextmanager
def _own_code(workload: Workload) -> Iterator[None]:
    """Hear what code of the user's prints, and let it end a trial, not the process."""
    if not workload.functions:
        yield
        return
    with heard():
        try:
            yield
        except SystemExit as error:
            names = " or ".join(workload.functions.values())
            raise OwnCodeExited(f"{names} called sys.exit({error.code!r})") from error


def check(workload: Workload) -> DataCounts | None:
    """See ``tuner.train.check``."""
    from tuner import train

    counts: DataCounts | None = train.check(workload)
    return counts
