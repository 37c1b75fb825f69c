"""Schedules: the factor by which alpha or the learning rate is multiplied at each step."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

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


class Schedule:
    """One schedule of a known length, or one for each of K trials.

    Args:
        kinds: A schedule's name, or K names.
        steps: The length of the run in steps, at least 1.
        device: Where the factors of K trials are wanted.

    Raises:
        UnknownName: If a kind does not exist.
        InvalidInput: If ``steps`` is below 1.
    """

    def __init__(
        self, kinds: str | Sequence[str], steps: int, *, device: torch.device | str = "cpu"
    ) -> None:
        self.per_trial = not isinstance(kinds, str)
        self.kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        self.steps = steps
        for kind in self.kinds:
            factor(kind, 0, steps)
        if self.per_trial:  # all there is to know lies on the device: a step waits for nothing
            names = sorted(set(self.kinds))
            rows = [[factor(name, step, steps) for name in names] for step in range(steps + 1)]
            self.table = torch.tensor(rows, dtype=torch.float64, device=device)
            self.row = torch.tensor([names.index(kind) for kind in self.kinds], device=device)

    def __call__(self, step: int) -> float | Tensor:
        """The factor at a step (0-based): a float, or float64 of shape [K]."""
        if not self.per_trial:
            return factor(self.kinds[0], step, self.steps)
        return self.table[min(step, self.steps)][self.row]

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the schedules at these positions, shape [k]."""
        self.kinds = [self.kinds[position] for position in keep.tolist()]
        self.row = self.row[keep]
