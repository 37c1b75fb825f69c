"""A schedule of alpha replaces the schedule of the learning rate."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from tuner.claims.claim import Claim, Means, OnProgress, Settings, part
from tuner.claims.outcome import ClaimOutcome, other_signs, same_signs
from tuner.claims.watch import Watched, differing, watch
from tuner.errors import InvalidInput
from tuner.optim import FilterFlip, Schedule
from tuner.optim.equivalence import Magnitude, alphas_from_decoupled, learning_rates
from tuner.search.declared.study_spec import Seed, WorkloadSpec
from tuner.train import TrialConfig
from tuner.train.run import Run


class Given(Schedule):
    """A schedule that is a list of factors.

    Args:
        factors: One per step.
    """

    def __init__(self, factors: Sequence[float]) -> None:
        super().__init__("constant", len(factors))
        self.factors = tuple(factors)

    def __call__(self, step: int) -> float:
        """The factor at a step (0-based)."""
        return self.factors[step]


class AlphaSchedule(Claim):
    """Latent SGD under a schedule, and the filter with the alphas that the exact map gives it.

    alpha_t = eta_t / N_t,  N_t = (1 - eta_t lambda) N_{t-1} + eta_t;  eta_t lambda throughout for
    N_0 = 1 / lambda. In float64, in closed loop: both train the same network from the same seed.

    Args:
        workload: What is trained; its precision is float64.
        seeds: Of the trainings.
        settings: Of decoupled latent SGD; its schedule is replaced.
        schedules: Of the learning rate.
        without_weight_decay: Whether to do the same at lambda = 0, where alpha falls like 1/t.
    """

    kind: Literal["schedule"]
    workload: WorkloadSpec
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    settings: Settings
    schedules: Annotated[tuple[str, ...], Field(min_length=1)]
    without_weight_decay: bool = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = Magnitude.from_settings(self.settings)
        if self.workload.precision != "float64":
            raise InvalidInput(
                f"workload.precision: must be float64 here, got {self.workload.precision}"
            )
        if given.coupled or given.scaling or not 0 < given.product <= 1:
            raise InvalidInput(
                "settings: must be decoupled SGD without scaling, 0 < eta lambda <= 1, got "
                f"{dict(self.settings)}"
            )
        for name in self.schedules:
            Magnitude.from_settings({**self.settings, "learning_rate_decay": name})
        return self

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:  # noqa: ARG002  # no database
        """See ``Claim``."""
        decays = [float(self.settings["weight_decay"])]
        decays += [0.0] if self.without_weight_decay else []
        jobs = [(d, s, seed) for d in decays for s in self.schedules for seed in self.seeds]
        figures = []
        counted: dict[float, list[tuple[int, int, int, int]]] = {}
        for number, (decay, schedule, seed) in enumerate(jobs):
            settings = {
                **self.settings,
                "weight_decay": decay,
                "learning_rate_decay": schedule,
            }
            trial = TrialConfig("latent_sgd", settings, seed)
            counted.setdefault(decay, []).append(
                self._compare(trial, part(progress, number, len(jobs)))
            )
        for decay, counts in counted.items():
            differ, constant, compared, moved = map(sum, zip(*counts, strict=True))
            how = f"weight decay {decay:g}" if decay else "no weight decay"
            figures += [
                same_signs(f"alpha by the map, {how}", differ, compared, moved=moved),
                other_signs(f"alpha held constant, {how}", constant, compared, least=None),
            ]
        return ClaimOutcome(tuple(figures))

    def _compare(self, trial: TrialConfig, progress: OnProgress) -> tuple[int, int, int, int]:
        """Signs that differ from the filter's, from those at constant alpha; compared; flips."""
        latent = watch(self.workload, [trial], part(progress, 0, 3))
        magnitude = Magnitude.from_settings(trial.settings)
        steps = len(latent.signs)
        rates = learning_rates(magnitude.learning_rate, magnitude.learning_rate_decay, steps)
        norm = 1 / magnitude.weight_decay if magnitude.weight_decay else magnitude.init_scale
        alphas = alphas_from_decoupled(rates, magnitude.weight_decay, start_norm=norm).alpha
        mapped = self._filter(trial, alphas.tolist(), norm, part(progress, 1, 3))
        flat = np.full(steps, alphas[0]).tolist()
        constant = self._filter(trial, flat, norm, part(progress, 2, 3))
        return (
            differing(latent.signs, mapped.signs),
            differing(latent.signs, constant.signs),
            latent.compared(),
            latent.flips(0),
        )

    def _filter(
        self, trial: TrialConfig, alphas: Sequence[float], norm: float, progress: OnProgress
    ) -> Watched:
        """Train with the filter of these alphas, from the state s0 = -w0 / N_0."""

        def prepare(run: Run) -> None:
            magnitude = Run(self.workload, [trial], run.device)
            if not isinstance(run.rule, FilterFlip):
                raise TypeError(f"schedule: expected a filter, got {type(run.rule).__name__}")
            run.rule.schedule = Given([alpha / alphas[0] for alpha in alphas])
            for mine, its in zip(run.binary, magnitude.binary, strict=True):
                w0 = magnitude.rule.state[its]["w"]
                run.rule.state[mine]["s"].copy_(-w0 / norm)

        momentum = float(trial.settings.get("momentum", 0.0))
        settings = {"alpha": alphas[0], "gamma": 1 - momentum}
        filter_ = TrialConfig("filter_flip", settings, trial.seed)
        return watch(self.workload, [filter_], progress, before=prepare)
