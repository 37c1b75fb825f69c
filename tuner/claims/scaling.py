"""Scaling all latent weights by k, with everything that is measured in them, changes no sign."""

from dataclasses import asdict
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuner.claims.claim import Claim, Means, OnProgress, Positive, Settings, part
from tuner.claims.outcome import ClaimOutcome, Figure, other_signs, same_signs, verdict_of
from tuner.claims.watch import Watched, watch
from tuner.optim.equivalence import Magnitude, rescale
from tuner.search.declared.study_spec import Seed, WorkloadSpec
from tuner.train import TrialConfig


class Scaling(Claim):
    """Learning rate, initial scale and clip times k, weight decay over k: the same training.

    Args:
        workload: What is trained.
        seeds: Of the trainings.
        settings: Of latent SGD: each is trained as it stands and scaled.
        factors: k; for powers of two the signs are equal to the last bit.
        counter_factors: k whose signs are reported only, since rounding may change them.
    """

    kind: Literal["scaling"]
    workload: WorkloadSpec
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    settings: Annotated[tuple[Settings, ...], Field(min_length=1)]
    factors: Annotated[tuple[Positive, ...], Field(min_length=1)]
    counter_factors: tuple[Positive, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for settings in self.settings:
            Magnitude.from_settings(settings)
        return self

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:  # noqa: ARG002  # no database
        """See ``Claim``."""
        runs = [(settings, seed) for settings in self.settings for seed in self.seeds]
        watched = [
            self._watch(settings, seed, part(progress, number, len(runs)))
            for number, (settings, seed) in enumerate(runs)
        ]
        scaled = range(2, 2 + len(self.factors))
        counter = range(2 + len(self.factors), 2 + len(self.factors) + len(self.counter_factors))
        moved = sum(batch.flips(0) for batch in watched)
        twin, compared_twin = _differ(watched, range(1, 2))
        differ, compared = _differ(watched, scaled)
        figures = [
            same_signs(
                f"scaled by {_listed(self.factors)}", differ, compared, moved=moved, twin=twin
            ),
            _curves("their validation curves", watched, scaled, settled=twin == 0),
            same_signs("the same training twice", twin, compared_twin, moved=moved, twin=twin),
        ]
        if self.counter_factors:
            label = f"scaled by {_listed(self.counter_factors)}, rounded"
            differ, compared = _differ(watched, counter)
            figures.append(other_signs(label, differ, compared, least=None))
        return ClaimOutcome(tuple(figures))

    def _watch(self, settings: Settings, seed: int, progress: OnProgress) -> Watched:
        """One training as it stands, its twin, and all scaled ones, in this order."""
        base = Magnitude.from_settings(settings)
        scales = [1.0, 1.0, *self.factors, *self.counter_factors]
        trials = [
            TrialConfig("latent_sgd", asdict(rescale(base, factor)), seed) for factor in scales
        ]
        return watch(self.workload, trials, progress)


def _differ(watched: list[Watched], trials: range) -> tuple[int, int]:
    """Signs of these trials that differ from the first trial's, and signs compared."""
    differ = sum(batch.differ(0, trial) for batch in watched for trial in trials)
    return differ, sum(batch.compared() for batch in watched) * len(trials)


def _curves(label: str, watched: list[Watched], trials: range, *, settled: bool) -> Figure:
    """Points of the validation curves and flip ratios that differ from the first trial's."""
    curves = [
        [[(p.val_accuracy, p.flip_ratio) for p in result.curve] for result in batch.results]
        for batch in watched
    ]
    pairs = [
        (point, reference)
        for batch in curves
        for trial in trials
        for point, reference in zip(batch[trial], batch[0], strict=True)
    ]
    differ = sum(point != reference for point, reference in pairs)
    shown = f"{differ:,} of {len(pairs):,} epochs differ"
    verdict = verdict_of(differ == 0) if settled else "not settled"
    return Figure(label, float(differ), shown, "0", verdict)


def _listed(factors: tuple[float, ...]) -> str:
    return ", ".join(f"{factor:g}" for factor in factors)
