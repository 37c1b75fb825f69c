"""One trial as an objective sees it."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuner.rules import OWN, Setting
from tuner.trial import EpochPoint

if TYPE_CHECKING:
    from tuner.optim.base import BinaryOptimizer, Parameters

OnReport = Callable[[EpochPoint], bool]
"""Takes an epoch's line; returns whether the trial is to stop."""


_REPORTS = ".reports.json"


class TrialStopped(BaseException):
    """Ends an objective that reports on although ``should_stop`` was true.

    No Exception, so that an objective that handles its own errors does not handle this.
    """


@dataclass(frozen=True)
class Given:
    """What a trial is given.

    Args:
        rule: The update rule of its space, or ``own``.
        settings: The hyperparameters drawn for it, and those that its space fixes.
        seed: Its seed, below 2^53; the same for trial i of every arm.
        epochs: How many epochs it may report at most.
        test: Whether a test score is wanted beside the score.
        device: ``"cuda"`` or ``"cpu"``: where it is to be trained.
        folder: A folder of its own for checkpoints. It is as an interrupted attempt left it, and
            is removed when the trial has ended.
        shares: Whether its scores are shares in [0, 1], as accuracies are.
    """

    rule: str
    settings: Mapping[str, Setting]
    seed: int
    epochs: int
    test: bool
    device: str
    folder: Path
    shares: bool = True


class Trial:
    """One trial as an objective sees it.

    Args:
        given: What it is given; its fields are attributes of the trial.
        on_report: Called with each report.

    Attributes:
        should_stop: Whether to return, with the score so far: the trial was pruned, or the worker
            is told to stop; then the same settings are gone on with later, in the same folder.
    """

    def __init__(self, given: Given, on_report: OnReport) -> None:
        self._given = given
        self._on_report = on_report
        self._began = time.monotonic()
        self.rule = given.rule
        self.settings = dict(given.settings)
        self.seed = given.seed
        self.epochs = given.epochs
        self.test = given.test
        self.device = given.device
        self.folder = given.folder
        self.should_stop = False
        self.steps = 0
        self.curve = _earlier(given.folder / _REPORTS)
        self._reported = False

    def optimizer(self, parameters: "Parameters", steps: int) -> "BinaryOptimizer":
        """The optimizer of the binary weights that the trial's space and settings stand for.

        Args:
            parameters: The binary weights, or groups of them; they become signs.
            steps: Length of the run in optimizer steps, for the schedules.

        Raises:
            ValueError: If the space names no update rule.
        """
        from tuner.optim.rules import optimizer_of  # torch takes seconds to import

        if self.rule == OWN:
            raise ValueError(
                "trial.optimizer: the space of this arm names no update rule; give it one, such "
                'as rule = "filter_flip", or make an optimizer of trial.settings'
            )
        self.steps = steps
        return optimizer_of(self.rule, parameters, self._given.settings, steps=steps)

    def report(self, epoch: int, score: float) -> None:
        """Report the score after an epoch; look at ``should_stop`` afterwards.

        Args:
            epoch: Epochs trained, from 1 or where an interrupted attempt ended, rising.
            score: As the objective returns it: an accuracy, in [0, 1], or the workload's metric.

        Raises:
            ValueError: If one of the two breaks these rules.
            TrialStopped: If the trial was to stop before.
        """
        if self.should_stop:
            raise TrialStopped
        least = self.curve[-1].epoch + 1 if self._reported else 1
        if isinstance(epoch, bool) or not least <= epoch <= self.epochs or epoch != int(epoch):
            raise ValueError(
                f"trial.report: epoch must be a whole number in {least} .. {self.epochs} "
                f"(workload.epochs), got {epoch!r}"
            )
        now = time.monotonic()
        point = EpochPoint(
            epoch=int(epoch),
            train_loss=math.nan,
            val_accuracy=checked("trial.report: score", score, shares=self._given.shares),
            flip_ratio=math.nan,
            seconds=now - self._began,
        )
        self._began, self._reported = now, True
        self.curve = [before for before in self.curve if before.epoch < point.epoch] + [point]
        lines = [asdict(each) for each in self.curve]
        (self.folder / _REPORTS).write_text(json.dumps(lines), encoding="utf-8")
        self.should_stop = self._on_report(point)


def _earlier(file: Path) -> list[EpochPoint]:
    """What an interrupted attempt reported; nothing if it was stopped while it wrote that."""
    try:
        return [EpochPoint(**line) for line in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


def checked(
    where: str,
    value: Any,  # Any: whatever an objective hands over
    *,
    shares: bool,
) -> float:
    """A score as a float, NaN allowed: it diverged.

    Raises:
        ValueError: If it is no number, or no share where it must be one.
    """
    try:
        score = float(value)
    except (TypeError, ValueError) as error:
        wanted = "a number in [0, 1]" if shares else "a number"
        raise ValueError(f"{where}: must be {wanted}, got {type(value).__name__}") from error
    if not shares:
        if math.isinf(score):
            raise ValueError(
                f"{where}: must be finite, or NaN of a run that diverged, got {score}"
            )
        return score
    if not (0 <= score <= 1 or math.isnan(score)):
        raise ValueError(
            f"{where}: must be a share in [0, 1] of which more is better, got {score:g}; an error "
            'rate is 1 - accuracy, other scores have a name (workload.metric = "loss") and a '
            'direction (workload.direction = "minimize")'
        )
    return score
