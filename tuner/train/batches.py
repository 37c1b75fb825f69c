"""The stream of training batches: every trial draws its own order and augmentation."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from tuner.bnn.data.dataset import Dataset, Split, augment
from tuner.bnn.data.streamed import Rows
from tuner.errors import InvalidInput
from tuner.workload import Workload


def generator(seed: int, *path: int) -> torch.Generator:
    """A generator of its own for each seed and path (say, an epoch), the same on every machine."""
    words = np.random.SeedSequence([seed, *path]).generate_state(2)
    return torch.Generator().manual_seed(int(words[0]) << 31 ^ int(words[1]))


class Batches:
    """Training batches and evaluation images for K trials, as the network takes them.

    Args:
        data: The data set, on the device of the training.
        workload: Gives batch size and augmentation.
        dtype: Type of the images the network takes.

    Raises:
        InvalidInput: If a batch is larger than the training split.
    """

    def __init__(self, data: Dataset, workload: Workload, *, dtype: torch.dtype) -> None:
        self.data = data
        self.workload = workload
        self.dtype = dtype
        n_train = len(data.train.labels)
        if workload.batch_size > n_train:
            raise InvalidInput(
                f"workload.batch_size: must be at most the {n_train} training samples of "
                f"{data.name}, got {workload.batch_size}"
            )
        self.batch_size = workload.batch_size
        self.steps_per_epoch = n_train // self.batch_size
        if workload.augment != "none" and len(data.shape) != 3:
            raise InvalidInput(
                f"workload.augment: is for images (channels, height, width), {data.name} has "
                f"samples of shape {list(data.shape)}; drop it"
            )
        if not data.scaled:  # as the user's function gave them
            whole = not data.train.images.is_floating_point()
            self._kept = workload.own_model and whole and data.train.images.dtype != torch.bool
            return
        # A pixel that is always black must reach a binary layer as exactly 0: its gradient is 0 in
        # truth, and a rule that looks at signs would flip its weights on rounding noise.
        mean = torch.zeros_like(data.mean) if workload.binary_ends else data.mean
        ones = (1,) * (len(data.shape) - 1)
        self.scale = (1 / (255 * data.std)).view(-1, *ones).to(dtype)
        self.shift = (-mean / data.std).view(-1, *ones).to(dtype)

    def epoch(self, seeds: Sequence[int], epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One pass over the training split; a last, smaller batch is left out.

        Args:
            seeds: The K trials' seeds.
            epoch: Which pass; it and the seed decide the order.

        Yields:
            Images [K, N, C, H, W] and labels [K, N], for N samples per trial.
        """
        train = self.data.train
        generators = [generator(seed, epoch) for seed in seeds]
        orders = [torch.randperm(len(train.labels), generator=g) for g in generators]
        order_Kn = torch.stack(orders).to(train.labels.device)
        for step in range(self.steps_per_epoch):
            rows_KN = order_Kn[:, step * self.batch_size : (step + 1) * self.batch_size]
            images = _rows(train.images, rows_KN)
            if self.workload.augment != "none":
                images = augment(images, self.workload.augment, *generators)
            yield self._prepare(images), train.labels[rows_KN]

    def evaluation(self, split: Split, n_trials: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The split in order, the same images for all trials: [K, n, C, H, W] and labels [n].

        At least as many at once as a training step has, which takes more memory.
        """
        size = max(self.batch_size, 512 // n_trials)
        for start in range(0, len(split.labels), size):
            images = self._prepare(split.images[start : start + size])
            yield images.expand(n_trials, *images.shape), split.labels[start : start + size]

    def few(self, n_trials: int) -> Tensor:
        """Some samples of the training split, as the network takes them: [K, n, ...]."""
        samples = self._prepare(self.data.train.images[:2])
        return samples.expand(n_trials, *samples.shape)

    def _prepare(self, images: Tensor) -> Tensor:
        """uint8 [..., C, H, W] to normalised numbers; other samples as they are, copied.

        A network of the user's own takes whole numbers as such: they may be places in a table.
        """
        if self.data.scaled:
            return images.to(self.dtype).mul_(self.scale).add_(self.shift)
        return images.clone() if self._kept else images.to(self.dtype, copy=True)


def _rows(images: Tensor | Rows, rows_KN: Tensor) -> Tensor:
    """``images[rows_KN]``; torch copies whole rows nine times as fast as it indexes."""
    if isinstance(images, Rows):
        return images[rows_KN]
    chosen = images.flatten(1).index_select(0, rows_KN.flatten())
    return chosen.view(*rows_KN.shape, *images.shape[1:])
