"""A batch of trials in training: one network with a trial axis, its optimizers, its reports."""

import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tuner.bnn.data import Split, load_data
from tuner.bnn.layers import BatchNorm, binary_parameters, real_parameters
from tuner.bnn.models import build_network
from tuner.optim import rules
from tuner.optim.decay import factor
from tuner.train.batches import Batches
from tuner.train.precision import activation_dtype
from tuner.train.replay import Replay, Step
from tuner.train.step import operations
from tuner.trial import EpochPoint, EpochReport, TrialConfig, TrialResult
from tuner.workload import Workload


class Run:
    """The state of a batch of trials in training.

    Args:
        workload: Data, network and length.
        trials: K trials of one update rule.
        device: Where to train.

    Raises:
        InvalidInput: If a setting is out of range, or data and network do not fit each other.
        DataMissing: If the data set is not there.

    Attributes:
        finished: Epochs trained.
        active: Positions of the trials that are left, in order.
    """

    def __init__(
        self, workload: Workload, trials: Sequence[TrialConfig], device: torch.device
    ) -> None:
        self.workload = workload
        self.trials = trials
        self.device = device
        self.data = load_data(workload).to(device)
        self.chance = 1 / self.data.n_classes
        dtype = activation_dtype(workload, device)
        self.batches = Batches(self.data, workload, dtype=dtype)
        self.steps = workload.epochs * self.batches.steps_per_epoch

        seeds = [trial.seed for trial in trials]
        weights = torch.float64 if dtype == torch.float64 else torch.float32
        network = build_network(workload, self.data.shape, self.data.n_classes, seeds)
        self.network = network.to(device=device, dtype=weights)
        self.binary = binary_parameters(self.network)
        self.real = real_parameters(self.network)
        self.rule = rules.build_optimizer(
            trials[0].rule,
            self.binary,
            [trial.settings for trial in trials],
            steps=self.steps,
        )
        for weight in self.binary:  # signs are exact in any type; the rule's state stays as it is
            weight.data = weight.data.to(dtype)
        self.rate = torch.tensor(workload.real_learning_rate, device=device)
        self.adam = torch.optim.Adam(
            self.real, lr=self.rate, fused=True, capturable=device.type == "cuda"
        )
        # Not a method: what holds itself, through the recorded step, would keep its memory.
        self._operations = partial(operations, self.network, self.rule, self.adam)

        self.finished = 0
        self.active = list(range(len(trials)))
        self.curves: list[list[EpochPoint]] = [[] for _ in trials]
        self.diverged: set[int] = set()
        self.stopped: set[int] = set()
        self._record()

    def epoch(self, epoch: int) -> EpochReport:
        """Train and validate one epoch, drop what diverged, report."""
        start = time.perf_counter()
        loss, flips = self._train_epoch(epoch)
        healthy = (
            torch.isfinite(loss) & self.rule.finite() & _finite(self.real)
        ).tolist()  # waits for the device
        k = len(self.active)
        train_seconds = (time.perf_counter() - start) / k
        accuracy = self._accuracy(self.data.val)
        seconds = (time.perf_counter() - start) / k
        report = EpochReport(
            epoch=epoch,
            trials=tuple(self.active),
            train_loss=tuple(
                value if ok else math.nan for value, ok in zip(loss.tolist(), healthy, strict=True)
            ),
            val_accuracy=tuple(
                value if ok else self.chance for value, ok in zip(accuracy, healthy, strict=True)
            ),
            flip_ratio=tuple(flips.tolist()),
            seconds=(seconds,) * k,
            train_seconds=(train_seconds,) * k,
        )
        for row, position in enumerate(self.active):
            self.curves[position].append(
                EpochPoint(
                    epoch,
                    report.train_loss[row],
                    report.val_accuracy[row],
                    report.flip_ratio[row],
                    seconds,
                )
            )
        lost = {p for p, ok in zip(self.active, healthy, strict=True) if not ok}
        self.diverged |= lost
        self._leave(lost)
        self.finished = epoch
        return report

    def stop(self, positions: Collection[int]) -> None:
        """Take trials out of the batch."""
        leaving = set(positions) & set(self.active)
        self.stopped |= leaving
        self._leave(leaving)

    def state(self) -> dict[str, Any]:
        """All that decides the epochs to come, and the curves so far; for ``restore``.

        The order of the data is no part of it: that comes from each trial's seed and the epoch.
        """
        return {
            "finished": self.finished,
            "active": self.active,
            "diverged": sorted(self.diverged),
            "stopped": sorted(self.stopped),
            "curves": [[astuple(point) for point in curve] for curve in self.curves],
            "network": self.network.state_dict(),
            "rule": self.rule.state_dict(),
            "adam": [self.adam.state[parameter] for parameter in self.real],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the state of a run with the same arguments; this one is new.

        Raises:
            KeyError, IndexError, TypeError, ValueError, RuntimeError: If it is another run's. This
                one is of no use then.
        """
        self._leave(set(self.active) - set(state["active"]))
        self.network.load_state_dict(state["network"])
        self.rule.load_state_dict(state["rule"])
        for parameter, moments in zip(self.real, state["adam"], strict=True):
            # Adam's own way would put another tensor in the place of the learning rate.
            self.adam.state[parameter] = {n: value.to(self.device) for n, value in moments.items()}
        self.curves = [[EpochPoint(*point) for point in curve] for curve in state["curves"]]
        self.diverged, self.stopped = set(state["diverged"]), set(state["stopped"])
        self.finished = state["finished"]

    def results(self, *, test: bool) -> list[TrialResult]:
        """The trials' results; the test split is read here and nowhere else."""
        tested = dict.fromkeys(range(len(self.trials)), self.chance) if test else {}
        hits: dict[int, tuple[bool, ...]] = {}
        if test and self.active:
            right_KN = self._right(self.data.test).tolist()
            hits = {p: tuple(right) for p, right in zip(self.active, right_KN, strict=True)}
            tested |= {p: sum(right) / len(right) for p, right in hits.items()}
        return [
            TrialResult(
                val_accuracy=curve[-1].val_accuracy,
                test_accuracy=None if position in self.stopped else tested.get(position),
                curve=tuple(curve),
                diverged=position in self.diverged,
                stopped=position in self.stopped,
                seconds=sum(point.seconds for point in curve),
                steps=self.steps,
                test_hits=None if position in self.stopped else hits.get(position),
            )
            for position, curve in enumerate(self.curves)
        ]

    def _train_epoch(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Mean loss [K] and mean flip ratio [K] of one pass over the training split."""
        self.network.train()
        k = len(self.active)
        steps = self.batches.steps_per_epoch
        n_binary = sum(weight[0].numel() for weight in self.binary)
        loss_sum = torch.zeros(k, device=self.device)
        flip_sum = torch.zeros(k, device=self.device)
        seeds = [self.trials[position].seed for position in self.active]
        for images, labels_KN in self.batches.epoch(seeds, epoch):
            loss_sum += self.step(images, labels_KN)
            flip_sum += self.rule.flips
        return loss_sum / steps, flip_sum / (steps * n_binary)

    def step(self, images: Tensor, labels_KN: Tensor) -> Tensor:
        """One step of all active trials; returns their losses [K]. Never waits for a GPU."""
        decay = factor("cosine", self.rule.step_count, self.steps)
        self.rate.fill_(self.workload.real_learning_rate * decay)
        self.rule.tick()
        return self._advance(images, labels_KN)

    def _record(self) -> None:
        """Have the step recorded again, for the trials that are left."""
        recorded = self.device.type == "cuda" and self.rule.recordable
        self._advance: Step = Replay(self._operations) if recorded else self._operations

    def _accuracy(self, split: Split) -> list[float]:
        """Share of the split that each active trial classifies rightly."""
        return [count / len(split.labels) for count in self._right(split).sum(1).tolist()]

    @torch.no_grad()
    def _right(self, split: Split) -> Tensor:
        """Whether each active trial classifies each image of the split rightly, [K, N]."""
        self.network.eval()
        right = []
        for images, labels in self.batches.evaluation(split, len(self.active)):
            predicted = self.network(images).max(2).indices  # argmax is many times slower
            right.append(predicted == labels)
        return torch.cat(right, dim=1)

    def _leave(self, positions: Collection[int]) -> None:
        """Compact the trial axis of everything that has one."""
        if not positions:
            return
        rows = [row for row, p in enumerate(self.active) if p not in positions]
        self.active = [self.active[row] for row in rows]
        if not rows:
            return
        keep = torch.tensor(rows, device=self.device)
        for parameter in self.network.parameters():
            parameter.data = parameter.data[keep]
        self.rule.select_trials(keep)
        for state in self.adam.state.values():
            state.update({name: value[keep] for name, value in state.items() if value.dim()})
        for layer in self.network.modules():
            if isinstance(layer, BatchNorm):
                layer.running_mean = layer.running_mean[keep]
                layer.running_var = layer.running_var[keep]
        self._record()


def _finite(parameters: Sequence[Tensor]) -> Tensor:
    """Whether all numbers of a trial are finite, shape [K]."""
    return torch.stack([torch.isfinite(p).flatten(1).all(1) for p in parameters]).all(0)
