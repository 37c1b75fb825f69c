"""Train K trials of one workload at once, along the trial axis; K = 1 is the same code."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from tuner import kernels
from tuner.bnn.checking import check as layers_that_will_not_train
from tuner.bnn.data.dataset import Dataset, load_data
from tuner.bnn.losses import loss_of
from tuner.bnn.models import build_network
from tuner.bnn.own_network import seeded
from tuner.bnn.sign_conv import Way
from tuner.errors import InvalidInput
from tuner.named import setting_up
from tuner.train.batches import Batches
from tuner.train.checkpoint import Checkpoint, Keep
from tuner.train.memory import check_memory, fitting, shortage
from tuner.train.precision import activation_dtype, has_bfloat16
from tuner.train.recipe.teacher import teacher_of
from tuner.train.run import Run
from tuner.train.signs.ways import ways
from tuner.train.threads import one_thread
from tuner.trial import DataCounts, EpochReport, TrialConfig, TrialResult
from tuner.workload import LOSSES, Workload

_log = logging.getLogger(__name__)

OnEpoch = Callable[[EpochReport], Collection[int]]


def keep_all(_report: EpochReport) -> Collection[int]:
    """Stop no trial."""
    return ()


def train(
    workload: Workload,
    trials: Sequence[TrialConfig],
    on_epoch: OnEpoch = keep_all,
    *,
    device: str = "cpu",
    test: bool = False,
    keep: Keep | None = None,
) -> list[TrialResult]:
    """Train the trials of one workload and update rule together.

    Each trial gets what it would get alone: its own first weights, data order and augmentation
    from its seed. A trial that diverges or is stopped leaves the batch. Torch computes in one
    thread meanwhile.

    Args:
        workload: Data, network and length.
        trials: K trials of one update rule.
        on_epoch: Called after every epoch; returns the positions in ``trials`` to stop.
        device: A torch device.
        test: Whether to measure the test accuracy at the end.
        keep: How to keep the training while it is unfinished, to go on after it was interrupted:
            the same call goes on from the last epoch kept, to the same results bit for bit.

    Returns:
        One result per trial, in their order.

    Raises:
        InvalidInput: If there is no trial, the rules differ, or a setting is out of range.
        DataMissing: If the data set is not there.
        Interrupted: If ``keep.stopping`` said so, or before the first epoch ``signals.stoppable``.
            What ``on_epoch`` raises ends the training too, and nothing is kept of the epoch.
        torch.OutOfMemoryError: If memory runs out, a GPU's or the machine's.
    """
    with one_thread(), shortage(), _trained(workload, trials, on_epoch, device, keep) as run:
        return run.results(test=test)


def trained_network(
    workload: Workload,
    trials: Sequence[TrialConfig],
    position: int,
    on_epoch: OnEpoch = keep_all,
    *,
    device: str = "cpu",
    keep: Keep | None = None,
) -> tuple[nn.Module, TrialResult]:
    """Train as ``train`` does; the network of one of the trials, alone, and its result.

    Args:
        workload: As ``train`` takes it.
        trials: As ``train`` takes them: the others decide how its sums are rounded.
        position: Which of them.
        on_epoch: As ``train`` takes it.
        device: As ``train`` takes it.
        keep: As ``train`` takes it.

    Raises:
        InvalidInput: As ``train`` does, and if the trial diverged or was stopped.
        DataMissing: As ``train`` does.
        Interrupted: As ``train`` does.
    """
    with one_thread(), shortage(), _trained(workload, trials, on_epoch, device, keep) as run:
        result = run.results(test=True)[position]
        if position not in run.active:
            how = "diverged" if result.diverged else "was stopped before its last epoch"
            raise InvalidInput(f"the trial {how}, so it has no trained network")
        return run.alone(position), result


@contextmanager
def _trained(
    workload: Workload,
    trials: Sequence[TrialConfig],
    on_epoch: OnEpoch,
    device: str,
    keep: Keep | None,
) -> Iterator[Run]:
    """The run after its last epoch; what was kept of it goes once its results are taken."""
    if len({trial.rule for trial in trials}) != 1:
        raise InvalidInput("train: needs one trial or more, all of one update rule")
    if keep is None:
        run = Run(workload, trials, torch.device(device))
        _go_on(run, on_epoch, _nothing)
        yield run
        return
    checkpoint = Checkpoint(keep, workload, trials, device)
    run = checkpoint.resume()
    _go_on(run, on_epoch, checkpoint.between)
    yield run
    checkpoint.remove()


def _go_on(run: Run, on_epoch: OnEpoch, between: Callable[[Run], None]) -> None:
    """Train the epochs that are left; ``between`` gets the run after all but the last."""
    epochs = run.workload.epochs
    for epoch in range(run.finished + 1, epochs + 1):
        report = run.epoch(epoch)
        stop = on_epoch(report)
        if epoch == epochs:
            return
        run.stop(stop)
        if not run.active:
            return
        between(run)


def _nothing(_run: Run) -> None:
    """Nothing is to be done between two epochs."""


def notes(workload: Workload) -> tuple[str, ...]:
    """What was passed over in the data, and how they are read, sentence by sentence."""
    return load_data(workload).notes


def check(workload: Workload) -> DataCounts | None:
    """Refuse a workload that cannot be trained, before anybody waits for it.

    Says once, for all workers, what this machine lacks to be fast, or rounds to be so, what was
    passed over in the data and which layers of a network of the user's will not train; compiles
    the kernels, and times the binary layers.

    Returns:
        How much data there is, where it is the user's own.

    Raises:
        InvalidInput: If data, network and batch size do not fit each other.
        DataMissing: If the data set is not there.
        DeviceTooSmall: If one trial does not fit in this machine's memory.
    """
    kernels.library()
    if workload.precision == "auto" and not any(map(has_bfloat16, ("cpu", "cuda"))):
        _log.warning("this processor has no bfloat16: training in float32, 1.5 to 3 times slower")
    data, cpu = load_data(workload), torch.device("cpu")
    with fitting(workload, 1, "cpu"):
        _check_network(workload, data, cpu)
    chosen = ways(workload, cpu, activation_dtype(workload, cpu))
    if Way.BOTH in chosen.convolutions + chosen.products:
        _log.warning(
            "on a CPU here, binary layers round their gradients to 11 bits, by chance up or "
            'down, which is faster; precision = "float32" in the workload never does'
        )
    for note in notes(workload):
        _log.warning("%s", note)
    if not (workload.own_dataset or workload.folder):
        return None
    if data.counts.warning:
        _log.warning("%s", data.counts.warning)
    return data.counts


def _check_network(workload: Workload, data: Dataset, cpu: torch.device) -> None:
    """Make the network once; one of the user's, or with a loss or metric of theirs, is tried."""
    if not (workload.own_model or workload.own_metric or workload.loss != LOSSES[0]):
        teacher_of(workload, data, cpu)
        Batches(data, workload, dtype=torch.float32)
        check_memory(workload, data.shape, data.n_classes, n_trials=1, device=cpu)
        build_network(workload, data.shape, data.n_classes, [0])
        return
    plain = replace(workload, real_epochs=0)
    run = Run(plain, [TrialConfig("filter_flip", {}, 0)], cpu)
    samples, targets, *_ = next(iter(run.batches.epoch([0], 1)))
    with seeded(0):
        where = f"workload.loss: {workload.loss}"
        setting_up(where, lambda: loss_of(workload)(run.network(samples), targets))
    for problem in layers_that_will_not_train(run.network, run.rule, samples):
        _log.warning("%s: %s", workload.model, problem.removeprefix("network."))
