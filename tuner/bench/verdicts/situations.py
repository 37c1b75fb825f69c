"""The situations that ``tuner bench verdicts`` tries, in its order."""

from tuner.bench.verdicts.more_arms import CONTROLS, LEARNING, LOOKS, MANY_ARMS
from tuner.bench.verdicts.situation import Situation
from tuner.bench.verdicts.two_arms import (
    ALIKE,
    APART,
    COLLAPSES,
    LOSSES,
    NOISE,
    NOTHING,
    RARELY_GOOD,
)

SITUATIONS: tuple[Situation, ...] = (
    *ALIKE,
    *COLLAPSES,
    *NOISE,
    *RARELY_GOOD,
    *MANY_ARMS,
    *CONTROLS,
    *LEARNING,
    *LOOKS,
    *LOSSES,
    *NOTHING,
    *APART,
)
