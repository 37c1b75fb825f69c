"""Samples that are read whenever they are needed, from where they lie: more than memory holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tuner.bnn.data.ahead import ahead
from tuner.bnn.data.looks import Looks

Read = Callable[[Sequence[int]], Tensor]
"""Takes numbers of samples, returns them stacked."""

_PROBED = 1024
"""So many samples speak for all where reading all would take too long."""


@dataclass(frozen=True)
class Streamed:
    """Data that are to be read whenever they are needed.

    Args:
        part: A map-style torch data set of pairs (input, label), or a pair (inputs, labels) of
            arrays or tensors, such as memory-mapped ones.
    """

    part: Any


def streamed(part: Any) -> Streamed:  # Any: whatever holds the user's samples
    """The data, to be read whenever they are needed and never kept: for what is beyond memory.

    Args:
        part: One split, as a data function returns it. A data set's labels are those of its
            attribute ``targets``, if it has one as torchvision's do; else all samples are read
            once for them.

    Example:
        >>> import numpy as np
        >>> train = streamed((np.zeros((4, 2), dtype=np.float32), [0, 1, 0, 1]))
    """
    return Streamed(part)


@dataclass(frozen=True, eq=False)
class Rows:
    """Samples that are read when they are indexed, as a tensor [n, ...] would be.

    Args:
        read: Reads some of the samples.
        numbers: Which of the samples these are, in their order, int64 [n].
        sample: One of them, for shape and type.
        device: Where those that were read are put.
        apart: Whether a thread of its own may read them.
        draws: Whether reading them draws from torch's generator.
        looks: What was seen of each sample of all, if they were all read once.
    """

    read: Read
    numbers: Tensor
    sample: Tensor
    device: torch.device = torch.device("cpu")  # noqa: RUF009  # it never changes
    apart: bool = False
    draws: bool = False
    looks: Looks | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, which: slice | Tensor) -> Tensor:
        """Those samples, read now; a slice, or int64 of any shape."""
        return self.fetch(which if isinstance(which, slice) else which.cpu()).to(self.device)

    def fetch(self, which: slice | Tensor) -> Tensor:
        """Likewise, but not on their device yet; ``which`` is not on one either."""
        numbers = self.numbers[which]
        rows = self.read(numbers.flatten().tolist())
        return rows.view(*numbers.shape, *self.sample.shape)

    @property
    def shape(self) -> torch.Size:
        """Of all, as a tensor's."""
        return torch.Size((len(self), *self.sample.shape))

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return self.sample.dtype

    def is_floating_point(self) -> bool:
        """Whether the samples are."""
        return self.sample.is_floating_point()

    def dim(self) -> int:
        """As a tensor's."""
        return self.sample.dim() + 1

    def take(self, indices: Tensor) -> "Rows":
        """Those samples, not read yet."""
        return replace(self, numbers=self.numbers[indices.cpu()])

    def to(self, device: torch.device | str) -> "Rows":
        """The same, to be put elsewhere."""
        return replace(self, device=torch.device(device))

    def probe(self) -> Tensor:
        """Some of the samples, evenly spread over all; the same ones, drawn alike, every time."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self[_some(len(self))]


def tried(rows: Rows) -> tuple[Rows, Tensor]:
    """The samples, knowing how they may be read, and some of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        try:
            (some,) = ahead(lambda _: rows[_some(len(rows))], 1)
        except Exception:  # it may be bound to the thread that opened it, as SQLite's files are
            return rows, rows.probe()
        draws = not torch.equal(before, torch.get_rng_state())
    return replace(rows, apart=True, draws=draws), some


def _some(n: int) -> Tensor:
    """The numbers of those that speak for all ``n``, int64."""
    return torch.linspace(0, n - 1, min(_PROBED, n)).long()
