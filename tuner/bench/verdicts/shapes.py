"""Distributions as data: what the settings of a simulated search space are worth."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tuner.compare.statistics.estimate import Floats

Rng = np.random.Generator
Size = tuple[int, ...]


class Shape(Protocol):
    """A distribution of true scores."""

    def draw(self, rng: Rng, size: Size) -> Floats:
        """Independent draws, shape [*size]."""


@dataclass(frozen=True)
class At:
    """Every setting is worth the same."""

    value: float

    def draw(self, _rng: Rng, size: Size) -> Floats:
        """The value, repeated."""
        return np.full(size, self.value)


@dataclass(frozen=True)
class Normal:
    """Normally distributed."""

    mean: float
    sd: float

    def draw(self, rng: Rng, size: Size) -> Floats:
        """Independent draws."""
        return rng.normal(self.mean, self.sd, size)


@dataclass(frozen=True)
class LowerTail:
    """Most settings lie near the top, some far below: top - scale e^(1.5 z), z normal."""

    top: float
    scale: float

    def draw(self, rng: Rng, size: Size) -> Floats:
        """Independent draws."""
        return self.top - self.scale * np.exp(1.5 * rng.standard_normal(size))


@dataclass(frozen=True)
class Mixed:
    """A share of the settings of one kind, the others of another."""

    share: float
    some: Shape
    others: Shape

    def draw(self, rng: Rng, size: Size) -> Floats:
        """Independent draws."""
        chosen = rng.random(size) < self.share
        return np.where(chosen, self.some.draw(rng, size), self.others.draw(rng, size))
