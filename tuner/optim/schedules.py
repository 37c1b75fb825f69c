"""Schedules of a known length, for one trial or for K."""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from tuner.optim.decay import factor

Decay = Callable[[int], float | Tensor]
"""The factor at a step (0-based): a ``Schedule``, or any function that gives a float."""


@runtime_checkable
class PerTrial(Protocol):
    """A schedule that may give one factor per trial."""

    per_trial: bool

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the trials at these positions, shape [k]."""
        ...


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

    def __repr__(self) -> str:
        return f"Schedule({self.kinds if self.per_trial else self.kinds[0]!r}, {self.steps})"

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the schedules at these positions, shape [k]."""
        self.kinds = [self.kinds[position] for position in keep.tolist()]
        self.row = self.row[keep]
