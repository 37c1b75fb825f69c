"""The trainer of everything that may be declared: each workload goes to the one that knows it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuner.named import function
from tuner.rules import OWN, Setting
from tuner.search.declared.study_spec import StudySpec
from tuner.search.objective.trainer import ObjectiveTrainer
from tuner.search.work import torch_trainer
from tuner.search.work.trainer import OnEpoch
from tuner.trial import DataCounts, TrialResult
from tuner.workload import AnyWorkload, Objective, Workload
from tuner.workload.files import check_files


class Trainers:
    """Trains networks of this software and calls objectives of the user's; see ``Trainer``.

    Args:
        device: A torch device.
        checkpoints: Where unfinished training is kept; ``config.checkpoint_dir()`` if None.

    Raises:
        InvalidInput: If torch cannot use the device, or checkpoints be kept there.
    """

    def __init__(self, device: str, *, checkpoints: Path | str | None = None) -> None:
        self._ours = torch_trainer.TorchTrainer(device, checkpoints=checkpoints)
        self._own = ObjectiveTrainer(device, checkpoints=checkpoints)

    def batch_size(self, workload: AnyWorkload) -> int:
        """How many trials of the workload to train at once."""
        if isinstance(workload, Objective):
            return self._own.batch_size(workload)
        return self._ours.batch_size(workload)

    def conditions(self, workload: AnyWorkload) -> Mapping[str, Any]:
        """How trials of the workload are trained here."""
        if isinstance(workload, Objective):
            return self._own.conditions(workload)
        return self._ours.conditions(workload)

    def counts(self, workload: AnyWorkload) -> DataCounts | None:
        """How much data there is, where it is the user's own."""
        data = self.conditions(workload).get("data")
        return None if data is None else DataCounts(**data)

    def notes(self, workload: AnyWorkload) -> tuple[str, ...]:
        """What was passed over in the data, and how they are read."""
        return () if isinstance(workload, Objective) else self._ours.notes(workload)

    def check_teacher(self, workload: AnyWorkload) -> None:
        """Refuse a teacher that cannot teach it, before anything is measured.

        Data of the user's are not looked at for that: their function may take its time.

        Raises:
            InvalidInput, DataMissing: If it cannot.
        """
        if isinstance(workload, Workload) and workload.teacher and not workload.own_dataset:
            self._ours.check_teacher(workload)

    def train(
        self,
        workload: AnyWorkload,
        rule: str,
        trials: Sequence[tuple[Mapping[str, Setting], int]],
        on_epoch: OnEpoch,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> Sequence[TrialResult]:
        """Train the trials; see ``Trainer``."""
        if isinstance(workload, Objective):
            return self._own.train(workload, rule, trials, on_epoch, test=test, stopping=stopping)
        return self._ours.train(workload, rule, trials, on_epoch, test=test, stopping=stopping)

    def describe(
        self, workload: AnyWorkload, rule: str, settings: Mapping[str, Setting], steps: int
    ) -> dict[str, Any]:
        """The gradient filter that a configuration is; nothing where no update rule was used."""
        if rule == OWN or steps == 0:
            return {}
        return self._ours.describe(workload, rule, settings, steps)

    def cost(self, study: StudySpec, n_trials: int) -> tuple[float, float]:
        """Seconds that so many trials of the study take together: once, and for each epoch."""
        rule = study.arm.space.rule
        if isinstance(study.workload, Objective):
            return self._own.cost(study.workload, rule, study.arm.space.middle)
        return self._ours.cost(study.workload, rule, n_trials)


def check(workload: AnyWorkload) -> DataCounts | None:
    """Refuse what cannot be trained here, before anybody waits for it.

    Returns:
        How much data there is, where it is the user's own.

    Raises:
        InvalidInput: If data and network do not fit each other, or the objective cannot be called.
        DataMissing: If the data set, or a folder or file that the workload names, is not there.
    """
    if isinstance(workload, Objective):
        function(workload, "objective")
        return None
    check_files(workload)
    return torch_trainer.check(workload)
