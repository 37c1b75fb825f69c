"""Steps of filters on many weights, whose state is read and written every other time.

What such a step costs is the memory that it goes through, and most of that is state. But which
signs change does not need all of it: a gradient may enter the state one step later, in the same
pass as the next one. So of two steps the first reads little but the gradient, which it keeps, the
second does the work of both; the signs are the same, bit for bit. See ``kernels/filters.h``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tuner.optim import compiled
from tuner.optim.base import BinaryOptimizer
from tuner.optim.designed.running import Numbers
from tuner.optim.parameters import Lot

FEWEST_BYTES = 2**24
"""Of state: less than this stays in a processor's cache, and is better written at once."""


@dataclass
class _Kept:
    """What is kept of some parameters that take their steps together.

    Args:
        lot: They, as they took the step whose gradients these are; its gradients are copies.
        rows: The slots of that step, shape [K, S, 8].
        bounds: How large their states are.
        due: Whether the gradients have yet to enter the states.
    """

    lot: Lot
    rows: Tensor
    bounds: compiled.Bounds
    due: bool = False

    def fits(self, lot: Lot, rows: Tensor) -> bool:
        """Whether the parameters are as they were, and their filter is of the same form."""
        return (
            self.rows.shape == rows.shape
            and torch.equal(self.rows[..., -1], rows[..., -1])
            and _forms(self.lot.gradients) == _forms(lot.gradients)
        )

    def enter(self) -> None:
        """Have the gradients enter the states: they count as written to, so the bounds end."""
        if self.due:
            nowhere = [torch.zeros_like(gradient) for gradient in self.lot.gradients]
            compiled.slots(replace(self.lot, params=nowhere, sight=None), self.rows)
        self.due = False


@dataclass
class Behind:
    """The gradients of one optimizer that have yet to enter its states."""

    _kept: dict[tuple[int, ...], _Kept] = field(default_factory=dict)

    def step(self, lot: Lot, numbers: Numbers) -> Tensor:
        """Take a filter's step; returns how many signs changed.

        Args:
            lot: Parameters that take it in one compiled call.
            numbers: Slots.
        """
        rows, pays = compiled.rows_of(lot, numbers), _pays(lot)
        if not (pays or self._kept):
            return compiled.slots(lot, rows)
        key = tuple(map(id, lot.params))
        kept = self._kept.get(key)
        if kept is None or not kept.fits(lot, rows):
            self.let_go(lot.params)
            if not pays:
                return compiled.slots(lot, rows)
            empty = replace(lot, gradients=list(map(torch.empty_like, lot.gradients)))
            kept = self._kept[key] = _Kept(empty, rows, compiled.Bounds.none(lot, rows))
        take = compiled.slots_behind if kept.due else compiled.slots_ahead
        copies = kept.lot.gradients
        flips = take(lot, rows, copies, kept.bounds, last_rows=kept.rows)
        kept.lot, kept.rows, kept.due = replace(lot, gradients=copies), rows.clone(), not kept.due
        return flips

    def enter(self) -> None:
        """Bring all states up to the last step."""
        for kept in self._kept.values():
            kept.enter()

    def let_go(self, params: Sequence[Tensor]) -> None:
        """Keep nothing of these parameters any more."""
        these = set(map(id, params))
        for other in [key for key in self._kept if not these.isdisjoint(key)]:
            self._kept.pop(other).enter()


class WritesBehind(BinaryOptimizer):
    """A rule that may take steps on its parameters by ``_behind``.

    Whoever looks at its state finds it as after the last step.
    """

    _behind: Behind

    @property
    def state(self) -> Any:  # as torch has it
        """As torch's."""
        self._behind.enter()
        return vars(self)["state"]

    @state.setter
    def state(self, state: Any) -> None:
        vars(self)["state"] = state

    def _forget(self) -> None:
        super()._forget()
        self._behind = Behind()


def _forms(tensors: Sequence[Tensor]) -> list[tuple[torch.dtype, torch.Size]]:
    return [(tensor.dtype, tensor.shape) for tensor in tensors]


def _pays(lot: Lot) -> bool:
    """Whether they have much state, and more numbers of it than a step's signs need."""
    of_each = len(lot.columns or ()) - 1
    numbers = sum(param.numel() for param in lot.params) * of_each
    return of_each > 1 and numbers * torch.float32.itemsize >= FEWEST_BYTES
