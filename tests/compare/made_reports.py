"""Comparisons with everything that a report can draw, made from nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from made_filters import filters
from matplotlib.figure import Figure

from tuner.compare import Arm, Comparison, Protocol, Retrained, compare
from tuner.compare.comparison import detailed, judged
from tuner.compare.figures.gallery import pictures
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.ranking import Importance, Ranking

N = 12
CONDITIONS = ("linear_in_gradient", "stable", "alpha_not_inert", "start_forgotten")


@cache
def full_report(
    arm: Callable[..., Arm],
    retrained: Callable[..., Retrained],
    *,
    n_arms: int,
    decades: float = 4.0,
) -> Comparison:
    """Random searches, two repeated ones before them and one arm that searches nothing.

    Args:
        arm: The fixture.
        retrained: The fixture.
        n_arms: Random searches, at least 2.
        decades: That the filters and the flip ratios span.
    """
    rng = np.random.default_rng(0)
    share = Estimate(0.5, 0.4, 0.6)
    found = Ranking({"alpha": share, "gamma": share}, Estimate(2, 1, 2), 0.9, 0.05)
    importance = Importance(found, None, N, N)
    again = np.repeat(np.arange(6), N // 6)
    arms = [
        arm(name, 0.9 * rng.random(N), sampler="tpe", repeat=again, retrained=retrained(0.9))
        for name in ("new_tpe", "old_tpe")
    ]
    for number in range(n_arms):
        law = 10 ** rng.uniform(-2 - decades, -2, N)
        arms.append(
            arm(
                f"magnitude_narrow_{number}",
                0.9 * rng.random(N),
                retrained=retrained(0.8 + 0.001 * number),
                epochs=np.full(N, 20.0),
                filters=filters(
                    10 ** rng.uniform(-1 - decades, -1, N),
                    10 ** rng.uniform(-decades, 0, N),
                    learning_rate=rng.random(N),
                    weight_decay=rng.random(N),
                    violated={name: rng.random(N) < 0.2 for name in CONDITIONS},
                    flip_ratio_law=law,
                    flip_ratio_measured=law * 10 ** rng.uniform(0, decades / 10, N),
                ),
                importance=importance,
            )
        )
    arms.append(arm("untuned", rng.random(N), sampler="defaults"))
    names = [one.name for one in arms]
    protocol = Protocol(
        primary=(names[2], names[3]), repeated=("new_tpe", "old_tpe"), target=0.85, k=3
    )
    return detailed(compare(arms, protocol), arms)


def as_losses(comparison: Comparison, *, minimized: bool) -> Comparison:
    """The same of scores from -1 to 0: as they are, or as losses from 0 to 1 turned round."""

    def less(runs: Retrained) -> Retrained:
        return replace(runs, val=runs.val - 1, test=runs.test - 1)

    arms = [
        replace(
            detail.arm,
            scores=detail.arm.scores - 1,
            retrained=detail.arm.retrained and less(detail.arm.retrained),
        )
        for detail in comparison.details
    ]
    declared, target = comparison.protocol, comparison.protocol.target
    protocol = replace(
        declared,
        unit="loss",
        minimized=minimized,
        bounds=(-1.0, 0.0),
        target=None if target is None else target - 1,
    )
    return judged(arms, protocol)


def captions(comparison: Comparison) -> dict[str, str]:
    """Name of each figure -> its caption."""
    return {picture.name: picture.caption for picture in pictures(comparison)}


class Drawings(Mapping[str, Figure]):
    """Name of each figure -> its drawing, made when it is asked for."""

    def __init__(self, comparison: Comparison) -> None:
        self._pictures = {picture.name: picture for picture in pictures(comparison)}

    def __getitem__(self, name: str) -> Figure:
        return self._pictures[name].drawing

    def __iter__(self) -> Iterator[str]:
        return iter(self._pictures)

    def __len__(self) -> int:
        return len(self._pictures)
