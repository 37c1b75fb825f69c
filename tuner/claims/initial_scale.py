"""The initial scale is forgotten with weight decay, and never without."""

import itertools
import math
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, StrictFloat, StrictInt, model_validator
from torch import Tensor

from tuner.bnn.data.dataset import load_data
from tuner.bnn.layers import binary_parameters
from tuner.bnn.models import build_network
from tuner.claims.claim import Claim, Means, OnProgress, Positive, Settings, Share, part
from tuner.claims.outcome import (
    ClaimOutcome,
    ClaimVerdict,
    Figure,
    points_with_interval,
    verdict_of,
    within,
    worst,
)
from tuner.claims.watch import Signs, differing, pack, train_all, watch
from tuner.compare.statistics.endpoints import mean_interval
from tuner.compare.statistics.estimate import Estimate
from tuner.errors import InvalidInput
from tuner.optim import rules
from tuner.optim.equivalence import Magnitude, learning_rates
from tuner.search.declared.study_spec import Seed, WorkloadSpec
from tuner.train import TrialConfig
from tuner.train.run import Run
from tuner.train.threads import one_thread
from tuner.workload import Workload

_SIGNS = "signs at the end of one gradient sequence"
_ACCURACY = "accuracy between scales"


class InitialScale(Claim):
    """Initial scales spread over orders of magnitude, with and without weight decay.

    Open loop: the gradients of a real training are played to latent weights of every initial
    scale; the figure is the share of signs that differ at the end, in the worst pair of scales.
    Closed loop: networks are trained from every scale; the figure is the difference of the mean
    validation accuracies, paired by seed, of the pair that is furthest apart.

    Args:
        workload: What is trained.
        seeds: Of the closed loop; at least two.
        recorded: How many of the seeds the open loop uses.
        settings: Of decoupled latent SGD, with weight decay; without clip or scaling.
        init_scales: At least two.
        half_lives: How many half-lives the run must have at least, so that it can forget.
        most_with: The largest share of differing signs at which they count as agreeing.
        least_without: The smallest share without weight decay at which they count as different.
        rope: Accuracies within so many percentage points are equal.
    """

    kind: Literal["initial_scale"]
    workload: WorkloadSpec
    seeds: Annotated[tuple[Seed, ...], Field(min_length=2)]
    recorded: Annotated[StrictInt, Field(ge=1)] = 1
    settings: Settings
    init_scales: Annotated[tuple[Positive, ...], Field(min_length=2)]
    half_lives: Positive
    most_with: Annotated[StrictFloat, Field(ge=0, lt=1)]
    least_without: Share
    rope: Annotated[StrictFloat, Field(ge=0, le=100)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = Magnitude.from_settings(self.settings)
        if given.coupled or given.scaling or given.clip < math.inf or not 0 < given.product < 1:
            raise InvalidInput(
                "settings: must be decoupled SGD without clip and scaling, 0 < eta lambda < 1, "
                f"got {dict(self.settings)}"
            )
        if self.recorded > len(self.seeds):
            raise InvalidInput(
                f"recorded: must be at most the {len(self.seeds)} seeds, got {self.recorded}"
            )
        return self

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:  # noqa: ARG002  # no database
        """See ``Claim``."""
        forgets = self.settings
        keeps: Settings = {**self.settings, "weight_decay": 0.0}
        with_decay, steps = self._open_loop(forgets, part(progress, 0, 8))
        without, _ = self._open_loop(keeps, part(progress, 1, 8))
        lives = half_lives(Magnitude.from_settings(forgets), steps)
        rope = self.rope / 100
        forgotten = self._closed_loop(forgets, part(progress, 1, 4))
        kept = self._closed_loop(keeps, part(progress, 1, 2))
        verdicts = [within(interval, -rope, rope) for interval in kept]
        # Without weight decay one pair that differs is enough; no pair may, with it.
        apart: ClaimVerdict = (
            "holds"
            if "does not hold" in verdicts
            else "does not hold"
            if set(verdicts) == {"holds"}
            else "not settled"
        )
        inside, outside = f"within ±{self.rope:g} points", f"beyond ±{self.rope:g} points"
        return ClaimOutcome(
            (
                Figure(
                    f"{_SIGNS}, with weight decay",
                    with_decay,
                    f"{with_decay:.3%} of the signs differ",
                    f"at most {self.most_with:.3g}",
                    verdict_of(with_decay <= self.most_with),
                ),
                Figure(
                    f"{_SIGNS}, without weight decay",
                    without,
                    f"{without:.3%} of the signs differ",
                    f"at least {self.least_without:.3g}",
                    verdict_of(without >= self.least_without),
                ),
                _furthest(
                    f"{_ACCURACY}, with weight decay",
                    forgotten,
                    inside,
                    worst(within(interval, -rope, rope) for interval in forgotten),
                ),
                _furthest(f"{_ACCURACY}, without weight decay", kept, outside, apart),
                Figure(
                    "half-lives in a run",
                    lives,
                    f"{lives:.3g} in {steps} steps",
                    f"at least {self.half_lives:g}",
                    "holds" if lives >= self.half_lives else "not settled",
                ),
            )
        )

    def _open_loop(self, settings: Settings, progress: OnProgress) -> tuple[float, int]:
        """The share of differing signs in the worst pair and sequence, and the steps of one."""
        scales, worst_share, steps = self.init_scales, 0.0, 0
        for number, seed in enumerate(self.seeds[: self.recorded]):
            mine = part(progress, number, self.recorded)
            middle = {**settings, "init_scale": sorted(scales)[len(scales) // 2]}
            gradients = record_gradients(
                self.workload, TrialConfig("latent_sgd", middle, seed), mine
            )
            trials = [
                TrialConfig("latent_sgd", {**settings, "init_scale": scale}, seed)
                for scale in scales
            ]
            ends = play(self.workload, trials, gradients)
            n_weights = sum(gradient[0].numel() for gradient in gradients[0])
            pairs = itertools.combinations(ends, 2)
            share = max(differing(first, second) for first, second in pairs) / n_weights
            worst_share, steps = max(worst_share, share), len(gradients)
        return worst_share, steps

    def _closed_loop(self, settings: Settings, progress: OnProgress) -> list[Estimate]:
        """The mean differences of the validation accuracy, of every pair of scales."""
        trials = [
            TrialConfig("latent_sgd", {**settings, "init_scale": scale}, seed)
            for scale in self.init_scales
            for seed in self.seeds
        ]
        results = train_all(self.workload, trials, progress)
        accuracies = np.array([result.val_accuracy for result in results])
        by_scale = accuracies.reshape(len(self.init_scales), len(self.seeds))
        return [
            mean_interval(first - second) for first, second in itertools.combinations(by_scale, 2)
        ]


def half_lives(magnitude: Magnitude, steps: int) -> float:
    """How often the start's weight in w halves within a run: -sum of log2(1 - eta_t lambda)."""
    rates = learning_rates(magnitude.learning_rate, magnitude.learning_rate_decay, steps)
    return float(-np.log2(1 - rates * magnitude.weight_decay).sum())


def _furthest(
    label: str, differences: Sequence[Estimate], expected: str, verdict: ClaimVerdict
) -> Figure:
    """The pair of scales furthest apart, with the verdict on all pairs."""
    furthest = max(differences, key=lambda difference: abs(difference.value))
    return Figure(
        label,
        furthest.value,
        points_with_interval(furthest),
        expected,
        verdict,
        furthest.low,
        furthest.high,
    )


def record_gradients(
    workload: Workload, trial: TrialConfig, progress: OnProgress
) -> list[list[Tensor]]:
    """The gradients of a training's binary weights, step by step, each of shape [1, ...]."""
    gradients: list[list[Tensor]] = []

    def look(run: Run) -> None:
        gradients.append([w.grad.clone() for w in run.binary if w.grad is not None])

    watch(workload, [trial], progress, after_step=look)
    return gradients


def play(
    workload: Workload, trials: Sequence[TrialConfig], gradients: Sequence[Sequence[Tensor]]
) -> Signs:
    """The signs [K, bytes] that the trials' rule ends with, all of them fed the same gradients.

    Args:
        workload: Gives the first weights.
        trials: K trials of one rule.
        gradients: Of every step and binary weight, each of shape [1, ...].
    """
    with one_thread():
        data = load_data(workload)
        network = build_network(
            workload, data.shape, data.n_classes, [trial.seed for trial in trials]
        )
        weights = binary_parameters(network)
        settings = [trial.settings for trial in trials]
        rule = rules.build_optimizer(trials[0].rule, weights, settings, steps=len(gradients))
        for step in gradients:
            for weight, gradient in zip(weights, step, strict=True):
                weight.grad = gradient.expand_as(weight).contiguous().to(weight.dtype)
            rule.step()
        return pack(weights)
