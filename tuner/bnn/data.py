"""The data of a workload: three splits, one tensor each, kept as uint8."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tuner import config
from tuner.bnn.augment import augment
from tuner.bnn.image_folder import image_folder
from tuner.bnn.sources import cifar10, digits, fashion_mnist, mnist
from tuner.bnn.splits import Source, Split, share_of, stratified_split
from tuner.errors import InvalidInput
from tuner.workload import Workload

__all__ = ["Dataset", "Split", "augment", "load_data"]

SOURCES: dict[str, Callable[[Path], Source]] = {
    "digits": lambda _: digits(),
    "fashion_mnist": fashion_mnist,
    "mnist": mnist,
    "cifar10": cifar10,
    "folder": image_folder,
}
"""How each of ``tuner.workload.DATASETS`` is read from the data directory, or from its folder."""

CACHED_DATASETS = 4
"""Data sets that a process keeps in memory."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, split.

    Args:
        name: One of ``tuner.workload.DATASETS``.
        n_classes: Number of classes.
        train: What the weights are trained on.
        val: What settings are selected on.
        test: What is read once, at the end; the same for every split seed.
        mean: Mean of the train images scaled to [0, 1], per channel, float32 [C].
        std: Their standard deviation, float32 [C]; 1 where a channel is constant.
    """

    name: str
    n_classes: int
    train: Split
    val: Split
    test: Split
    mean: Tensor
    std: Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> "Dataset":
        """The same data on ``device``; nothing is copied if it is there already."""
        return Dataset(
            self.name,
            self.n_classes,
            self.train.to(device),
            self.val.to(device),
            self.test.to(device),
            self.mean.to(device),
            self.std.to(device),
        )


def load_data(workload: Workload, data_dir: Path | None = None) -> Dataset:
    """The workload's data; workloads that differ only in other fields share one copy.

    The validation split is stratified and depends on ``workload.split_seed`` alone;
    ``workload.n_train`` then keeps a stratified subset of what is left to train on.

    Args:
        workload: Names the data set, its folder, the split seed and the train subset.
        data_dir: Where data sets lie and are downloaded to; ``config.data_dir()`` if None.

    Raises:
        DataMissing: If the files are not on this machine and cannot be downloaded.
        InvalidInput: If a file is damaged, a folder's layout is wrong, or ``n_train`` does not
            fit the data.
    """
    where = Path(workload.folder) if workload.folder else data_dir or config.data_dir()
    where = where.expanduser().absolute()
    return _load(workload.dataset, where, workload.split_seed, workload.n_train)


@lru_cache(maxsize=CACHED_DATASETS)
def _load(name: str, where: Path, split_seed: int, n_train: int) -> Dataset:
    source = SOURCES[name](where)
    train, val = source.train, source.val
    if val is None:
        n_val = share_of(len(train), source.val_share)
        train, val = stratified_split(train, n_val, seed=split_seed)
    if n_train:
        if not source.n_classes <= n_train <= len(train):
            raise InvalidInput(
                f"workload.n_train: must be 0 for all, or one for each class to all of {name}'s "
                f"train split, {source.n_classes}..{len(train)}, got {n_train}"
            )
        train = stratified_split(train, n_train, seed=split_seed)[1]
    return Dataset(name, source.n_classes, train, val, source.test, *_mean_and_std(train.images))


def _mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of uint8 images [n, C, H, W] scaled to [0, 1].

    From each channel's histogram, in float64: exact, and without a float copy of the data.
    """
    histograms = [channel.flatten().bincount(minlength=256) for channel in images.unbind(1)]
    counts = torch.stack(histograms).double()
    shares = counts / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = shares @ values
    std = (shares * (values - mean[:, None]) ** 2).sum(1).sqrt()
    return mean.float(), torch.where(std > 0, std, 1.0).float()
