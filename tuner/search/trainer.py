"""What a worker needs of the training code, as protocols: no torch is imported here.

``worker.TorchTrainer`` is the one users get; ``tuner.train`` describes the fields.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from tuner.rules import Setting
from tuner.workload import Workload


class EpochReport(Protocol):
    """What training reports after an epoch; ``tuner.train.EpochReport``."""

    @property
    def epoch(self) -> int:
        """Epochs finished, from 1."""

    @property
    def trials(self) -> tuple[int, ...]:
        """Positions in the batch."""

    @property
    def val_accuracy(self) -> tuple[float, ...]:
        """Parallel to ``trials``, in [0, 1]."""


class EpochPoint(Protocol):
    """One epoch of one trial; ``tuner.train.EpochPoint``."""

    @property
    def epoch(self) -> int:
        """Epochs finished, from 1."""

    @property
    def train_loss(self) -> float:
        """Mean over the epoch."""

    @property
    def val_accuracy(self) -> float:
        """In [0, 1]."""

    @property
    def flip_ratio(self) -> float:
        """Share of binary weights flipped per step, in [0, 1]."""

    @property
    def seconds(self) -> float:
        """The trial's share of the epoch's wall time."""


class TrialResult(Protocol):
    """A trained trial; ``tuner.train.TrialResult``."""

    @property
    def val_accuracy(self) -> float:
        """At the last epoch trained; chance if it diverged."""

    @property
    def test_accuracy(self) -> float | None:
        """If it was asked for."""

    @property
    def curve(self) -> Sequence[EpochPoint]:
        """One point per epoch trained."""

    @property
    def diverged(self) -> bool:
        """Whether it became infinite or NaN."""

    @property
    def stopped(self) -> bool:
        """Whether ``on_epoch`` stopped it."""

    @property
    def seconds(self) -> float:
        """Its share of the training time."""

    @property
    def steps(self) -> int:
        """Optimizer steps taken."""


OnEpoch = Callable[[EpochReport], Collection[int]]


class Trainer(Protocol):
    """Trains the trials of one batch on one device."""

    def batch_size(self, workload: Workload) -> int:
        """How many trials of the workload to train at once, at least 1."""

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
        """Train trials of one update rule, given as (settings, seed); one result each, in order.

        ``on_epoch`` returns the positions to stop for good. ``stopping`` is asked after every
        epoch; once true the training is kept, to be gone on with by the same call, here or
        elsewhere, and Interrupted is raised. What ``on_epoch`` raises ends it, not kept.
        """

    def conditions(self, workload: Workload) -> Mapping[str, str | bool]:
        """How trials of the workload are trained here, for their record; JSON-able."""

    def describe(self, rule: str, settings: Mapping[str, Setting], steps: int) -> dict[str, Any]:
        """The gradient filter that a configuration is, as a JSON-able dict."""
