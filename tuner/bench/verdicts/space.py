"""A simulated search space: what its settings are worth, how runs scatter, how it is searched."""

from dataclasses import dataclass

import numpy as np

from tuner.bench.verdicts.shapes import Rng, Shape, Size
from tuner.compare.statistics.estimate import Floats


@dataclass(frozen=True)
class Runs:
    """How the score of a run scatters about what its setting is worth.

    Args:
        sd: Standard deviation of a run that ends well.
        collapse: Share of all runs, of any setting, that collapse instead.
        collapsed: Where those end.
        images: The score is a share of so many images; ``None`` for any real number.
        least: Scores below it count as it.
        greatest: Scores above it count as it.
    """

    sd: float = 0.003
    collapse: float = 0.0
    collapsed: float = 0.1
    images: int | None = None
    least: float = 0.0
    greatest: float = 1.0

    def scores(self, rng: Rng, worth: Floats) -> Floats:
        """One run of each setting, shape as ``worth``."""
        scores = worth + self.sd * rng.standard_normal(worth.shape)
        if self.images is not None:
            scores = np.rint(scores * self.images) / self.images
        if self.collapse:
            scores = np.where(rng.random(worth.shape) < self.collapse, self.collapsed, scores)
        return np.clip(scores, self.least, self.greatest)


@dataclass(frozen=True)
class Learning:
    """A sampler that learns: it leaves random settings behind, and sometimes gets stuck.

    Args:
        top: What a search that goes well ends at; searches differ by ``spread``.
        pace: Trials after which a search has closed all but 37% of the distance.
        stuck: Share of all searches that get stuck.
        stuck_at: What their settings are worth.
        spread: Standard deviation of ``top`` over searches.
    """

    top: float
    pace: float
    stuck: float = 0.0
    stuck_at: float = 0.9
    spread: float = 0.001

    def led(self, rng: Rng, random: Floats) -> Floats:
        """What the settings tried are worth, from what random ones would be, [search, trial]."""
        searches, length = random.shape
        top = rng.normal(self.top, self.spread, (searches, 1))
        left = np.exp(-np.arange(length) / self.pace)
        worth = top - (top - random) * left
        stuck = rng.random((searches, 1)) < self.stuck
        return np.where(stuck, np.minimum(worth, self.stuck_at), worth)


@dataclass(frozen=True)
class KnownSpace:
    """A search space whose truth is known.

    Args:
        settings: What random settings are worth.
        runs: How runs scatter.
        learning: How the sampler learns; ``None`` for random search.
        defaults: Whether nothing is searched: one setting, run many times.
        n: Trials, where they are not those of the situation.
    """

    settings: Shape
    runs: Runs = Runs()
    learning: Learning | None = None
    defaults: bool = False
    n: int | None = None

    @property
    def sampler(self) -> str:
        """What ``tuner compare`` would call the sampler."""
        if self.defaults:
            return "defaults"
        return "random" if self.learning is None else "tpe"

    def search(self, rng: Rng, size: Size) -> Floats:
        """What the settings are worth that searches try, shape [searches, trials]."""
        worth = self.settings.draw(rng, size)
        return worth if self.learning is None else self.learning.led(rng, worth)
