"""The spaces that the situations are made of."""

from tuner.bench.verdicts.intervals import SEEN
from tuner.bench.verdicts.shapes import At, LowerTail, Mixed, Normal, Shape
from tuner.bench.verdicts.situation import NARROW, NEW, OLD
from tuner.bench.verdicts.space import KnownSpace, Learning, Runs

GOOD = Normal(0.95, 0.01)
"""What settings are worth in most situations: 95% and a point about it."""
OFTEN_AT_CHANCE = Mixed(0.4, At(0.1), GOOD)
TWO_KINDS = Mixed(0.3, Normal(0.96, 0.004), Normal(0.92, 0.01))
LONG_TAIL = LowerTail(0.98, 0.03)
RARE = Mixed(0.01, At(0.956), At(0.856))
POOR = Normal(0.93, 0.015)
BEST = Normal(0.97, 0.006)

BEYOND_SEEN = {
    SEEN: "it says that it supposes no trial outside what was seen, and here there are such; the "
    "interval in front of it supposes the known bounds alone"
}
"""Why the narrower interval of the best of k may miss."""


def space(settings: Shape = GOOD, **runs: float) -> KnownSpace:
    """A space by what its settings are worth, and what is unusual in its runs."""
    return KnownSpace(settings, Runs(**runs))  # type: ignore[arg-type]  # images is a whole number


def alike(one: KnownSpace, *others: str) -> dict[str, KnownSpace]:
    """New, old and further arms, all of one space."""
    return dict.fromkeys((NEW, OLD, *others), one)


def pair(
    new: KnownSpace, old: KnownSpace, narrow: KnownSpace | None = None
) -> dict[str, KnownSpace]:
    """The new space, the old one, and perhaps narrow ranges."""
    return {NEW: new, OLD: old} | ({} if narrow is None else {NARROW: narrow})


def learns(**learning: float) -> KnownSpace:
    """A space searched by a sampler that learns, of which some searches may get stuck."""
    return KnownSpace(GOOD, learning=Learning(top=0.97, pace=6, **learning))
