"""Jobs that train one network again and again: the plain loop's and ours, on the same data."""

import math
from abc import abstractmethod
from collections.abc import Collection
from dataclasses import replace

import torch

from tuner.bench.child import Job, Slice
from tuner.bench.plain import plain
from tuner.bnn.data.dataset import Dataset, load_data
from tuner.rules import Setting
from tuner.train import EpochReport, TrialConfig, train, trials_per_batch
from tuner.workload import Workload

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 1e-2, 0.9, 1e-4


def magnitude(workload: Workload) -> dict[str, Setting]:
    """The settings of our magnitude rule under which it is torch.optim.SGD on latent weights.

    torch draws a layer's first weights from +-1/sqrt(fan-in); ours from +-init_scale, here the
    same for an mlp whose hidden layers are equally wide.
    """
    return {
        "coupled": True,
        "learning_rate": LEARNING_RATE,
        "learning_rate_decay": "cosine",
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "init_scale": 1 / math.sqrt(workload.layer_widths[0]),
    }


class Training(Job):
    """Training of one network in each slice; the clock leaves validation out.

    Args:
        workload: What to train.
        seconds: How long a slice is to last, whatever epochs that takes; None for the
            workload's epochs.
    """

    def __init__(self, workload: Workload, *, seconds: float | None = None) -> None:
        self.workload = workload
        self.seconds = seconds
        self._epochs = workload.epochs

    def start(self) -> None:
        """Load the data and train one epoch."""
        torch.set_num_threads(1)
        self._load(load_data(self.workload))
        self.train(epochs=1, seed=0)

    def gauge(self) -> None:
        """Find out how many epochs make a slice."""
        if self.seconds is not None:
            self._epochs = max(1, round(self.seconds / self.train(epochs=1, seed=0).seconds))

    def run(self, number: int) -> Slice:
        """Train from this seed; see ``Job``."""
        return self.train(epochs=self._epochs, seed=number)

    @abstractmethod
    def _load(self, dataset: Dataset) -> None:
        """Keep what the training needs of the data."""

    @abstractmethod
    def train(self, *, epochs: int, seed: int) -> Slice:
        """Train a network for so many epochs."""


class PlainTraining(Training):
    """The baseline's training loop.

    Args:
        workload: See ``Training``.
        loader: ``Images``, decoded and transformed one by one, or ``tensors``, normalised before.
        seconds: See ``Training``.
    """

    def __init__(
        self, workload: Workload, *, loader: str = "tensors", seconds: float | None = None
    ) -> None:
        super().__init__(workload, seconds=seconds)
        self.loader = loader

    def _load(self, dataset: Dataset) -> None:
        make = getattr(plain(), self.loader)
        self._train_set, self._val_set = (
            make(split.images, split.labels, dataset.mean, dataset.std)
            for split in (dataset.train, dataset.val)
        )
        self._shape, self._n_classes = dataset.shape, dataset.n_classes

    def train(self, *, epochs: int, seed: int) -> Slice:
        """See ``Training``."""
        torch.manual_seed(seed)
        make = plain().MODELS[self.workload.model]
        curve = plain().train(
            make(self._shape, self._n_classes, self.workload.layer_widths),
            self._train_set,
            self._val_set,
            epochs=epochs,
            batch_size=self.workload.batch_size,
            learning_rate=LEARNING_RATE,
            momentum=MOMENTUM,
            weight_decay=WEIGHT_DECAY,
            real_learning_rate=self.workload.real_learning_rate,
        )
        samples = _per_epoch(self.workload, len(self._train_set)) * epochs
        seconds = sum(epoch.train_seconds for epoch in curve)
        return Slice(samples, seconds, accuracy=curve[-1].val_accuracy)


class OurTraining(Training):
    """``tuner.train.train`` with the magnitude rule, which does the same as the baseline.

    It trains as many trials at once as a worker would; the accuracy is the first one's.
    """

    def _load(self, dataset: Dataset) -> None:
        self._n_train = len(dataset.train)
        self._n_trials = trials_per_batch(self.workload, "cpu")

    def train(self, *, epochs: int, seed: int) -> Slice:
        """See ``Training``."""
        settings = magnitude(self.workload)
        seeds = range(seed * self._n_trials, (seed + 1) * self._n_trials)
        reports: list[EpochReport] = []

        def keep(report: EpochReport) -> Collection[int]:
            reports.append(report)
            return ()

        trials = [TrialConfig("latent_sgd", settings, seed) for seed in seeds]
        results = train(replace(self.workload, epochs=epochs), trials, keep)
        samples = _per_epoch(self.workload, self._n_train) * epochs * self._n_trials
        seconds = sum(sum(report.train_seconds) for report in reports)
        return Slice(samples, seconds, accuracy=results[0].val_accuracy)


def _per_epoch(workload: Workload, n_train: int) -> int:
    """Samples of an epoch; a last, smaller batch is left out."""
    return n_train // workload.batch_size * workload.batch_size
