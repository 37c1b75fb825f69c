"""Decay: the factor by which alpha or the learning rate is multiplied at each step. No torch."""

import math
from collections.abc import Callable

from tuner.errors import InvalidInput, UnknownName

_SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda x: 1 - x,
    "cosine": lambda x: (1 + math.cos(math.pi * x)) / 2,
    "step": lambda x: 1.0 if x < 0.5 else 0.1 if x < 0.75 else 0.01,
}


def factor(kind: str, step: int, steps: int) -> float:
    """The factor of one schedule at one step, in [0, 1]; linear and cosine end at 0.

    constant 1; linear 1 - t/T; cosine (1 + cos(pi t/T)) / 2; step 1, a tenth from T/2, a
    hundredth from 3T/4.

    Args:
        kind: One of constant, linear, cosine, step.
        step: t, counted from 0; steps beyond T take the factor at T.
        steps: T, the length of the run, at least 1.

    Raises:
        UnknownName: If the kind does not exist.
        InvalidInput: If ``steps`` is below 1.
    """
    if kind not in _SHAPES:
        raise UnknownName("schedule", kind, _SHAPES)
    if not steps >= 1:
        raise InvalidInput(f"schedule: steps must be >= 1, got {steps}")
    return _SHAPES[kind](min(step / steps, 1.0))
