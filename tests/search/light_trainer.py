"""Trainers without torch: real, tiny and deterministic, for tests of everything around them."""

import math
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuner.errors import DataMissing, Interrupted
from tuner.workload import Workload

Trials = Sequence[tuple[Mapping[str, object], int]]


@dataclass(frozen=True)
class Report:
    epoch: int
    trials: tuple[int, ...]
    val_accuracy: tuple[float, ...]


@dataclass(frozen=True)
class Point:
    epoch: int
    train_loss: float
    val_accuracy: float
    flip_ratio: float
    seconds: float


@dataclass
class Result:
    val_accuracy: float = 0.0
    test_accuracy: float | None = None
    curve: list[Point] = field(default_factory=list)
    diverged: bool = False
    stopped: bool = False
    seconds: float = 0.0
    steps: int = 1


def score(settings: Mapping[str, object], seed: int, epoch: int) -> float:
    """An accuracy that depends on every setting, the seed and the epoch, and on nothing else."""
    height = sum(
        abs(math.log10(abs(value) + 1e-9)) for value in settings.values() if type(value) is float
    )
    noise = random.Random(seed * 1000 + epoch).random()
    return max(0.1, 0.9 - 0.02 * height + 0.01 * noise - 0.3 / epoch)


class LightTrainer:
    """Trains by formula, four trials at a time."""

    def __init__(self, device: str) -> None:
        self.device = device

    def conditions(self, _workload: object) -> dict[str, str]:
        return {"device": self.device}

    def batch_size(self, _workload: object) -> int:
        return 4

    def train(
        self,
        workload: Workload,
        rule: str,
        trials: Trials,
        on_epoch: Callable,
        *,
        test: bool,
        stopping: Callable[[], bool],
    ) -> list[Result]:
        assert rule
        results = [Result() for _ in trials]
        active = set(range(len(trials)))
        for epoch in range(1, workload.epochs + 1):
            places = tuple(sorted(active))
            self.between_epochs(trials, epoch)
            for place in places:
                value = score(*trials[place], epoch)
                results[place].val_accuracy = value
                results[place].curve.append(Point(epoch, 1 - value, value, 0.01, 0.001))
            values = tuple(results[place].val_accuracy for place in places)
            stop = on_epoch(Report(epoch, places, values))
            if epoch < workload.epochs:
                for place in stop:
                    results[place].stopped = True
                    active.discard(place)
                if stopping():
                    raise Interrupted("told to stop")
            if not active:
                break
        for place in active:
            results[place].test_accuracy = results[place].val_accuracy - 0.01 if test else None
        return results

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        """What else an epoch does; nothing here."""

    def describe(self, rule: str, _settings: object, steps: int) -> dict[str, object]:
        return {"rule": rule, "steps": steps, "half_life_steps": math.inf}


class SlowTrainer(LightTrainer):
    """Takes its time over each epoch."""

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        time.sleep(0.03)


class SuicidalTrainer(LightTrainer):
    """Kills its own process in the middle of training, the first three times on this machine."""

    def between_epochs(self, _trials: Trials, epoch: int) -> None:
        if epoch < 2:
            return
        for life in range(3):
            try:
                Path(os.environ["LIVES"], str(life)).touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)


class DyingTrainer(LightTrainer):
    """Kills its own process every time."""

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class PickyTrainer(LightTrainer):
    """Raises on the trials whose seed is in $POISON; alone or not."""

    def between_epochs(self, trials: Trials, _epoch: int) -> None:
        poison = {int(seed) for seed in os.environ["POISON"].split(",")}
        for _, seed in trials:
            if seed in poison:
                raise ArithmeticError(f"seed {seed} is poisonous")


class ForgetfulTrainer(LightTrainer):
    """Raises once per process, at its first epoch."""

    raised = False

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        if not self.raised:
            self.raised = True
            raise ArithmeticError("out of luck")


class LostTrainer(LightTrainer):
    """Has no data."""

    def between_epochs(self, _trials: Trials, _epoch: int) -> None:
        raise DataMissing("data set 'digits' is not there; put it in /data")
