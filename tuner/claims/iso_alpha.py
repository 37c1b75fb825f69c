"""Learning rate and weight decay matter through their product."""

from collections.abc import Hashable, Sequence
from math import inf, sqrt
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import scipy
from pydantic import Field, StrictInt, model_validator

from tuner.claims.claim import Claim, Means, OnProgress, Positive, Settings, Share, part
from tuner.claims.outcome import ClaimOutcome, Figure, same_signs, verdict_of, within
from tuner.claims.watch import Watched, train_all, watch
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.errors import InvalidInput
from tuner.optim.equivalence import Magnitude
from tuner.search.declared.study_spec import Seed, WorkloadSpec
from tuner.train import TrialConfig

SIGNAL = 0.5
"""Where both together explain less than this share, seeds decide, and nothing can be said."""


class GridCell(NamedTuple):
    """A place in the grid: its learning rate's and weight decay's powers."""

    rate: int
    decay: int

    @property
    def product(self) -> int:
        """The power of the product."""
        return self.rate + self.decay


class IsoAlpha(Claim):
    """A square grid of learning rate times weight decay, both with the same spacing.

    Identity: w0 and clip are those of the first cell over weight decay, so that w0 lambda and
    clip lambda are held; the signs of all runs of one product are compared at every step.
    Explained: w0 and clip are fixed; the share of the accuracy's variance that lies between
    products is held against that between the cells of the grid, which is all that learning rate
    and weight decay explain together (the rest is noise between seeds), and must exceed that of
    either alone. Shares are freed of noise, see ``explained``; the interval of
    the product's part is the jackknife's over seeds.

    Args:
        workload: What is trained.
        seeds: Of the grid with w0 fixed; the first is the identity's.
        settings: Of decoupled latent SGD in the first cell.
        size: Learning rates, and weight decays.
        spacing: Ratio of neighbours; a power of two for runs that are equal to the last bit.
        least_share: The smallest part of what both explain together that the product should.
    """

    kind: Literal["iso_alpha"]
    workload: WorkloadSpec
    seeds: Annotated[tuple[Seed, ...], Field(min_length=3)]
    settings: Settings
    size: Annotated[StrictInt, Field(ge=2, le=20)]
    spacing: Annotated[Positive, Field(gt=1)]
    least_share: Share

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = Magnitude.from_settings(self.settings)
        largest = given.product * self.spacing ** (2 * self.size - 2)
        if given.coupled or given.scaling or not 0 < largest <= 1:
            raise InvalidInput(
                "settings: must be decoupled SGD without scaling, with 0 < eta lambda <= 1 in the "
                f"whole grid; the largest is {largest:.3g}"
            )
        return self

    @property
    def cells(self) -> list[GridCell]:
        """All places of the grid."""
        return [GridCell(i, j) for i in range(self.size) for j in range(self.size)]

    def check(self, means: Means, progress: OnProgress) -> ClaimOutcome:  # noqa: ARG002  # no database
        """See ``Claim``."""
        cells = self.cells
        identity = part(progress, 0, 1 + len(self.seeds))
        trials = [self._trial(cell, self.seeds[0], held=True) for cell in cells]
        figures = _identity(cells, watch(self.workload, [*trials, trials[0]], identity))
        trials = [self._trial(c, seed, held=False) for seed in self.seeds for c in cells]
        done = 1 / (1 + len(self.seeds))
        results = train_all(
            self.workload, trials, lambda share: progress(done + (1 - done) * share)
        )
        accuracies = np.array([result.val_accuracy for result in results])
        by_seed = accuracies.reshape(len(self.seeds), len(cells))
        return ClaimOutcome((*figures, *self._explained(by_seed)))

    def _trial(self, cell: GridCell, seed: int, *, held: bool) -> TrialConfig:
        first = Magnitude.from_settings(self.settings)
        rate, decay = self.spacing**cell.rate, self.spacing**cell.decay
        return TrialConfig(
            "latent_sgd",
            {
                **self.settings,
                "learning_rate": first.learning_rate * rate,
                "weight_decay": first.weight_decay * decay,
                "init_scale": first.init_scale / (decay if held else 1),
                "clip": first.clip / (decay if held else 1),
            },
            seed,
        )

    def _explained(self, accuracies: Floats) -> list[Figure]:
        """The product's part of what the grid explains, with the verdict, and the shares.

        ``accuracies`` have the shape [seeds, cells].
        """
        shares = self._shares(accuracies)
        both, product, *alone = shares.values()
        start = f"the product's part of what both explain, w0 = {self._start:g}"
        expected = f"at least {self.least_share:.0%}, more than either alone"
        if both >= SIGNAL:
            share = self._part(accuracies)
            verdict = within(share, self.least_share, inf)
            if product < max(alone):
                verdict = "does not hold"
            low, high = share.interval or (share.value, share.value)
            shown = f"{share.value:.1%} ({low:.1%} to {high:.1%})"
            headline = Figure(start, share.value, shown, expected, verdict, low, high)
        else:
            headline = Figure(
                start, None, f"both explain {both:.1%} only", expected, "not settled"
            )
        return [
            headline,
            *(
                Figure(f"accuracy explained by {which}", share, f"{share:.1%} of the variance")
                for which, share in shares.items()
            ),
            Figure(
                "accuracies over the grid",
                float(np.ptp(accuracies)),
                f"{accuracies.min():.1%} to {accuracies.max():.1%}",
            ),
        ]

    def _shares(self, accuracies: Floats) -> dict[str, float]:
        """Share of the variance that each grouping of the cells explains.

        Runs of one product that are nearly the same share the seed's noise, of which too much is
        then taken from what both explain; no grouping is reported to explain more than both.
        """
        cells = self.cells
        both = explained(cells, accuracies)
        groups: dict[str, list[Hashable]] = {
            "the product": [cell.product for cell in cells],
            "the learning rate alone": [cell.rate for cell in cells],
            "the weight decay alone": [cell.decay for cell in cells],
        }
        parts = {name: min(both, explained(of, accuracies)) for name, of in groups.items()}
        return {"learning rate and weight decay together": both, **parts}

    def _part(self, accuracies: Floats) -> Estimate:
        """The product's part of what both explain, with the jackknife's t interval over seeds."""
        cells = self.cells
        products = [cell.product for cell in cells]

        def part_of(rows: Floats) -> float:
            return explained(products, rows) / explained(cells, rows)

        n, value = len(accuracies), part_of(accuracies)
        without = np.array([part_of(np.delete(accuracies, i, axis=0)) for i in range(n)])
        half = float(scipy.stats.t.ppf(0.975, n - 1) * without.std() * sqrt(n - 1))
        return Estimate(*(min(1.0, end) for end in (value, value - half, value + half)))

    @property
    def _start(self) -> float:
        return Magnitude.from_settings(self.settings).init_scale


def _identity(cells: Sequence[GridCell], watched: Watched) -> list[Figure]:
    """How many trainings are distinct, and whether the runs of one product are equal.

    The last trial is the first one's twin.
    """
    twin = watched.differ(0, len(cells))
    first: dict[int, int] = {}
    differ = compared = moved = 0
    for trial, cell in enumerate(cells):
        if cell.product not in first:
            first[cell.product] = trial
            moved += watched.flips(trial)
            continue
        differ += watched.differ(trial, first[cell.product])
        compared += watched.compared()
    distinct = len({watched.signs[:, trial].tobytes() for trial in range(len(cells))})
    expected = len({cell.product for cell in cells})
    return [
        same_signs(
            "runs of equal product, w0 and clip times weight decay held",
            differ,
            compared,
            moved=moved,
            twin=twin,
        ),
        Figure(
            "distinct trainings in the grid",
            float(distinct),
            f"{distinct} of {len(cells)}",
            f"{expected}",
            verdict_of(distinct == expected) if twin == 0 else "not settled",
        ),
    ]


def explained(groups: Sequence[Hashable], values: Floats) -> float:
    """Share of the values' variance that lies between groups of cells, free of the seeds' noise.

    With m cells, s seeds and the noise v, the mean variance of a cell over its seeds,

        (SS_between - (g - 1) v) / (SS_cells - (m - 1) v + m s v)

    for g groups: sums of squares between the means of groups and of cells, each less what noise
    alone would make of it, over the variance of the cells' true means and the noise. 0 on average
    where groups mean nothing, and 0 where no two values differ. What cells of one group differ in
    is no noise, whatever the number of seeds.

    Args:
        groups: Each cell's group.
        values: Shape [seeds, cells], with at least two seeds.
    """
    seeds, m = values.shape
    noise = float(values.var(axis=0, ddof=1).mean())
    means = values.mean(axis=0)

    def between(labels: Sequence[Hashable]) -> float:
        members: dict[Hashable, list[float]] = {}
        for label, mean in zip(labels, means.tolist(), strict=True):
            members.setdefault(label, []).append(mean)
        middle = float(means.mean())
        squares = sum(len(of) * (float(np.mean(of)) - middle) ** 2 for of in members.values())
        return float(seeds * squares - (len(members) - 1) * noise)

    total = between(range(m)) + m * seeds * noise
    return between(groups) / total if total > 0 else 0.0
