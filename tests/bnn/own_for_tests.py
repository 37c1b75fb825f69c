"""Networks and data of a user's, good and bad."""

# ruff: noqa: ARG001, T201

import os
import sqlite3
import sys
import tempfile
import threading
import time
from math import prod
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from tuner.bnn import binary, sign_ste, streamed
from tuner.bnn.layers import Linear, NormSign


class Sign(nn.Module):
    """Signs, straight through."""

    def forward(self, x):
        return sign_ste(x)


def make(shape, n_classes, width=16, dropout=0.0, cast=None):
    """An ordinary network."""
    return nn.Sequential(
        *(nn.Flatten(), nn.Linear(prod(shape), width), nn.BatchNorm1d(width), Sign()),
        *(nn.Dropout(dropout), binary(nn.Linear(width, width, bias=False))),
        *(nn.BatchNorm1d(width), Sign(), nn.Linear(width, n_classes)),
    )


def lazy(shape, n_classes):
    """Layers that take their shapes from the first batch."""
    hidden = binary(nn.Linear(16, 16, bias=False))
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(16), Sign(), hidden, nn.LazyLinear(n_classes))


def all_binary(shape, n_classes):
    """No real parameter, and one that is not trained."""
    return nn.Sequential(nn.Flatten(), binary(nn.Linear(prod(shape), n_classes, bias=False)))


class SideBySide(nn.Module):
    """K networks as one."""

    def __init__(self, k, n_in, width, n_classes):
        super().__init__()
        self.first = Linear(k, n_in, width, binary=False)
        self.norm = NormSign(k, width)
        self.hidden = Linear(k, width, width, binary=True)
        self.norm2 = NormSign(k, width)
        self.last = Linear(k, width, n_classes, binary=False, last=True)

    def forward(self, x):
        x = self.norm(self.first(x.flatten(2)))
        return self.last(self.norm2(self.hidden(x)))


def side_by_side(shape, n_classes, n_trials, width=16):
    """A network with a trial axis."""
    return SideBySide(n_trials, prod(shape), width, n_classes)


def one_of_torch(shape, n_classes, n_trials):
    """Says that it has a trial axis, and holds a layer that has none."""
    network = side_by_side(shape, n_classes, n_trials)
    network.extra = nn.Linear(2, 2)
    return network


def one_trial_only(shape, n_classes, n_trials):
    """Passes the number of trials by."""
    return side_by_side(shape, n_classes, 1)


def no_binary(shape, n_classes):
    """Forgets to mark a layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), n_classes))


def no_module(shape, n_classes):
    """Returns something else."""
    return 3


def raises(shape, n_classes):
    """Raises."""
    return {}["width"]


def exits(shape, n_classes):
    """Ends the program."""
    sys.exit("no more")


def of_images(shape, n_classes):
    """Takes eight numbers, whatever the data are."""
    return binary(nn.Linear(8, n_classes, bias=False))


def two_outputs(shape, n_classes):
    """Returns logits of too many classes."""
    return make(shape, n_classes + 1)


class Pair(nn.Linear):
    """Returns features beside the logits."""

    def forward(self, x):
        return super().forward(x.flatten(1)), x


def pair(shape, n_classes):
    """A network of two outputs."""
    return binary(Pair(prod(shape), n_classes, bias=False))


def shared_clip(shape, n_classes):
    """Clips its weight in forward, which passes no gradient at +-1."""

    class Clipped(nn.Linear):
        def forward(self, x):
            return x.flatten(1) @ torch.clamp(self.weight, -1, 1).T

    return binary(Clipped(prod(shape), n_classes, bias=False))


class Fails(nn.Module):
    """Fails in training, not when it is tried out."""

    def __init__(self, shape, n_classes, how):
        super().__init__()
        self.network = make(shape, n_classes)
        self.how = how

    def forward(self, x):
        if self.training:
            print("one line of mine")
            if self.how == "exits":
                sys.exit(3)
            if self.how == "raises":
                raise ValueError("my own trouble")
        return self.network(x)


def fails(shape, n_classes, how="raises"):
    """A network that fails in training."""
    return Fails(shape, n_classes, how)


def looks_up(shape, n_classes):
    """Takes whole numbers as places in a table."""
    return nn.Sequential(
        nn.Embedding(7, 8), nn.Flatten(), binary(nn.Linear(8 * shape[0], n_classes, bias=False))
    )


def points(n=120, seed=0, dtype=torch.float32, shape=(4,), classes=3):
    """Samples whose class shows in their first number."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=generator)
    labels = torch.arange(n) % classes
    x.flatten(1)[:, 0] += 3 * labels
    return x.to(dtype), labels


def two(n=120):
    """Train and test, as tensors."""
    return points(n), points(n // 4, seed=1)


def three(n=120):
    """Validation too."""
    return points(n), points(n // 4, seed=1), points(n // 2, seed=2)


class Listed(Dataset):
    """A torch data set that is read item by item."""

    def __init__(self, n):
        self.x, self.y = points(n)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, index):
        return self.x[index].numpy().astype(np.float64), int(self.y[index])


class Streamed(IterableDataset):
    """A torch data set without a length."""

    def __iter__(self):
        yield from zip(*points(30, seed=1), strict=True)


def data_sets():
    """All kinds of torch data sets."""
    return Listed(60), TensorDataset(*points(30, seed=2)), Streamed()


def arrays():
    """Images as numpy arrays of bytes."""
    x, y = points(120, shape=(1, 5, 6))
    pixels = (x * 20 + 100).clamp(0, 255).to(torch.uint8).numpy()
    return (pixels[:90], y[:90].numpy()), (pixels[90:], y[90:].numpy())


def places():
    """Whole numbers from 0 to 6."""
    x, y = points()
    whole = (x.abs() * 2).long().clamp(0, 6)
    return (whole[:90], y[:90]), (whole[90:], y[90:])


def copies():
    """A test set of which ten samples are trained on."""
    x, y = points()
    return (x[:90], y[:90]), (x[80:], y[80:])


def bad(what):
    """Data with one thing wrong."""
    x, y = points()
    good = x, y
    return {
        "nothing": None,
        "one": (good,),
        "pair": (x, y),
        "shape": (good, (x[:, :2], y)),
        "type": (good, (x.long(), y)),
        "labels": ((x, y.float()), good),
        "from one": ((x, y + 1), (x, y + 1)),
        "unknown": (good, (x, y + 1)),
        "lengths": ((x, y[:5]), good),
        "flat": ((x[:, 0], y), good),
        "nan": ((x / 0, y), good),
        "words": ((["a"] * len(y), y), good),
        "items": ([x, y], [x[0], 3]),
        "empty": (good, (x[:0], y[:0])),
    }[what]


def sums(kind="float32"):
    """Targets that are numbers: the sum of squares of the inputs."""
    x, _ = points(120)
    y = x.square().sum(1).to(getattr(torch, kind))
    return (x[:90], y[:90]), (x[90:], y[90:])


def masks(n=40):
    """A target for each pixel."""
    x, _ = points(n, shape=(1, 4, 4))
    return (x, (x[:, 0] > 0).long()), (x, (x[:, 0] > 0).long())


class PerPixel(nn.Module):
    """Two logits for each pixel, [N, 2, H, W]."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(binary(nn.Conv2d(1, 2, 3, padding=1, bias=False)))

    def forward(self, x):
        return self.layers(x)


def per_pixel(shape, n_outputs):
    """A network of segmentation; there is one target for each of the pixels."""
    assert n_outputs == prod(shape)
    return PerPixel()


def pixel_loss(outputs, targets):
    """Cross-entropy over pixels."""
    return nn.functional.cross_entropy(outputs, targets)


def iou(outputs, targets):
    """Intersection over union of the foreground."""
    said = outputs.argmax(1) == 1
    both, either = said & (targets == 1), said | (targets == 1)
    return both.sum() / either.sum().clamp(min=1)


def absolute_error(outputs, targets):
    """Mean absolute error, by numpy, which refuses NaN as scikit-learn does."""
    difference = outputs.reshape(targets.shape).numpy() - targets.numpy()
    if np.isnan(difference).any():
        raise ValueError("NaN")
    return np.abs(difference).mean()


def correlation(outputs, targets):
    """Is no number where all outputs are equal."""
    return torch.corrcoef(torch.stack([outputs.flatten(), targets.flatten()]))[0, 1]


def not_a_number(outputs, targets):
    """Forgets to reduce."""
    return outputs


def without_gradient(outputs, targets):
    """A loss that nothing can be learned from."""
    return (outputs.reshape(targets.shape) - targets).detach().square().mean()


def unreadable():
    """Data that are not there."""
    return open("/nowhere/data.npy")


class Counted(Listed):
    """Counts how often a sample is read, and has its labels beside them."""

    read = 0
    readers: ClassVar[set[str]] = set()

    def __init__(self, n):
        super().__init__(n)
        self.targets = self.y.tolist()

    def __getitem__(self, index):
        Counted.read += 1
        Counted.readers.add(threading.current_thread().name)
        x, y = super().__getitem__(index)
        return x.astype(np.float32), y


class Stuck(Counted):
    """Never comes back from a read."""

    def __getitem__(self, _index):
        time.sleep(1000)


class Noisy(Counted):
    """Draws its transformations anew whenever it is read."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return torch.from_numpy(x) + torch.randn(4), y


class Bound(Counted):
    """May be read by the thread alone that opened it."""

    def __init__(self, n):
        super().__init__(n)
        self.file = sqlite3.connect(":memory:")

    def __getitem__(self, index):
        self.file.execute("select 1")
        return super().__getitem__(index)


class Late(Counted):
    """Cannot read one sample of training, once it is in use."""

    in_use = False

    def __getitem__(self, index):
        if Late.in_use and index == 100:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


SAMPLE_BY_SAMPLE = {kind.__name__.lower(): kind for kind in (Counted, Noisy, Bound, Late, Stuck)}


def read_when_needed(kind="counted", n=120):
    """A torch data set, or memory-mapped arrays, that are never held."""
    if kind == "iterable":
        return streamed(Streamed()), streamed(Streamed())
    if kind == "short":
        x, y = points(n)
        return streamed((x, y[:5])), streamed((x, y))
    if make := SAMPLE_BY_SAMPLE.get(kind):
        return streamed(make(n)), streamed(make(n // 2)), streamed(make(n // 4))
    x, y = points(n)
    bytes_ = kind == "bytes"
    x = (x * 20 + 100).clamp(0, 255).byte() if bytes_ else x
    if kind.startswith("mapped") or bytes_:
        file = os.path.join(tempfile.mkdtemp(), "x.npy")
        np.save(file, x.numpy())
        x = np.load(file, mmap_mode="r")
    return tuple((x[part], y[part]) for part in (slice(0, 90), slice(90, n)))
