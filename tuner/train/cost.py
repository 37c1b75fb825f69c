"""What training takes on this machine, measured in a few seconds, for whoever plans a search."""

import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from tuner.bnn.data.dataset import load_data
from tuner.train.loop import train
from tuner.trial import EpochReport, TrialConfig
from tuner.workload import Workload

_STEPS = 20
"""An epoch longer than four times these is estimated from two short ones: it grows by steps."""

_EPOCHS = 4


@dataclass(frozen=True)
class Cost:
    """Seconds that a batch of trials takes: once, and for each epoch with its evaluation."""

    start_seconds: float
    epoch_seconds: float


def cost(workload: Workload, rule: str, n_trials: int, device: str) -> Cost:
    """Seconds that so many trials take together, from a short training at the rule's defaults.

    Args:
        workload: What would be trained.
        rule: The update rule.
        n_trials: How many trials train at once.
        device: A torch device.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    workload = replace(workload, real_epochs=0)
    data = load_data(workload)
    whole = len(data.train.labels)
    few = max(_STEPS * workload.batch_size, data.n_classes)
    more = 4 * few
    trials = [TrialConfig(rule, {}, seed) for seed in range(n_trials)]
    train(replace(workload, n_train=min(few, whole), epochs=1), trials, device=device)  # warm up
    if whole <= more:
        return _timed(workload, trials, device)
    short = _timed(replace(workload, n_train=few), trials, device)
    longer = _timed(replace(workload, n_train=more), trials, device)
    per_sample = max(0.0, longer.epoch_seconds - short.epoch_seconds) / (more - few)
    return Cost(longer.start_seconds, longer.epoch_seconds + per_sample * (whole - more))


def _timed(workload: Workload, trials: list[TrialConfig], device: str) -> Cost:
    """The mean of a few epochs after the first, if there are any, and what came before them."""
    began = time.perf_counter()
    ends: list[float] = []
    lasted: list[float] = []

    def note(report: EpochReport) -> Collection[int]:
        ends.append(time.perf_counter())
        lasted.append(sum(report.seconds))
        return ()

    train(replace(workload, epochs=_EPOCHS), trials, note, device=device)
    after_the_first = len(ends) - 1  # none where all diverged in it
    epoch = (ends[-1] - ends[0]) / after_the_first if after_the_first else lasted[0]
    return Cost(max(0.0, ends[0] - began - epoch), max(epoch, 0.0))
