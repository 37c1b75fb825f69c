"""The data of a workload: three splits, one tensor each; images are kept as uint8."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from tuner import config
from tuner.bnn.data.augment import augment
from tuner.bnn.data.folder_layout import stamp
from tuner.bnn.data.image_folder import image_folder
from tuner.bnn.data.looks import digest, mean_and_std
from tuner.bnn.data.own_data import Targets, own_data, targets_of
from tuner.bnn.data.sources import cifar10, digits, fashion_mnist, mnist
from tuner.bnn.data.splits import Source, Split, share_of, stratified_split
from tuner.bnn.data.streamed import Rows
from tuner.errors import InvalidInput
from tuner.named import code_version
from tuner.trial import DataCounts
from tuner.workload import Workload

__all__ = ["Dataset", "Split", "augment", "load_data"]

SOURCES: dict[str, Callable[[Path, int], Source]] = {
    "digits": lambda _, __: digits(),
    "fashion_mnist": lambda where, _: fashion_mnist(where),
    "mnist": lambda where, _: mnist(where),
    "cifar10": lambda where, _: cifar10(where),
    "folder": image_folder,
}
"""How each of ``tuner.workload.DATASETS`` is read: from the data directory, or from its folder in
images of a given size."""

CACHED_DATASETS = 4
"""Data sets that a process keeps in memory."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, split.

    Args:
        name: One of ``tuner.workload.DATASETS``, or the user's function.
        n_classes: Number of classes; of targets that are none, of the numbers of one target.
        train: What the weights are trained on.
        val: What settings are selected on.
        test: What is read once, at the end; the same for every split seed.
        mean: Mean of the train images scaled to [0, 1], per channel, float32 [C]; empty where
            samples are not uint8: those are taken as they are.
        std: Their standard deviation, float32 [C]; 1 where a channel is constant.
        notes: What was passed over, and whatever else whoever trains on it should know.
        classes: Whether targets are classes.
    """

    name: str
    n_classes: int
    train: Split
    val: Split
    test: Split
    mean: Tensor
    std: Tensor
    notes: tuple[str, ...] = ()
    classes: bool = True

    @property
    def known_classes(self) -> int | None:
        """How many classes there are; ``None`` where targets are none."""
        return self.n_classes if self.classes else None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: channels, height and width of an image."""
        return tuple(self.train.images.shape[1:])

    @property
    def scaled(self) -> bool:
        """Whether samples are scaled by mean and standard deviation: bytes are."""
        return self.train.images.dtype == torch.uint8

    @property
    def streamed(self) -> bool:
        """Whether samples are read whenever they are needed."""
        return any(isinstance(s.images, Rows) for s in (self.train, self.val, self.test))

    @property
    def unseen(self) -> bool:
        """Whether there are samples that nobody has looked at yet."""
        images = (self.train.images, self.val.images, self.test.images)
        return any(isinstance(each, Rows) and each.looks is None for each in images)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of shape, labels and statistics; of all samples where they are the user's.

        Of some, where not all were seen.
        """
        splits = (self.train, self.val, self.test)
        known = hashlib.sha256(repr((self.shape, [len(split) for split in splits])).encode())
        for numbers in (*(split.labels for split in splits), self.mean, self.std):
            known.update(numbers.numpy().tobytes())
        if self.name == "folder" or ":" in self.name:
            for split in splits:
                known.update(b"".join(_digests(split.images)))
        return known.hexdigest()

    @cached_property
    def counts(self) -> DataCounts:
        """How many classes and samples, and how many of the test split are not new."""
        new = () if self.unseen else _digests(self.test.images)
        splits = (self.train, self.val) if new else ()
        seen = {sample for split in splits for sample in _digests(split.images)}
        return DataCounts(
            classes=self.n_classes if self.classes else 0,
            train=len(self.train),
            validation=len(self.val),
            test=len(self.test),
            test_in_train=sum(sample in seen for sample in new),
            digest=self.digest[:16],
        )

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
            self.notes,
            self.classes,
        )


def load_data(workload: Workload, data_dir: Path | None = None) -> Dataset:
    """The workload's data; workloads that differ only in other fields share one copy.

    The validation split is stratified and depends on ``workload.split_seed`` alone;
    ``workload.n_train`` then keeps a stratified subset of what is left to train on. A folder is
    read again if a file in it was changed.

    Args:
        workload: Names the data set, its folder, the split seed and the train subset.
        data_dir: Where data sets lie and are downloaded to; ``config.data_dir()`` if None.

    Raises:
        DataMissing: If the files are not on this machine and cannot be downloaded.
        InvalidInput: If a file is damaged, a folder's layout is wrong, the user's function raises
            or returns no data, or ``n_train`` does not fit the data.
    """
    return _load(_place(workload, data_dir), workload.split_seed, workload.n_train)


@dataclass(frozen=True)
class _Place:
    """Where data come from.

    Args:
        name: As ``Workload.dataset``.
        where: The data directory, or the folder.
        size: As ``Workload.size``.
        options: Those of the user's function, as JSON.
        version: Of the user's code, or of the folder's files.
        targets: What they must be.
    """

    name: str
    where: Path
    size: int = 0
    options: str = "{}"
    version: str = ""
    targets: Targets = "classes"


def _place(workload: Workload, data_dir: Path | None) -> _Place:
    name, where = workload.dataset, (data_dir or config.data_dir()).expanduser().absolute()
    if workload.own_dataset:
        options = json.dumps(dict(workload.dataset_options))
        return _Place(name, where, 0, options, code_version(workload), targets_of(workload))
    if workload.folder:
        where = config.image_folder_at(workload.folder, config.folder_root())
        return _Place(name, where, size=workload.size, version=stamp(where))
    return _Place(name, where)


@lru_cache(maxsize=CACHED_DATASETS)
def _load(place: _Place, split_seed: int, n_train: int) -> Dataset:
    source = _of_the_user(place) if ":" in place.name else _source(place)
    train, val = source.train, source.val
    if val is None:
        n_val = share_of(len(train), source.val_share)
        train, val = stratified_split(train, n_val, seed=split_seed)
    if n_train:
        if not source.n_classes <= n_train <= len(train):
            raise InvalidInput(
                f"workload.n_train: must be 0 for all, or one for each class to all of "
                f"{place.name}'s train split, {source.n_classes}..{len(train)}, got {n_train}"
            )
        train = stratified_split(train, n_train, seed=split_seed)[1]
    return Dataset(
        place.name,
        source.n_classes,
        train,
        val,
        source.test,
        *_scale(train.images),
        source.notes,
        source.classes,
    )


def _source(place: _Place) -> Source:
    return SOURCES[place.name](place.where, place.size)


@lru_cache(maxsize=1)
def _of_the_user(place: _Place) -> Source:
    """What the user's function returns; kept, for its splits are made anew for every seed."""
    workload = Workload(dataset=place.name, dataset_options=json.loads(place.options))
    return own_data(workload, targets=place.targets)


def _in_memory(images: Tensor | Rows) -> Tensor:
    """The samples, or some of them where not all can be held."""
    return images.probe() if isinstance(images, Rows) else images


def _digests(images: Tensor | Rows) -> list[bytes]:
    """Of each sample; of some where not all were seen."""
    if isinstance(images, Rows) and images.looks is not None:
        return [images.looks.digests[number] for number in images.numbers.tolist()]
    samples = _in_memory(images).contiguous().flatten(1).view(torch.uint8).numpy()
    return [digest(sample) for sample in samples]


def _scale(images: Tensor | Rows) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation; of some samples where not all were seen."""
    if isinstance(images, Rows) and images.looks is not None:
        return images.looks.mean_and_std(images.numbers, images.sample.shape)
    return mean_and_std(_in_memory(images))
