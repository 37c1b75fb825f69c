"""Arms whose searches selected settings of known worth, and the comparison of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tuner.compare import Arm, Comparison, Protocol, compare
from tuner.compare.arm import SelectedRuns

MakeArm = Callable[..., Arm]
WORKLOAD = "digits (mlp, 10 epochs)"


def scores(top: float, seed: int, n: int = 200, spread: float = 0.05) -> np.ndarray:
    """Scores spread evenly below ``top``, in random order."""
    return np.random.default_rng(seed).permutation(top - spread * np.linspace(0, 1, n) ** 2)


def fresh(mean: float, n: int = 20, spread: float = 0.002, planned: int = 20) -> SelectedRuns:
    """Fresh runs of what n searches selected, equally spaced about the mean, shuffled."""
    runs = mean + spread * np.random.default_rng(round(1e4 * mean)).permutation(
        np.linspace(-1, 1, n)
    )
    return SelectedRuns(np.arange(n), val=runs, test=runs, planned=planned)


def judged(
    arm: MakeArm,
    new: Any,
    old: Any,
    narrow: Any = None,
    *,
    afresh: tuple[float, ...] = (),
    **declared: Any,
) -> Comparison:
    """The comparison of two or three arms; ``afresh``: means of the settings trained afresh."""
    names = ("filter", "magnitude", "magnitude_narrow")
    of = {name: {"selected": fresh(mean)} for name, mean in zip(names, afresh, strict=False)}
    given = {"filter": new, "magnitude": old, "magnitude_narrow": narrow}
    arms = [
        arm(name, scores, **of.get(name, {}))
        for name, scores in given.items()
        if scores is not None
    ]
    if narrow is not None:
        declared["control"] = "magnitude_narrow"
    protocol = Protocol(primary=("filter", "magnitude"), workload=WORKLOAD, **declared)
    return compare(arms, protocol)


def by_fresh(arm: MakeArm, *means: float, **declared: Any) -> Comparison:
    """The comparison of arms whose settings, trained afresh, have these means."""
    searched = [scores(0.96, seed) for seed in range(len(means))]
    return judged(arm, *searched, afresh=means, **declared)


PAIR = (("filter", 0.97), ("magnitude", 0.93))
"""Arms that are far apart, and the means of their settings trained afresh."""
