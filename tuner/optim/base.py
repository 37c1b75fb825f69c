"""What all update rules for binary weights share.

A parameter holds what the forward pass uses: signs (times a channel scale where a rule keeps
one). Everything else, such as latent weights and filter states, is optimizer state. So one rule
replaces another without touching the module.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim.schedules import Schedule

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]]


@runtime_checkable
class PerTrial(Protocol):
    """Holds hyperparameters that may be vectors along the trial axis: a filter, a schedule."""

    per_trial: bool

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the trials at these positions, shape [k]."""
        ...


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0 and -1 elsewhere, so the sign of either zero is +1."""
    return torch.copysign(torch.ones((), dtype=x.dtype, device=x.device), x + 0.0)


def vector(value: object) -> bool:
    """Whether a hyperparameter has one value per trial, itself or inside a filter or schedule."""
    if isinstance(value, Tensor):
        return value.dim() == 1
    return isinstance(value, PerTrial) and value.per_trial


def select_vectors(owner: object, keep: Tensor) -> None:
    """Keep only these trials' entries in the attributes of ``owner`` that are vectors."""
    for name, value in vars(owner).items():
        if isinstance(value, Tensor) and value.dim() == 1:
            setattr(owner, name, value[keep])
        elif isinstance(value, PerTrial) and value.per_trial:
            value.select_trials(keep)


class BinaryOptimizer(torch.optim.Optimizer):
    """Base of the update rules; it turns its parameters into signs when it is made.

    Hyperparameters are floats, or tensors of shape [K], one value per trial along the leading
    axis of every parameter. ``flips`` holds how many signs the last step changed: shape [K] if
    any hyperparameter is a vector, else [].

    Subclasses give ``_start`` and ``_update``, and set what those need before ``__init__`` here.
    """

    recordable = True
    """Whether ``update`` may be recorded and replayed: no number of Python's changes in it."""

    def __init__(self, params: Parameters) -> None:
        self.per_trial = any(vector(value) for value in vars(self).values())
        self.step_count = 0
        self.factor: float | Tensor = 1.0
        self.flips = torch.zeros((), dtype=torch.int64)
        self._left: dict[int, list[tuple[int, int]]] = {}
        super().__init__(params, {})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, replacing their values by signs.

        Raises:
            InvalidInput: If the group names hyperparameters of its own.
        """
        if own := set(param_group) - {"params"}:
            raise InvalidInput(
                f"{type(self).__name__}: a parameter group cannot have its own {sorted(own)[0]}; "
                "make one optimizer for each set of hyperparameters"
            )
        super().add_param_group(param_group)
        with torch.no_grad():
            for param in self.param_groups[-1]["params"]:
                self.state[param].update(self._start(param))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch's overloads
        """Update every parameter that has a gradient; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.tick()
        self.update()
        return loss

    @torch.no_grad()
    def tick(self) -> None:
        """Begin a step: count it, and bring the schedule's factor up to it."""
        schedule: Schedule | None = getattr(self, "schedule", None)
        if schedule is not None:
            factor = schedule(self.step_count)
            if isinstance(self.factor, Tensor) and isinstance(factor, Tensor):
                self.factor.copy_(factor)  # where a recorded step reads it
            else:
                self.factor = factor
        self.step_count += 1

    @torch.no_grad()
    def update(self) -> None:
        """The rest of a step, after ``tick``: always the same operations on the same tensors."""
        flips = []
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    flips.append(self._update(param, param.grad, self.state[param]))
                    self._left[id(param)] = self._mark(param)
        if flips:
            self.flips = torch.stack(flips).sum(0) if len(flips) > 1 else flips[0]

    def _settled(self, param: Tensor) -> bool:
        """Whether nobody wrote to the parameter or its state since this optimizer's last step.

        Writes through ``.data`` go unseen, as they do to autograd.
        """
        return self._left.get(id(param)) == self._mark(param)

    def _mark(self, param: Tensor) -> list[tuple[int, int]]:
        """Changes with whatever torch writes to the parameter or its state, or puts there."""
        return [(x._version, x.data_ptr()) for x in (param, *self.state[param].values())]

    def finite(self) -> Tensor:
        """Whether every number of a trial's state is finite, shape [K]; needs ``per_trial``."""
        checks = [
            torch.isfinite(value).flatten(1).all(1)
            for state in self.state.values()
            for value in state.values()
        ]
        return torch.stack(checks).all(0)

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the trials at these positions of the leading axis, shape [k]."""
        for state in self.state.values():
            for name, value in state.items():
                state[name] = value[keep]
        select_vectors(self, keep)

    def __getstate__(self) -> dict[str, Any]:
        """All that is public: torch's own would lose the hyperparameters in a copy or a pickle."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As torch's; a copy has seen no step."""
        super().__setstate__(state)
        self._left = {}

    def state_dict(self) -> dict[str, Any]:
        """As torch's, with the number of steps taken; hyperparameters are not state."""
        return {**super().state_dict(), "step_count": self.step_count}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As torch's; the parameters' own values come with the module's state dict."""
        kept = dict(state_dict)
        self.step_count = int(kept.pop("step_count"))
        super().load_state_dict(kept)
        saved = (index for group in kept["param_groups"] for index in group["params"])
        params = (param for group in self.param_groups for param in group["params"])
        for index, param in zip(saved, params, strict=True):
            for name, value in kept["state"].get(index, {}).items():
                self.state[param][name] = value.to(param.device)  # torch rounds it to the param's

    def _start(self, param: Tensor) -> dict[str, Tensor]:
        """The state of a new parameter; writes its first signs."""
        raise NotImplementedError

    def _update(self, param: Tensor, gradient: Tensor, state: dict[str, Tensor]) -> Tensor:
        """Take one step on a parameter; returns how many signs changed, as ``_count`` does."""
        raise NotImplementedError

    def _no_flips(self, param: Tensor) -> Tensor:
        """Room for a count, shaped as ``_count``'s."""
        return param.new_empty(param.shape[:1] if self.per_trial else (), dtype=torch.int64)

    def _count(self, changed: Tensor) -> Tensor:
        """How many are true, int64: of each trial, [K], or of all, []."""
        return changed.flatten(1).sum(1) if self.per_trial else changed.sum()
