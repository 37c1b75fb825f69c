"""A batch of trials in training: one network with a trial axis, its optimizers, its reports."""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import astuple
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tuner.bnn.data.dataset import load_data
from tuner.bnn.layers import BatchNorm, binary_parameters, real_parameters
from tuner.bnn.losses import loss_of, taught
from tuner.bnn.models import build_network
from tuner.bnn.own_network import Alone, seeded, try_out
from tuner.optim import rules
from tuner.optim.base import BinaryOptimizer
from tuner.optim.decay import factor
from tuner.optim.parameters import tensors
from tuner.optim.uncompiled import Adam
from tuner.signals import stop_if_asked
from tuner.train.batches import Batches, generator
from tuner.train.files import check_progress
from tuner.train.memory import check_memory
from tuner.train.precision import activation_dtype
from tuner.train.recipe import two_steps
from tuner.train.recipe.teacher import teacher_of
from tuner.train.replay import Replay, Step
from tuner.train.scores import Scores
from tuner.train.signs.ways import apply
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
        Interrupted: If it is not wanted any more once the network is built.
        torch.OutOfMemoryError: If memory cannot hold the weights of so many trials.

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
        dtype = activation_dtype(workload, device)
        teacher = teacher_of(workload, self.data, device)
        self.batches = Batches(self.data, workload, dtype=dtype, teacher=teacher)

        seeds = [trial.seed for trial in trials]
        weights = torch.float64 if dtype == torch.float64 else torch.float32
        shape, n_classes = self.data.shape, self.data.n_classes
        check_memory(workload, shape, n_classes, n_trials=len(trials), device=device)
        network = build_network(workload, shape, n_classes, seeds)
        stop_if_asked()
        self.network = network.to(device=device, dtype=weights)
        if workload.own_model:
            with seeded(seeds[0]):
                samples = self.batches.few(len(trials))
                try_out(self.network, samples, self.data.known_classes, workload)
        apply(self.network, workload, device, dtype)
        self.binary = binary_parameters(self.network)
        self.rate = torch.tensor(workload.real_learning_rate, device=device)
        self._loss = taught(workload) if workload.teacher else loss_of(workload)

        self.finished = 0
        self.active = list(range(len(trials)))
        self.curves: list[list[EpochPoint]] = [[] for _ in trials]
        self.diverged: set[int] = set()
        self.stopped: set[int] = set()
        if workload.real_epochs:
            self._first_step()
        else:
            self._last_step()
        self.scores = Scores(workload, self.network, self.batches, n_trials=len(trials))
        self.chance = self.scores.chance

    def _first_step(self) -> None:
        """The binary layers' weights are real, and Adam's too."""
        self.steps = self.workload.real_epochs * self.batches.steps_per_epoch
        self._train(two_steps.no_rule(), [p for p in self.network.parameters() if p.requires_grad])

    def _last_step(self) -> None:
        """The update rule makes them binary, and trains them; of most workloads all there is."""
        self.steps = self.binary_steps
        rule = self._make_rule()
        for weight in self.binary:  # signs are exact in any type; the rule's state stays as it is
            weight.data = weight.data.to(self.batches.dtype)
        self._train(rule, real_parameters(self.network))

    def _train(self, rule: BinaryOptimizer, real: list[nn.Parameter]) -> None:
        """Have this rule train the binary weights and a new Adam the real ones."""
        self.rule, self.real = rule, real
        groups = [{"params": real}]  # perhaps none
        cuda = self.device.type == "cuda"
        self.adam = Adam(groups, lr=self.rate, fused=True, capturable=cuda)
        # Not a method: what holds itself, through the recorded step, would keep its memory.
        self._operations = partial(operations, self.network, rule, self.adam, self._loss)
        self._record()

    def _hand_over(self) -> None:
        """Go from the first step to the last: the rule begins where the real weights point."""
        moments = [self.adam.state[weight] for weight in self.binary]
        beta2, k = self.adam.defaults["betas"][1], len(self.active)
        pulls = two_steps.pulls(self.binary, moments, beta2, k)
        self._last_step()
        trials = [self.trials[position] for position in self.active]
        two_steps.begin(self.rule, pulls, trials, steps=self.steps)

    @property
    def binary_steps(self) -> int:
        """Steps in which the update rule trains binary weights; its schedules are that long."""
        epochs = self.workload.epochs - self.workload.real_epochs
        return epochs * self.batches.steps_per_epoch

    @property
    def binarised(self) -> bool:
        """Whether the weights of binary layers are binary yet."""
        return self.finished >= self.workload.real_epochs

    @property
    def clock(self) -> Callable[[], float]:
        """Tells the time that a step takes: on a CPU what else runs there has no part in it."""
        return time.process_time if self.device.type == "cpu" else time.perf_counter

    def _make_rule(self) -> BinaryOptimizer:
        """The update rule of all trials; of one whose weights have no trial axis, its own."""
        rule = self.trials[0].rule
        settings = [self.trials[position].settings for position in self.active]
        if isinstance(self.network, Alone):
            (only,) = settings
            return rules.optimizer_of(rule, self.binary, only, steps=self.steps)
        return rules.build_optimizer(rule, self.binary, settings, steps=self.steps)

    def epoch(self, epoch: int) -> EpochReport:
        """Train and validate one epoch, drop what diverged, report.

        What code of the user's draws, such as who drops out, comes from seed and epoch.
        """
        with self._drawing(epoch, 1):
            return self._epoch(epoch)

    def _drawing(self, *path: int) -> AbstractContextManager[None]:
        """Has what code of the user's draws come from the seed of the first trial, and a path."""
        if not (self.workload.own_model or self.data.streamed):
            return nullcontext()
        seed = self.trials[self.active[0]].seed
        return seeded(generator(seed, *path).initial_seed())

    def _epoch(self, epoch: int) -> EpochReport:
        start, began = time.perf_counter(), self.clock()
        loss, flips = self._train_epoch(epoch)
        healthy = (torch.isfinite(loss) & self._finite()).tolist()  # waits for the device
        step_seconds = (self.clock() - began) / self.batches.steps_per_epoch
        k = len(self.active)
        train_seconds = (time.perf_counter() - start) / k
        scores = self.scores.of(self.data.val, healthy).values
        healthy = [ok and math.isfinite(v) for ok, v in zip(healthy, scores, strict=True)]
        seconds = (time.perf_counter() - start) / k
        report = EpochReport(
            epoch=epoch,
            trials=tuple(self.active),
            train_loss=tuple(
                value if ok else math.nan for value, ok in zip(loss.tolist(), healthy, strict=True)
            ),
            val_accuracy=tuple(
                value if ok else self.chance for value, ok in zip(scores, healthy, strict=True)
            ),
            flip_ratio=tuple(flips.tolist()),
            seconds=(seconds,) * k,
            train_seconds=(train_seconds,) * k,
            step_seconds=step_seconds,
            curves=tuple(self.curves[position] for position in self.active),
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
        if epoch == self.workload.real_epochs and self.active:
            self._hand_over()
        return report

    def stop(self, positions: Collection[int]) -> None:
        """Take trials out of the batch."""
        leaving = set(positions) & set(self.active)
        self.stopped |= leaving
        self._leave(leaving)

    def alone(self, position: int) -> nn.Module:
        """The network of one trial that is left, without the others: the end of the run."""
        self._leave(set(self.active) - {position})
        return self.network

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
            Exception: If it is another run's, or no run's: it may hold anything. This one is of no
                use then.
        """
        check_progress(state, len(self.trials), self.workload)
        self._leave(set(self.active) - set(state["active"]))
        self.finished = state["finished"]
        before = 0
        if self.workload.real_epochs and self.binarised:
            before = self.workload.real_epochs
            self._last_step()
        self.network.load_state_dict(state["network"])
        shapes = _shapes(self.rule)
        self.rule.load_state_dict(state["rule"])
        for parameter, moments in zip(self.real, state["adam"], strict=True):
            # Adam's own way would put another tensor in the place of the learning rate.
            self.adam.state[parameter] = {n: value.to(self.device) for n, value in moments.items()}
        self.curves = [[EpochPoint(*point) for point in curve] for curve in state["curves"]]
        self.diverged, self.stopped = set(state["diverged"]), set(state["stopped"])
        steps = (self.finished - before) * self.batches.steps_per_epoch
        if self.rule.step_count != steps or _shapes(self.rule) != shapes:
            raise ValueError(f"the update rule's state is not one after {steps} steps")
        for parameter in self.real:
            moments = self.adam.state[parameter]
            unused = self.workload.own_model  # perhaps: forward may not take it
            if not moments and (unused or not steps):
                continue
            if moments["step"] != steps or any(
                moments[name].shape != parameter.shape for name in ("exp_avg", "exp_avg_sq")
            ):
                raise ValueError(f"the state of Adam is not one after {steps} steps")
        if not self._finite().all():
            raise ValueError("an active trial has numbers that are not finite")

    def results(self, *, test: bool) -> list[TrialResult]:
        """The trials' results; the test split is read here and nowhere else."""
        tested = dict.fromkeys(range(len(self.trials)), self.chance) if test else {}
        hits: dict[int, tuple[bool, ...]] = {}
        if test and self.active:
            with self._drawing(self.finished, 2):
                scored = self.scores.of(self.data.test, [True] * len(self.active))
            finite = (v if math.isfinite(v) else self.chance for v in scored.values)
            tested |= dict(zip(self.active, finite, strict=True))
            if scored.right_KN is not None:
                rows = map(tuple, scored.right_KN.tolist())
                hits = dict(zip(self.active, rows, strict=True))
        return [
            TrialResult(
                val_accuracy=curve[-1].val_accuracy,
                test_accuracy=None if position in self.stopped else tested.get(position),
                curve=tuple(curve),
                diverged=position in self.diverged,
                stopped=position in self.stopped,
                seconds=sum(point.seconds for point in curve),
                steps=self.binary_steps,
                test_hits=None if position in self.stopped else hits.get(position),
            )
            for position, curve in enumerate(self.curves)
        ]

    def _train_epoch(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Mean loss [K] and mean flip ratio [K] of one pass over the training split."""
        self.network.train()
        k = len(self.active)
        steps = self.batches.steps_per_epoch
        n_binary = sum(weight.numel() for weight in self.binary) // k
        loss_sum = torch.zeros(k, device=self.device)
        flip_sum = torch.zeros(k, device=self.device)
        seeds = [self.trials[position].seed for position in self.active]
        with closing(self.batches.epoch(seeds, epoch)) as batches:
            for images, *targets in batches:
                loss_sum += self.step(images, *targets)
                flip_sum += self.rule.flips
        return loss_sum / steps, flip_sum / (steps * n_binary)

    def step(self, images: Tensor, *targets: Tensor) -> Tensor:
        """One step of all active trials; returns their losses [K]. Never waits for a GPU."""
        decay = factor("cosine", self.rule.step_count, self.steps)
        self.rate.fill_(self.workload.real_learning_rate * decay)
        self.rule.tick()
        return self._advance(images, *targets)

    def _record(self) -> None:
        """Have the step recorded again, for the trials that are left."""
        ordinary = isinstance(self.network, Alone)  # may do another thing at every step
        own_loss = ":" in self.workload.loss
        recorded = (
            self.device.type == "cuda" and self.rule.recordable and not (ordinary or own_loss)
        )
        self._advance: Step = Replay(self._operations) if recorded else self._operations

    def _finite(self) -> Tensor:
        """Whether all numbers of each active trial are finite, [K]."""
        k = len(self.active)
        finite = torch.ones(k, dtype=torch.bool, device=self.device)
        if self.rule.state:
            finite &= self.rule.finite(k)
        for parameter in self.real:
            finite &= torch.isfinite(parameter).reshape(k, -1).all(1)
        return finite

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


def _shapes(rule: BinaryOptimizer) -> list[dict[str, torch.Size]]:
    """The shapes of the rule's state, parameter by parameter; not of its count of steps."""
    return [{name: v.shape for name, v in tensors(state)} for state in rule.state.values()]
