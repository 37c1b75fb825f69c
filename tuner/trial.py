"""What goes into a training run and what comes out, as frozen dataclasses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tuner.rules import Setting
from tuner.wording import count


@dataclass(frozen=True)
class DataCounts:
    """What there is to train on, of data that are the user's own.

    Args:
        classes: How many; 0 where targets are no classes.
        train: Samples to train on.
        validation: Samples that settings are selected on.
        test: Samples that are read once, at the end.
        test_in_train: Test samples that are among those trained or validated on, value by value.
        digest: Changes with the data.
    """

    classes: int
    train: int
    validation: int
    test: int
    test_in_train: int
    digest: str

    def __str__(self) -> str:
        classes = f"{count(self.classes, 'class', 'classes')}; " if self.classes else ""
        return (
            f"{classes}{count(self.train, 'sample')} to train on, "
            f"{self.validation:,} to validate on, {self.test:,} to test on"
        )

    @property
    def warning(self) -> str:
        """What makes its test scores too good, in a sentence; empty if nothing is known to."""
        if not self.test_in_train:
            return ""
        copies = count(
            self.test_in_train,
            f"of {self.test:,} test samples is also among those trained or validated on",
            f"of {self.test:,} test samples are also among those trained or validated on",
        )
        return f"{copies}, value by value: test scores are too good by that; remove the copies."


@dataclass(frozen=True)
class TrialConfig:
    """One trial of a batch.

    Args:
        rule: Name of an update rule, see ``tuner.rules.RULES``.
        settings: Its hyperparameters; what is left out takes the rule's default.
        seed: Seed >= 0 of the first weights, the data order and the augmentation.
    """

    rule: str
    settings: Mapping[str, Setting]
    seed: int


@dataclass(frozen=True)
class EpochPoint:
    """One trial's line of an ``EpochReport``."""

    epoch: int
    train_loss: float
    val_accuracy: float
    flip_ratio: float
    seconds: float


@dataclass(frozen=True)
class EpochReport:
    """What ``on_epoch`` receives; the tuples run parallel to ``trials``.

    Args:
        epoch: Epochs finished, from 1.
        trials: Positions in the batch of the trials that were trained in this epoch.
        train_loss: Mean loss over the epoch, of cross-entropy in nats; NaN once diverged.
        val_accuracy: Score on the validation split, such as the share classified rightly; chance
            once diverged.
        flip_ratio: Share of the binary weights whose sign changed per step, mean over the epoch.
        seconds: The epoch's wall time, shared equally among the trials of the batch.
        train_seconds: The part of ``seconds`` before validation.
        step_seconds: A training step of all these trials and its data, mean over the epoch: what
            the processor computed, or what went by on a GPU; None where nothing is known of steps.
        curves: Of each trial its epochs up to this one, also those that an interrupted attempt
            trained.
    """

    epoch: int
    trials: tuple[int, ...]
    train_loss: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    flip_ratio: tuple[float, ...]
    seconds: tuple[float, ...]
    train_seconds: tuple[float, ...]
    step_seconds: float | None = None
    curves: tuple[Sequence[EpochPoint], ...] = ()


@dataclass(frozen=True)
class TrialResult:
    """A trained trial.

    Args:
        val_accuracy: Validation score after its last epoch; chance if it diverged.
        test_accuracy: Test score, if it was asked for and the trial was not stopped.
        curve: One point per epoch trained.
        diverged: Whether a loss, weight or state became infinite or NaN.
        stopped: Whether ``on_epoch`` stopped it before its last epoch.
        seconds: Sum of the curve's seconds.
        steps: Length of the whole run in steps of the update rule, which the schedules are made
            for; a trial that left early took fewer.
        test_hits: Whether each test image, in the split's order, was classified rightly; ``None``
            where the test split was not read, the trial diverged, or the score is no accuracy.
    """

    val_accuracy: float
    test_accuracy: float | None
    curve: tuple[EpochPoint, ...]
    diverged: bool
    stopped: bool
    seconds: float
    steps: int
    test_hits: tuple[bool, ...] | None = None
