"""A data set of the user's own: from what a function returns to splits of tensors."""

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from tuner.bnn.data.splits import Source, Split
from tuner.bnn.data.streamed import Rows, Streamed, tried
from tuner.errors import InvalidInput
from tuner.named import arguments, function, setting_up
from tuner.workload import ACCURACY, Workload

Targets = Literal["classes", "numbers", "either"]
"""What targets must be: whole numbers from 0 that name classes, numbers of any kind, or whichever
of the two they are."""

VAL_SHARE = 0.15
_NAMES = {2: ("train", "test"), 3: ("train", "validation", "test")}
_RETURNS = (
    "it must return (train, test) or (train, validation, test), each a pair (inputs, labels) of "
    "tensors or arrays, or a torch data set of such pairs"
)


def _as_type(images: Tensor | Rows, dtype: torch.dtype) -> Tensor | Rows:
    """The samples as floating point numbers of that type."""
    if not isinstance(images, Rows):
        return images.to(dtype)
    read = images.read
    return replace(
        images, read=lambda numbers: read(numbers).to(dtype), sample=images.sample.to(dtype)
    )


def targets_of(workload: Workload) -> Targets:
    """What the workload's loss and metric take."""
    if workload.loss == "cross_entropy" or workload.metric == ACCURACY:
        return "classes"
    return "numbers" if workload.loss == "mse" else "either"


def own_data(workload: Workload, *, targets: Targets) -> Source:
    """What the function returns that the workload names as its data set.

    Samples may have any shape and type. Those of uint8 are scaled to mean 0 and standard deviation
    1 per channel, as images are; others are taken as they are. A torch data set is read through
    once: its random transformations are drawn once, and it has to fit into memory. Without a
    validation split 15% of train are left to validate on.

    Args:
        workload: Names the function.
        targets: What its targets must be.

    Raises:
        InvalidInput: If the function cannot be called, raises, or returns something else.
    """
    where = f"workload.dataset: {workload.dataset}"
    load = function(workload, "dataset")

    def read() -> list[Split]:
        returned = load(**arguments(workload, "dataset", load))
        if not isinstance(returned, tuple | list) or len(returned) not in _NAMES:
            raise InvalidInput(f"{where} returned {_kind(returned)}; {_RETURNS}")
        names = _NAMES[len(returned)]
        return [_split(p, f"{where}, {n}") for n, p in zip(names, returned, strict=True)]

    splits = setting_up(where, read)
    if all(split.images.is_floating_point() for split in splits):
        finest = reduce(torch.promote_types, (split.images.dtype for split in splits))
        splits = [Split(_as_type(split.images, finest), split.labels) for split in splits]
    train, *validation, test = splits
    classes = targets == "classes" or (targets == "either" and _may_be_classes(train.labels))
    n_classes = _n_classes(where, splits) if classes else prod(train.labels.shape[1:])
    for name, split in zip(_NAMES[len(splits)], splits, strict=True):
        if _kind_of(split) != _kind_of(train):
            raise InvalidInput(
                f"{where}: all samples must have one shape and type, those of train are "
                f"{_kind_of(train)}, those of {name} {_kind_of(split)}"
            )
        if split.labels.shape[1:] != train.labels.shape[1:]:
            raise InvalidInput(
                f"{where}: all targets must have one shape, those of train are "
                f"{list(train.labels.shape[1:])}, those of {name} {list(split.labels.shape[1:])}"
            )
    if classes:
        splits = [Split(split.images, split.labels.long()) for split in splits]
        train, *validation, test = splits
    val = validation[0] if validation else None
    notes = _notes(workload.dataset, splits)
    return Source(train, test, n_classes, val, VAL_SHARE, notes, classes)


def _notes(name: str, splits: Sequence[Split]) -> tuple[str, ...]:
    if not any(isinstance(split.images, Rows) for split in splits):
        return ()
    return (
        f"{name}: samples are read whenever they are needed, so nobody looked if test samples "
        "are among those trained on",
    )


def _may_be_classes(labels: Tensor) -> bool:
    """Whether they count from 0 and leave no number out."""
    if not _whole_from_0(labels):
        return False
    counts = labels.long().bincount()
    return len(counts) > 1 and bool(counts.all())


def _whole_from_0(labels: Tensor) -> bool:
    return labels.dim() == 1 and not labels.is_floating_point() and bool(labels.long().min() >= 0)


def _n_classes(where: str, splits: Sequence[Split]) -> int:
    """How many classes train has; each number up to the greatest must be one."""
    names = _NAMES[len(splits)]
    for name, split in zip(names, splits, strict=True):
        if not _whole_from_0(split.labels):
            raise InvalidInput(
                f"{where}, {name}: labels must be whole numbers from 0, the samples' classes, got "
                f"{split.labels.dtype} of shape {list(split.labels.shape)}, the first one "
                f"{split.labels.flatten()[0].item()}; for other targets declare workload.loss and "
                'workload.metric, such as loss = "mse" and metric = "loss"'
            )
    train = splits[0]
    counts = train.labels.long().bincount()
    if len(counts) < 2 or not counts.all():
        missing = next((i for i, n in enumerate(counts.tolist()) if not n), len(counts))
        raise InvalidInput(
            f"{where}, train: labels must count from 0 and name two classes or more, each with a "
            f"sample to train on; class {missing} has none"
        )
    for name, split in zip(names, splits, strict=True):
        if split.labels.max() >= len(counts):
            raise InvalidInput(
                f"{where}, {name}: label {int(split.labels.max())} does not occur in train, whose "
                f"labels are 0 .. {len(counts) - 1}"
            )
    return len(counts)


def _split(part: Any, where: str) -> Split:  # Any: whatever the function returned
    """One split, checked."""
    if _is_mapped(part):
        part = Streamed(part)
    if isinstance(part, Streamed):
        return _streamed(part.part, where)
    if isinstance(part, TensorDataset) and len(part.tensors) == 2:
        inputs, labels = part.tensors
    elif isinstance(part, Dataset):
        inputs, labels = _read_through(part, where)
    elif isinstance(part, tuple | list) and len(part) == 2:
        inputs, labels = (_tensor(numbers, where) for numbers in part)
    else:
        raise InvalidInput(f"{where}: is {_kind(part)}; {_RETURNS}")
    return _checked(inputs.detach().cpu(), labels.detach().cpu(), where)


def _checked(inputs: Tensor, labels: Tensor, where: str) -> Split:
    """Samples as a split, if they can be one."""
    if inputs.dim() < 2:
        raise InvalidInput(
            f"{where}: inputs must have shape [samples, ...], got {list(inputs.shape)}; a sample "
            "of one number has shape [1]"
        )
    if labels.shape[:1] != inputs.shape[:1] or not labels.numel():
        raise InvalidInput(
            f"{where}: needs one label for each sample, got inputs of shape "
            f"{list(inputs.shape)} and labels of shape {list(labels.shape)}"
        )
    _check_numbers("inputs", inputs, where)
    _check_numbers("labels", labels, where)
    return Split(inputs.contiguous(), labels.contiguous())


def _is_mapped(part: Any) -> bool:  # Any: whatever the function returned
    """Whether it is a pair of which the inputs are a memory-mapped array."""
    return isinstance(part, tuple | list) and len(part) == 2 and isinstance(part[0], np.memmap)


def _streamed(part: Any, where: str) -> Split:  # Any: whatever the user's function marked
    """A split whose samples are read when they are needed; some of them are checked now."""
    if isinstance(part, tuple | list) and len(part) == 2 and hasattr(part[0], "shape"):
        inputs, labels = part[0], _tensor(part[1], where)

        def read(numbers: Sequence[int]) -> Tensor:
            return _tensor(inputs[list(numbers)], where)

    elif isinstance(part, Dataset) and isinstance(part, Sized):
        labels = _labels_of(part, where)

        def read(numbers: Sequence[int]) -> Tensor:
            return torch.stack([_pair(part, number, where)[0] for number in numbers])

    else:
        raise InvalidInput(
            f"{where}: {_kind(part)} cannot be streamed; it takes a torch data set with a length "
            "(__len__ and __getitem__), or a pair (inputs, labels) of arrays"
        )
    if not len(labels):
        raise InvalidInput(f"{where}: must hold samples, is empty")
    n = len(part if isinstance(part, Sized) and isinstance(part, Dataset) else part[0])
    rows, some = tried(Rows(read, torch.arange(n), read([0])[0]))
    _checked(some, labels[: len(some)] if len(labels) == n else labels, where)
    _check_numbers("labels", labels, where)
    return Split(rows, labels.contiguous())


def _check_numbers(what: str, numbers: Tensor, where: str) -> None:
    if numbers.is_complex():
        raise InvalidInput(f"{where}: {what} must be real numbers, got {numbers.dtype}")
    if numbers.is_floating_point() and not torch.isfinite(numbers).all():
        raise InvalidInput(f"{where}: {what} hold NaN or infinity; replace or leave them out")


def _pair(dataset: Any, number: int, where: str) -> tuple[Tensor, Tensor]:  # Any: the user's
    item = dataset[number]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise InvalidInput(
            f"{where}: sample {number} is {_kind(item)}; it must be a pair (input, label)"
        )
    return _tensor(item[0], where), _tensor(item[1], where)


def _labels_of(dataset: Any, where: str) -> Tensor:  # Any: the user's
    """A data set's labels: its ``targets``, or those of its samples, each read once."""
    targets = getattr(dataset, "targets", None)
    if targets is not None and len(targets) == len(dataset):
        return _tensor(targets, where)
    return torch.stack([_pair(dataset, number, where)[1] for number in range(len(dataset))])


def _read_through(dataset: Any, where: str) -> tuple[Tensor, Tensor]:  # Any: of any samples
    """All samples of a torch data set."""
    samples: list[Tensor] = []
    labels: list[Tensor] = []
    for number, item in enumerate(_items(dataset, where)):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InvalidInput(
                f"{where}: sample {number} is {_kind(item)}; it must be a pair (input, label)"
            )
        sample, label = (_tensor(numbers, where) for numbers in item)
        if samples and sample.shape != samples[0].shape:
            raise InvalidInput(
                f"{where}: all samples must have one shape, sample 0 has "
                f"{list(samples[0].shape)}, sample {number} {list(sample.shape)}"
            )
        if labels and label.shape != labels[0].shape:
            raise InvalidInput(
                f"{where}: all labels must have one shape, that of sample 0 has "
                f"{list(labels[0].shape)}, that of sample {number} {list(label.shape)}"
            )
        samples.append(sample)
        labels.append(label)
    if not samples:
        raise InvalidInput(f"{where}: must hold samples, is empty")
    return torch.stack(samples), torch.stack(labels)


def _items(dataset: Any, where: str) -> Iterator[Any]:  # Any: whatever the data set holds
    if isinstance(dataset, IterableDataset):
        everything: Iterable[Any] = dataset
        yield from everything
        return
    if not isinstance(dataset, Sized):
        raise InvalidInput(f"{where}: {_kind(dataset)} must have a length (__len__)")
    for index in range(len(dataset)):
        yield dataset[index]  # type: ignore[index]  # torch's Dataset has it


def _tensor(numbers: Any, where: str) -> Tensor:  # Any: whatever the function returned
    """Numbers as a tensor; of an image [channels, height, width]."""
    if isinstance(numbers, Tensor):
        return numbers
    if hasattr(numbers, "getbands"):  # an image of Pillow's
        pixels = np.asarray(numbers)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        return torch.from_numpy(np.require(pixels, requirements=("C", "W")))
    try:
        array = np.asarray(numbers)
        if array.dtype in (np.uint16, np.uint32, np.uint64):  # torch computes with few of these
            array = array.astype(np.int64)
        return torch.from_numpy(np.require(array, requirements=("C", "W")))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{where}: {_kind(numbers)} is not made of numbers") from error


def _kind_of(split: Split) -> str:
    return f"{list(split.images.shape[1:])}, {split.images.dtype}"


def _kind(value: object) -> str:
    """What kind of thing it is, in words."""
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else f"of type {type(value).__name__}"
