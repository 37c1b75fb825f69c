"""What is seen of samples once: their bytes as digests, their sums for mean and deviation."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Looks:
    """What was seen of each of n samples of bytes, [n, C, ...].

    Args:
        digests: Of each sample's bytes.
        sums: Of each channel's values, int64 [n, C].
        squares: Of their squares, int64 [n, C].
    """

    digests: Sequence[bytes]
    sums: Tensor
    squares: Tensor

    def mean_and_std(self, numbers: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """As ``mean_and_std`` of the samples with these numbers, of that shape [C, ...]."""
        n_values = len(numbers) * math.prod(shape[1:])
        return _mean_and_std(n_values, self.sums[numbers].sum(0), self.squares[numbers].sum(0))


def digest(sample: NDArray[Any]) -> bytes:
    """A digest of a sample's bytes, which lie one after the other."""
    return hashlib.blake2b(sample.data, digest_size=16).digest()


def sums(images: Tensor) -> tuple[Tensor, Tensor]:
    """Sum and sum of squares of each channel of uint8 [n, C, ...], int64 [C]."""
    histograms = [channel.flatten().bincount(minlength=256) for channel in images.unbind(1)]
    counts, values = torch.stack(histograms), torch.arange(256)
    return (counts * values).sum(1), (counts * values**2).sum(1)


def mean_and_std(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of uint8 images [n, C, ...] scaled to [0, 1].

    Exact but for the last rounding, and without a float copy of the data; a constant channel has
    the deviation 1. Of samples of another type none: they are taken as they are.
    """
    if images.dtype != torch.uint8:
        return torch.empty(0), torch.empty(0)
    return _mean_and_std(images[:, 0].numel(), *sums(images))


def _mean_and_std(n: int, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    """From integers: of n values in each channel their sum and the sum of their squares, [C]."""
    means, stds = [], []
    for one, two in zip(total.tolist(), squares.tolist(), strict=True):
        spread = n * two - one * one  # Python's integers do not overflow
        means.append(one / (255 * n))
        stds.append(math.sqrt(spread) / (255 * n) if spread else 1.0)
    return torch.tensor(means), torch.tensor(stds)
