"""The clip does nothing where it cannot be reached, and something where it is far below that."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tuner.claims.claim import Claim, Means, OnProgress, Positive, Settings, Share, part
from tuner.claims.outcome import ClaimOutcome, Figure, other_signs, same_signs
from tuner.claims.watch import watch
from tuner.errors import InvalidInput
from tuner.optim.equivalence import Magnitude
from tuner.search.declared.study_spec import Seed, WorkloadSpec
from tuner.train import TrialConfig
from tuner.train.run import Run


class ClipInert(Claim):
    """A clip of at least max(|w0|, g_max / lambda) is inert.

    g_max, the largest gradient, is measured in the training without a clip.

    Args:
        workload: What is trained.
        seeds: Of the trainings.
        settings: Of decoupled latent SGD with weight decay, without a clip.
        inert: Clips as multiples of the bound, at least 1.
        violated: A clip as a share of the bound, far below 1.
        least_share: The smallest share of signs, over all steps, that the violated clip changes.
    """

    kind: Literal["clip_inert"]
    workload: WorkloadSpec
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)]
    settings: Settings
    inert: Annotated[tuple[Annotated[Positive, Field(ge=1)], ...], Field(min_length=1)]
    violated: Share
    least_share: Share

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = Magnitude.from_settings(self.settings)
        if given.coupled or given.scaling or given.weight_decay == 0 or given.clip < math.inf:
            raise InvalidInput(
                "settings: the condition is that of decoupled SGD with weight decay, without "
                f"scaling and with no clip of its own, got {dict(self.settings)}"
            )
        return self

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:  # noqa: ARG002  # no database
        """See ``Claim``."""
        given = Magnitude.from_settings(self.settings)
        inert, compared, moved, twin, changed, compared_violated = 0, 0, 0, 0, 0, 0
        bounds: list[float] = []
        for number, seed in enumerate(self.seeds):
            mine = part(progress, number, len(self.seeds))
            size = len(self.inert) + 3
            largest = self._largest_gradient(seed, size, part(mine, 0, 2))
            bounds.append(max(given.init_scale, largest / given.weight_decay))
            clips = [
                math.inf,
                math.inf,
                *(factor * bounds[-1] for factor in self.inert),
                self.violated * bounds[-1],
            ]
            trials = [
                TrialConfig("latent_sgd", {**self.settings, "clip": clip}, seed) for clip in clips
            ]
            watched = watch(self.workload, trials, part(mine, 1, 2))
            moved += watched.flips(0)
            twin += watched.differ(0, 1)
            last = len(clips) - 1
            inert += sum(watched.differ(0, trial) for trial in range(2, last))
            compared += watched.compared() * (last - 2)
            changed += watched.differ(0, last)
            compared_violated += watched.compared()
        at = f"clip at {self.violated:g} of the bound"
        return ClaimOutcome(
            (
                same_signs(
                    "clip where its condition holds", inert, compared, moved=moved, twin=twin
                ),
                other_signs(at, changed, compared_violated, least=self.least_share),
                Figure(
                    "the bound max(|w0|, g_max / lambda)",
                    max(bounds),
                    f"up to {max(bounds):.4g}",
                ),
            )
        )

    def _largest_gradient(self, seed: int, size: int, progress: OnProgress) -> float:
        """The largest |gradient| of any binary weight in the training without a clip.

        It is trained in a batch of the same size as afterwards: so it is equal to the last bit.
        """
        largest = 0.0

        def look(run: Run) -> None:
            nonlocal largest
            maxima = (w.grad.abs().max() for w in run.binary if w.grad is not None)
            largest = max(largest, *(float(value) for value in maxima))

        trial = TrialConfig("latent_sgd", self.settings, seed)
        watch(self.workload, [trial] * size, progress, after_step=look)
        return largest
