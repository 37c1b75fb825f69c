"""Scores of K trials on a split: accuracy, or the metric that the workload names."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from math import isfinite, nan

import torch
from torch import Tensor, nn

from tuner.bnn.data.splits import Split
from tuner.bnn.losses import Metric, metric_of
from tuner.errors import InvalidInput
from tuner.named import setting_up
from tuner.train.batches import Batches
from tuner.workload import ACCURACY, Workload


@dataclass(frozen=True)
class Scored:
    """Scores of K trials.

    Args:
        values: One for each trial.
        right_KN: Whether each trial classified each sample rightly; ``None`` of another metric.
    """

    values: list[float]
    right_KN: Tensor | None = None


class Scores:
    """Scores the trials of a network.

    Args:
        workload: Names the metric.
        network: K networks in one; it may have fewer later.
        n_trials: K.
        batches: Of its data.

    Raises:
        InvalidInput: If the metric cannot be called, or is not finite where all outputs are zero.

    Attributes:
        chance: What a trial scores that diverged: the accuracy of guessing; of another metric the
            score of outputs that are all zero.
    """

    def __init__(
        self, workload: Workload, network: nn.Module, batches: Batches, *, n_trials: int
    ) -> None:
        self._network = network
        self._batches = batches
        self._metric = None if workload.metric == ACCURACY else metric_of(workload)
        self._where = f"workload.metric: {workload.metric}"
        self.chance = 1 / batches.data.n_classes
        if self._metric is not None:
            self.chance = self._of_zeros(self._metric, n_trials)

    def of(self, split: Split, healthy: Sequence[bool]) -> Scored:
        """The scores of the trials on a split, in its order.

        Args:
            split: Samples.
            healthy: Whether each trial's numbers are finite; the metric is not asked of others,
                whose scores are NaN.
        """
        if self._metric is None:
            right_KN = self._right(split, len(healthy))
            n = len(split.labels)
            return Scored([count / n for count in right_KN.sum(1).tolist()], right_KN)
        outputs = self._outputs(split, len(healthy))
        return Scored(
            [
                self._metric(of_one, split.labels) if ok else nan
                for of_one, ok in zip(outputs, healthy, strict=True)
            ]
        )

    @torch.no_grad()
    def _right(self, split: Split, n_trials: int) -> Tensor:
        """Whether each active trial classifies each sample of the split rightly, [K, N]."""
        self._network.eval()
        right = []
        with closing(self._batches.evaluation(split, n_trials)) as batches:
            for inputs, labels in batches:
                predicted = self._network(inputs).max(2).indices  # argmax is many times slower
                right.append(predicted == labels)
        return torch.cat(right, dim=1)

    @torch.no_grad()
    def _outputs(self, split: Split, n_trials: int) -> Tensor:
        """What each trial says of each sample, [K, N, ...]."""
        self._network.eval()
        with closing(self._batches.evaluation(split, n_trials)) as batches:
            parts = [self._network(inputs) for inputs, _ in batches]
        return torch.cat(parts, dim=1)

    def _of_zeros(self, metric: Metric, n_trials: int) -> float:
        """The metric of outputs that are all zero, which tries it out as well."""
        targets = self._batches.data.val.labels
        with torch.no_grad():
            self._network.eval()
            few = self._network(self._batches.few(n_trials))
        zeros = few.new_zeros((len(targets), *few.shape[2:]))
        score = setting_up(self._where, lambda: metric(zeros, targets))
        if not isfinite(score):
            raise InvalidInput(
                f"{self._where} is {score:g} for outputs that are all zero, which is what a trial "
                "scores that diverged; let it return a finite number there"
            )
        return score
