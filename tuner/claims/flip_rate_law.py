"""How many signs flip at each step follows from alpha and gamma alone, under white noise."""

from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, StrictInt
from torch import Tensor

from tuner.claims.claim import Claim, Means, OnProgress, Positive, Share, part
from tuner.claims.outcome import ClaimOutcome, Figure, within, worst
from tuner.claims.watch import train_all
from tuner.compare.statistics.endpoints import mean_interval
from tuner.compare.statistics.estimate import Estimate
from tuner.optim import FilterFlip
from tuner.optim.equivalence import AlphaGamma, flip_ratio
from tuner.search.declared.files import Count
from tuner.search.declared.study_spec import Seed, WorkloadSpec
from tuner.train import TrialConfig
from tuner.train.batches import generator
from tuner.train.threads import one_thread

Rate = Annotated[Positive, Field(le=1)]


class FlipRateLaw(Claim):
    """flip ratio per step = arccos(rho) / pi, measured over predicted.

    Weights see Gaussian white noise; a block's ratio is one observation, and the mean over the
    blocks has a t interval. The verdict is the worst over the grid.

    Args:
        seed: Of the noise, and of the trainings.
        alphas: The grid's.
        gammas: The grid's.
        blocks: Independent groups of weights, at least 2.
        weights: Weights in a block.
        burn_in: Steps before measuring, in units of 1 / min(alpha, gamma).
        steps: Steps measured.
        tolerance: Largest relative deviation that counts as agreement.
        workload: A real training, whose ratios are reported without a verdict.
    """

    kind: Literal["flip_rate_law"]
    seed: Seed = 0
    alphas: Annotated[tuple[Rate, ...], Field(min_length=1)]
    gammas: Annotated[tuple[Rate, ...], Field(min_length=1)]
    blocks: Annotated[StrictInt, Field(ge=2)]
    weights: Count
    burn_in: Positive
    steps: Count
    tolerance: Share
    workload: WorkloadSpec

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:  # noqa: ARG002  # no database
        """See ``Claim``."""
        grid = [AlphaGamma(alpha, gamma) for alpha in self.alphas for gamma in self.gammas]
        parts = len(self.alphas) + 1
        noise: list[Estimate] = []
        for number, alpha in enumerate(self.alphas):
            noise += self._under_noise(alpha, part(progress, number, parts))
        low, high = 1 - self.tolerance, 1 + self.tolerance
        where = max(range(len(grid)), key=lambda i: _furthest(noise[i]))
        real = self._in_training(grid, part(progress, parts - 1, parts))
        return ClaimOutcome(
            (
                Figure(
                    "white noise, measured / predicted, worst of the grid",
                    noise[where].value,
                    f"{_ratio(noise[where])} at {_at(grid[where])}",
                    f"within {self.tolerance:.3g} of 1",
                    worst(within(ratio, low, high) for ratio in noise),
                    noise[where].low,
                    noise[where].high,
                ),
                *(
                    Figure(f"white noise at {_at(f)}", e.value, _ratio(e), low=e.low, high=e.high)
                    for f, e in zip(grid, noise, strict=True)
                ),
                *(
                    Figure(f"real training at {_at(f)}", value, f"{value:.3g}")
                    for f, value in zip(grid, real, strict=True)
                ),
            )
        )

    def _under_noise(self, alpha: float, progress: OnProgress) -> list[Estimate]:
        """Measured over predicted, for this alpha and every gamma; all see the same noise."""
        n_gammas, slowest = len(self.gammas), min(alpha, *self.gammas)
        warm = int(np.ceil(self.burn_in / slowest))
        k = n_gammas * self.blocks
        gammas = torch.tensor(self.gammas).repeat_interleave(self.blocks)
        noise = generator(self.seed, round(alpha * 2**32))
        weight = torch.nn.Parameter(torch.ones(k, self.weights))
        gradient = torch.empty_like(weight)
        flips = torch.zeros(k, dtype=torch.float64)
        with one_thread():
            rule = FilterFlip([weight], alpha=torch.full((k,), alpha), gamma=gammas)
            weight.grad = gradient
            for step in range(warm + self.steps):
                drawn: Tensor = torch.randn(self.blocks, self.weights, generator=noise)
                gradient.view(n_gammas, self.blocks, -1).copy_(drawn)
                rule.step()
                if step >= warm:
                    flips += rule.flips
                if step % 64 == 0:
                    progress(step / (warm + self.steps))
        measured = (flips / (self.steps * self.weights)).view(n_gammas, self.blocks).numpy()
        return [
            mean_interval(row / flip_ratio(AlphaGamma(alpha, gamma)))
            for row, gamma in zip(measured, self.gammas, strict=True)
        ]

    def _in_training(self, grid: list[AlphaGamma], progress: OnProgress) -> list[float]:
        """Measured over predicted in a real training, over its second half."""
        trials = [
            TrialConfig("filter_flip", {"alpha": f.alpha, "gamma": f.gamma}, self.seed)
            for f in grid
        ]
        results = train_all(self.workload, trials, progress)
        second_half = self.workload.epochs // 2
        return [
            float(np.mean([point.flip_ratio for point in result.curve[second_half:]]))
            / flip_ratio(filter_)
            for filter_, result in zip(grid, results, strict=True)
        ]


def _furthest(ratio: Estimate) -> float:
    """How far from 1 the interval reaches."""
    return max(abs(end - 1) for end in ratio.interval or (ratio.value,))


def _at(filter_: AlphaGamma) -> str:
    return f"alpha {filter_.alpha:g}, gamma {filter_.gamma:g}"


def _ratio(estimate: Estimate) -> str:
    if estimate.interval is None:
        return f"{estimate.value:.4f}"
    low, high = estimate.interval
    return f"{estimate.value:.4f} ({low:.4f} to {high:.4f})"
