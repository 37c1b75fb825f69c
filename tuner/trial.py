"""What goes into a training run and what comes out, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass

from tuner.rules import Setting


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
class EpochReport:
    """What ``on_epoch`` receives; the tuples run parallel to ``trials``.

    Args:
        epoch: Epochs finished, from 1.
        trials: Positions in the batch of the trials that were trained in this epoch.
        train_loss: Mean cross-entropy over the epoch, in nats; NaN once diverged.
        val_accuracy: Share of the validation split classified rightly; chance once diverged.
        flip_ratio: Share of the binary weights whose sign changed per step, mean over the epoch.
        seconds: The epoch's wall time, shared equally among the trials of the batch.
        train_seconds: The part of ``seconds`` before validation.
    """

    epoch: int
    trials: tuple[int, ...]
    train_loss: tuple[float, ...]
    val_accuracy: tuple[float, ...]
    flip_ratio: tuple[float, ...]
    seconds: tuple[float, ...]
    train_seconds: tuple[float, ...]


@dataclass(frozen=True)
class EpochPoint:
    """One trial's line of an ``EpochReport``."""

    epoch: int
    train_loss: float
    val_accuracy: float
    flip_ratio: float
    seconds: float


@dataclass(frozen=True)
class TrialResult:
    """A trained trial.

    Args:
        val_accuracy: Validation accuracy after its last epoch; chance if it diverged.
        test_accuracy: Test accuracy, if it was asked for and the trial was not stopped.
        curve: One point per epoch trained.
        diverged: Whether a loss, weight or state became infinite or NaN.
        stopped: Whether ``on_epoch`` stopped it before its last epoch.
        seconds: Sum of the curve's seconds.
        steps: Length of the whole run in optimizer steps, which the schedules are made for; a
            trial that left early took fewer.
        test_hits: Whether each test image, in the split's order, was classified rightly; ``None``
            where the test split was not read, or the trial diverged.
    """

    val_accuracy: float
    test_accuracy: float | None
    curve: tuple[EpochPoint, ...]
    diverged: bool
    stopped: bool
    seconds: float
    steps: int
    test_hits: tuple[bool, ...] | None = None
