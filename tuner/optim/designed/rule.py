"""The rule whose filter is designed: flip by a low-pass of a family, an order and a memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim.base import Parameters
from tuner.optim.designed import running, slots
from tuner.optim.designed.behind import WritesBehind
from tuner.optim.designed.prototypes import Array, in_words, padded, prototype
from tuner.optim.flip import Flipping, flip_where
from tuner.optim.groups import Group, Known, Value, either
from tuner.optim.parameters import Lot, State
from tuner.optim.schedules import Decay
from tuner.rules import RULES, Number


class DesignedFilter(WritesBehind, Flipping):
    """Flip a binary weight to the side that the gradient asks for behind a designed low-pass.

    s_t = filter(g_1, ..., g_t);    flip b where s_t b > 0;    at s_t = 0 the sign stays

    The filter is one of a family's, of a given order and memory: its gain is 1 at frequency 0 and
    3 dB less, half the power, at the cut-off, 1 / memory radians a step (``prototypes`` has the
    families, ``slots`` the form that it runs in). A schedule moves the cut-off, and with it all
    coefficients at every step. An ema of order 1 is ``FilterFlip`` with alpha = 1 / memory.

    Args:
        params: As in ``FilterFlip``.
        memory: In steps, at least 1, shape [] or [K].
        family: One of ema, butterworth, bessel, chebyshev1, moving_average and damped; or K of
            them, one per trial.
        order: Number of poles, 1 to 4; or K of them.
        damping: Of the damped family, in [0.05, 10], 1 is critical; or K of them.
        cutoff: 1 / memory in place of it, in (0, 1], shape [] or [K]. It lies under ``lr`` in the
            groups, where torch's schedulers drive it.
        lr: Another name for cutoff.
        schedule: Factor on the cut-off at each step.

    Raises:
        InvalidInput: If a value is out of range, or both or none of memory and cutoff are given.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([0.3, -0.2]))
        >>> rule = DesignedFilter([weight], memory=100, family="butterworth", order=3)
        >>> weight.grad = torch.tensor([1.0, 1.0])
        >>> rule.step()
        >>> weight.data
        tensor([-1., -1.])

    Source: Quist et al. (2023), arXiv:2303.02452, for gradient filters of order 1 and 2; Oppenheim
    & Schafer, Discrete-Time Signal Processing, chapter 7, for the families.
    """

    known = Known(
        "designed_filter",
        driven="cutoff",
        more={"cutoff": Number(1e-3, high=1, open_low=True)},
        without=("memory", "damping"),
    )
    averages = ("w0", "v0", "w1", "v1")  # all that an even gradient has settled is at it

    def __init__(
        self,
        params: Parameters,
        memory: Value | Sequence[float] | None = None,
        family: str | Sequence[str] = "ema",
        order: int | Sequence[int] = 2,
        damping: float | Sequence[float] = 1.0,
        *,
        cutoff: Value | None = None,
        lr: Value | None = None,
        schedule: Decay | None = None,
    ) -> None:
        driven = either("DesignedFilter", "cutoff", cutoff, lr)
        if memory is not None and driven is not None:
            raise InvalidInput("DesignedFilter: give memory or cutoff, and not both")
        if memory is not None:
            driven = _cutoff_of(memory)
        self._given: dict[str, Any] = {"family": family, "order": order, "damping": damping}
        super().__init__(params, {"lr": driven, "design": _design_of(**self._given)}, schedule)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """See ``BinaryOptimizer``; a group may have a memory and a design of its own."""
        group = dict(param_group)
        if own := {name: group.pop(name) for name in self._given if name in group}:
            group["design"] = _design_of(**{**self._given, **own})
        if "memory" in group:
            group["cutoff"] = _cutoff_of(group.pop("memory"))
        super().add_param_group(group)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See ``BinaryOptimizer``; a memory is loaded as any number is, another design refused."""
        saved, owner = state_dict["param_groups"], type(self).__name__
        running.refuse_others(saved, self.param_groups, owner, "design", in_words)
        super().load_state_dict(state_dict)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_given": self._given}

    @torch.no_grad()
    def tick(self) -> None:
        """See ``BinaryOptimizer``; the coefficients follow the cut-off."""
        super().tick()
        for group in self.param_groups:
            rate = self._rate(group)
            cutoff = np.asarray(rate.cpu() if isinstance(rate, Tensor) else rate, dtype=np.float64)
            now = (cutoff.tobytes(), group["design"], group.get("slots"))
            if not all(map(_same, self._at.get(id(group), (None,) * 3), now)):
                self._bring_slots(group, cutoff)
                self._at[id(group)] = (*now[:2], group.get("slots"))

    def _bring_slots(self, group: Group, cutoff: Array) -> None:
        numbers = slots.of_design(np.asarray(group["design"]), cutoff)
        there = group.get("slots")
        if isinstance(there, Tensor) and there.shape == numbers.shape:
            there.copy_(torch.from_numpy(numbers))  # where a recorded step reads it
        elif group["params"]:
            on = group["params"][0].device
            fresh = running.kept(numbers, as_tensor=on.type != "cpu")
            group["slots"] = fresh.to(on) if isinstance(fresh, Tensor) else fresh

    def _forget(self) -> None:
        super()._forget()
        self._at: dict[int, tuple[bytes, running.Numbers, running.Numbers | None]] = {}

    def _start(self, param: Tensor, group: Group) -> State:
        super()._start(param, group)
        return running.at_rest(param, group["design"])

    def _update_together(self, lot: Lot, group: Group) -> Tensor:
        return self._behind.step(lot, group["slots"])

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        self._behind.let_go([param])
        s = running.run(state, self._as_state(gradient, state["w0"]), group["slots"])
        return self._count(flip_where(param, s * param > 0))


def _same(one: object, other: object) -> bool:
    return one is other or (isinstance(one, bytes) and one == other)


def _cutoff_of(memory: Value | Sequence[float]) -> Value:
    """1 / memory, as a float, or in float64.

    Raises:
        InvalidInput: If a memory is below a step.
    """
    steps = torch.as_tensor(memory, dtype=torch.float64)
    if not bool((steps >= 1).all()):
        raise InvalidInput(f"DesignedFilter: memory must be at least 1 step, got {memory}")
    return float(1 / steps) if steps.dim() == 0 else 1 / steps


def _design_of(
    family: str | Sequence[str], order: int | Sequence[int], damping: float | Sequence[float]
) -> running.Numbers:
    """The prototypes of one design, or of K."""
    given: dict[str, Any] = {"family": family, "order": order, "damping": damping}
    lengths = {n: len(v) for n, v in given.items() if isinstance(v, list | tuple)}
    if len(set(lengths.values())) > 1:
        raise InvalidInput(
            "DesignedFilter: family, order and damping must be one value, or as many as there are "
            f"trials, got {', '.join(f'{count} of {name}' for name, count in lengths.items())}"
        )

    def of_trial(k: int) -> Array:
        own = {name: value[k] if name in lengths else value for name, value in given.items()}
        kinds = RULES["designed_filter"]
        checked = [kinds[name].check(f"designed_filter.{name}", own[name]) for name in own]
        return prototype(str(checked[0]), int(checked[1]), float(checked[2]))

    trials = range(max(lengths.values(), default=1))
    prototypes = padded([of_trial(k) for k in trials])
    return running.kept(prototypes if lengths else prototypes[0])
