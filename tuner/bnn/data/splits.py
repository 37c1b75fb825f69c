"""Labelled samples, mostly images, and stratified ways to part them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tuner.bnn.data.streamed import Rows

TEST_SEED = 0
"""Seed of every test split that is ours to make; no setting changes it."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images and their classes.

    Args:
        images: uint8 in 0..255, shape [n, C, H, W]; samples of the user's own may be of any type
            and of any shape [n, ...], and read whenever they are needed.
        labels: int64 class numbers from 0, shape [n]; or other targets of any type, [n, ...].
    """

    images: Tensor | Rows
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Tensor) -> "Split":
        """The samples at ``indices`` [m], copied if they are in memory."""
        images = self.images
        taken = images.take(indices) if isinstance(images, Rows) else images[indices]
        return Split(taken, self.labels[indices])

    def to(self, device: torch.device | str) -> "Split":
        """The same samples on ``device``."""
        return Split(self.images.to(device), self.labels.to(device))


def stratified_split(split: Split, n_second: int, *, seed: int) -> tuple[Split, Split]:
    """The samples in two parts, the second of exactly ``n_second``, with equal class shares.

    Systematic sampling: the samples are shuffled, ordered by class, and every (n / n_second)-th
    goes to the second part; so each class gives its share, rounded down or up. Where
    targets are no whole numbers, those that go are drawn at random.

    Args:
        split: What to part; both parts keep its order.
        n_second: Size of the second part, in 1..n.
        seed: The same seed gives the same parts.
    """
    n = len(split)
    shuffled = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    numbers = split.labels.dim() > 1 or split.labels.is_floating_point()
    by_class = (
        shuffled if numbers else shuffled[torch.argsort(split.labels[shuffled], stable=True)]
    )
    evenly_spaced = (2 * torch.arange(n_second) + 1) * n // (2 * n_second)
    in_second = torch.zeros(n, dtype=torch.bool)
    in_second[by_class[evenly_spaced]] = True
    return split.take((~in_second).nonzero()[:, 0]), split.take(in_second.nonzero()[:, 0])


def share_of(n: int, share: float) -> int:
    """The number of samples that ``share`` of ``n`` means, at least one."""
    return max(1, round(n * share))


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it comes: its test split is fixed, its validation split may be left to us.

    Args:
        train: Samples to train on; also those to validate on where ``val`` is None.
        test: Samples read once, at the end; the same for every split seed.
        n_classes: Number of classes; of targets that are none, of the numbers of one target.
        val: The data set's own validation split, if it has one.
        val_share: Share of ``train`` to validate on where ``val`` is None, in (0, 1).
        notes: What was passed over, and whatever else whoever trains on it should know.
        classes: Whether targets are classes.
    """

    train: Split
    test: Split
    n_classes: int
    val: Split | None
    val_share: float
    notes: tuple[str, ...] = ()
    classes: bool = True
