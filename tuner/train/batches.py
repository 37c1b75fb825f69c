"""The stream of training batches: every trial draws its own order and augmentation."""

from collections.abc import Generator, Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from tuner.bnn.data.ahead import ahead, in_turn
from tuner.bnn.data.dataset import Dataset, Split, augment
from tuner.bnn.data.streamed import Rows
from tuner.errors import InvalidInput
from tuner.train.recipe.teacher import Teacher
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
        teacher: Whoever says something of the training batches beside their labels.

    Raises:
        InvalidInput: If a batch is larger than the training split.
    """

    def __init__(
        self,
        data: Dataset,
        workload: Workload,
        *,
        dtype: torch.dtype,
        teacher: Teacher | None = None,
    ) -> None:
        self.data = data
        self._teacher = teacher
        self.workload = workload
        self._draws = workload.own_model or ":" in workload.loss
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

    def epoch(self, seeds: Sequence[int], epoch: int) -> Generator[tuple[Tensor, ...]]:
        """One pass over the training split; a last, smaller batch is left out.

        Args:
            seeds: The K trials' seeds.
            epoch: Which pass; it and the seed decide the order.

        Yields:
            Images [K, N, C, H, W] and labels [K, N], for N samples per trial; and the teacher's
            logits [K, N, O] of these images, where there is one.
        """
        train = self.data.train
        generators = [generator(seed, epoch) for seed in seeds]
        orders = [torch.randperm(len(train.labels), generator=g) for g in generators]
        order_Kn = torch.stack(orders)[:, : self.steps_per_epoch * self.batch_size]
        if not isinstance(train.images, Rows):
            order_Kn = order_Kn.to(train.labels.device)
        steps = torch.split(order_Kn, self.batch_size, dim=1)
        with closing(self._read(train.images, steps)) as read:
            for rows_KN, images in zip(steps, read, strict=True):
                if self.workload.augment != "none":
                    images = augment(images, self.workload.augment, *generators)
                labels_KN = train.labels[rows_KN.to(train.labels.device)]
                said = () if self._teacher is None else (self._teacher(images),)
                yield self._prepare(images), labels_KN, *said

    def evaluation(self, split: Split, n_trials: int) -> Generator[tuple[Tensor, Tensor]]:
        """The split in order, the same images for all trials: [K, n, C, H, W] and labels [n].

        At least as many at once as a training step has, which takes more memory.
        """
        size = max(self.batch_size, 512 // n_trials)
        parts = [slice(start, start + size) for start in range(0, len(split.labels), size)]
        with closing(self._read(split.images, parts)) as read:
            for part, samples in zip(parts, read, strict=True):
                images = self._prepare(samples)
                yield images.expand(n_trials, *images.shape), split.labels[part]

    def few(self, n_trials: int) -> Tensor:
        """Some samples of the training split, as the network takes them: [K, n, ...]."""
        samples = self._prepare(self.data.train.images[:2])
        return samples.expand(n_trials, *samples.shape)

    def _read(
        self, images: Tensor | Rows, parts: Sequence[Tensor] | Sequence[slice]
    ) -> Generator[Tensor]:
        """Those parts of the samples; where they have to be read first, the next one meanwhile.

        Not where reading draws as the training may: which of them drew first would be chance.
        """
        if isinstance(images, Rows):
            apart = images.apart and not (images.draws and self._draws)
            way = ahead if apart else in_turn
            with closing(way(lambda number: images.fetch(parts[number]), len(parts))) as fetched:
                for samples in fetched:
                    yield samples.to(images.device)
            return
        for part in parts:
            yield images[part] if isinstance(part, slice) else _rows(images, part)

    def _prepare(self, images: Tensor) -> Tensor:
        """uint8 [..., C, H, W] to normalised numbers; other samples as they are, copied.

        A network of the user's own takes whole numbers as such: they may be places in a table.
        """
        if self.data.scaled:
            return images.to(self.dtype).mul_(self.scale).add_(self.shift)
        return images.clone() if self._kept else images.to(self.dtype, copy=True)


def _rows(images: Tensor, rows_KN: Tensor) -> Tensor:
    """``images[rows_KN]``; torch copies whole rows nine times as fast as it indexes."""
    chosen = images.flatten(1).index_select(0, rows_KN.flatten())
    return chosen.view(*rows_KN.shape, *images.shape[1:])
