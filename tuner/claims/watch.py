"""Real trainings watched step by step: the sign of every binary weight after every step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tuner.claims.claim import OnProgress, part
from tuner.errors import TunerError
from tuner.train import TrialConfig, TrialResult, train, trials_per_batch
from tuner.train.run import Run
from tuner.train.threads import one_thread
from tuner.workload import Workload

Signs = NDArray[np.uint8]
"""Signs as bits, eight to a byte, along the last axis; [T, K, bytes] for all steps of a batch."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A batch of K trials, watched.

    Args:
        signs: Of all weights after every step, [T, K, bytes].
        n_weights: Binary weights of a trial.
        results: One per trial.
    """

    signs: Signs
    n_weights: int
    results: tuple[TrialResult, ...]

    def compared(self) -> int:
        """Signs of one trial, over all steps."""
        return len(self.signs) * self.n_weights

    def flips(self, trial: int) -> int:
        """Signs that changed from one step to the next, in one trial."""
        return differing(self.signs[1:, trial], self.signs[:-1, trial])

    def differ(self, first: int, second: int) -> int:
        """Signs in which two trials differ, over all steps."""
        return differing(self.signs[:, first], self.signs[:, second])


def differing(first: Signs, second: Signs) -> int:
    """How many signs differ."""
    return int(np.bitwise_count(first ^ second).sum(dtype=np.int64))


def pack(weights: Sequence[Tensor]) -> Signs:
    """The signs of K trials' weights, each [K, ...], as bits [K, bytes]."""
    negative = torch.cat([(weight < 0).flatten(1) for weight in weights], 1)
    packed: Signs = np.packbits(negative.numpy(), axis=1)
    return packed


def watch(
    workload: Workload,
    trials: Sequence[TrialConfig],
    progress: OnProgress,
    *,
    before: Callable[[Run], None] = lambda _: None,
    after_step: Callable[[Run], None] = lambda _: None,
) -> Watched:
    """Train one batch on the CPU and look at it after every step.

    Args:
        workload: Data, network and length.
        trials: Of one update rule, trained side by side.
        progress: Called with the share of the epochs.
        before: Called before the first step.
        after_step: Called after every step, the gradients still there.

    Raises:
        InvalidInput: If a setting is out of range.
        TunerError: If a trial diverges.
    """
    with one_thread():
        run = Run(workload, trials, torch.device("cpu"))
        before(run)
        seen: list[Signs] = []

        def look(*_: object) -> None:
            seen.append(pack(run.binary))
            after_step(run)

        run.adam.register_step_post_hook(look)  # the last thing that a step does
        for epoch in range(1, workload.epochs + 1):
            run.epoch(epoch)
            if run.diverged:
                settings = dict(trials[min(run.diverged)].settings)
                raise TunerError(f"a watched training diverged in epoch {epoch}: {settings}")
            progress(epoch / workload.epochs)
        n_weights = sum(weight[0].numel() for weight in run.binary)
        return Watched(np.stack(seen), n_weights, tuple(run.results(test=False)))


def train_all(
    workload: Workload, trials: Sequence[TrialConfig], progress: OnProgress
) -> list[TrialResult]:
    """Train any number of trials of one update rule on the CPU, a batch at a time."""
    size = trials_per_batch(workload, "cpu")
    batches = [trials[first : first + size] for first in range(0, len(trials), size)]
    results: list[TrialResult] = []
    for number, batch in enumerate(batches):
        mine = part(progress, number, len(batches))
        mine(0.0)
        results += train(workload, batch)
        mine(1.0)
    return results
