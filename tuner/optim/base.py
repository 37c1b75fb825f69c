"""What all update rules for binary weights share.

A parameter holds what the forward pass uses: signs (times a channel scale where a rule keeps
one). Everything else, such as latent weights and filter states, is optimizer state. So one rule
replaces another without touching the module.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim import compiled, groups
from tuner.optim.filters import product
from tuner.optim.groups import Group, Known, Value
from tuner.optim.notices import Notices
from tuner.optim.parameters import (
    Lot,
    State,
    called,
    dense,
    keep_types,
    refuse_others,
    same_shape,
    tensors,
    total,
    trainable,
)
from tuner.optim.plain import (
    Sight,
    is_plain,
    is_strange,
    marks,
    may_look,
    numbers,
    outside_inference,
)
from tuner.optim.schedules import Decay, PerTrial
from tuner.optim.uncompiled import Optimizer

Parameters = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


def sign(x: Tensor) -> Tensor:
    """+1 where x >= 0 and -1 elsewhere, so the sign of either zero is +1."""
    if is_plain(x):
        return torch.copysign(torch.ones((), dtype=x.dtype, device=x.device), x + 0.0)
    return torch.copysign(torch.ones_like(x), x + 0.0)  # a DTensor takes no other kind beside it


class BinaryOptimizer(Optimizer):
    """Base of the update rules; it turns its parameters into signs when it is made.

    Hyperparameters lie in ``param_groups``, as in torch's optimizers: floats, or tensors of shape
    [K], one value per trial along the leading axis of every parameter. They may be changed
    between steps; ``lr`` is the one that torch's schedulers drive. ``flips`` holds how many signs
    the last step changed: shape [K] if any hyperparameter is a vector, else [].

    Subclasses give ``known``, ``_start``, ``_update``, ``holds`` and ``_adopt``.
    """

    known: Known
    """Names and ranges of the hyperparameters in a group."""

    recordable = True
    """Whether ``update`` may be recorded and replayed: no number of Python's changes in it."""

    counted_by: str | None = None
    """What of a state must be the same for all parameters of one compiled call."""

    _adopted: str
    """What was done about weights that others wrote, in words."""

    def __init__(
        self, params: Parameters, defaults: dict[str, Any], schedule: Decay | None = None
    ) -> None:
        self.schedule = schedule
        self.factor: Value = 1.0
        self.flips = torch.zeros((), dtype=torch.int64)
        self.resumed = False
        listed: list[Any] = [] if isinstance(params, Tensor) else list(params)
        own = [group for group in listed if isinstance(group, dict)]
        self.per_trial = (isinstance(schedule, PerTrial) and schedule.per_trial) or any(
            map(groups.any_along_trials, [defaults, *own])
        )
        self._forget()
        super().__init__(params if isinstance(params, Tensor) else listed, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, replacing their values by signs.

        Args:
            param_group: ``params``, and hyperparameters of their own; a ``name`` if you like.

        Raises:
            InvalidInput: If a hyperparameter is unknown, out of range or of another length than
                the parameters' leading axis, or a parameter cannot be made binary.
        """
        super().add_param_group(self.known.given(param_group, type(self).__name__))
        group = self.param_groups[-1]
        try:
            self._check(group, first=True)
            for param in group["params"]:
                trainable(param, f"{type(self).__name__}: {called(self.param_groups, param)}")
        except InvalidInput:
            self.param_groups.pop()
            raise
        group.setdefault("step_count", self.step_count)
        self._aliases[id(group)] = group["lr"]
        with torch.inference_mode(False), torch.no_grad():
            for param in group["params"]:
                self._notices.given(param)
                state = self.state[param]
                state.update(self._start(param, group))
                self._left.update(marks([param], [state]))
                self._notices.starts_as(param)

    @property
    def step_count(self) -> int:
        """Steps taken: a schedule's place. It lies in the groups, and so in what is saved."""
        return int(self.param_groups[0].get("step_count", 0)) if self.param_groups else 0

    @step_count.setter
    def step_count(self, count: int) -> None:
        for group in self.param_groups:
            group["step_count"] = count

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch's overloads
        """Update every parameter that has a gradient; returns the closure's loss.

        torch's compiler leaves it alone: it would take the count of steps for a constant.
        """
        if torch.compiler.is_compiling():
            return torch.compiler.disable(self._take_step)(closure)  # type: ignore[no-any-return, no-untyped-call]  # torch's
        return self._take_step(closure)

    @torch.no_grad()
    def _take_step(self, closure: Callable[[], float] | None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.tick()
        self.update()
        return loss

    @torch.no_grad()
    def tick(self) -> None:
        """Begin a step: see that hyperparameters are legal, count, bring the schedule's factor up.

        Raises:
            InvalidInput: If a hyperparameter or the schedule's factor is out of range.
        """
        for group in self.param_groups:
            self._check(group, first=False)
        step = self.step_count
        if self.schedule is not None:
            self._bring_up(self.schedule(step), step)
        self.step_count = step + 1

    @outside_inference
    @torch.no_grad()
    def update(self) -> None:
        """The rest of a step, after ``tick``: always the same operations on the same tensors.

        Weights that others wrote since the last step are taken in first.

        Raises:
            InvalidInput: If a gradient is sparse.
            RuntimeError: If a parameter is no longer of its state's shape.
        """
        first = self.step_count == 1
        flips = list[Tensor]()
        for group in self.param_groups:
            self._notices.look_at_gradients(group["params"])
            found = [(p, grad) for p in group["params"] if (grad := p.grad) is not None]
            if not found:
                continue
            params, gradients = zip(*found, strict=True)
            states = self._states_of(params, group)
            settled, sight = self._look_at(params, states, group, first=first)
            lot = Lot(params, gradients, states, settled, self.per_trial, sight)
            together, apart = self._parted(lot)
            flips += (self._update_together(each, group) for each in together)
            flips += (self._update(*each, group) for each in apart)
            if together == [lot]:
                self._sights[id(group)] = sight.written() if sight else Sight.of(params, states)
            else:
                self._sights[id(group)] = None
                self._left.update(marks(params, states))
            if self._at_times and not self.per_trial:
                self._notices.look_at_states(params, states)
        if flips:
            self.flips = total(flips)
        owner = type(self).__name__
        self._notices.say(owner, lambda param: called(self.param_groups, param), self._adopted)
        if first and not self.resumed:
            self._notices.say_trained(owner)

    @property
    def _at_times(self) -> bool:
        """Whether to look at values: what is written through .data shows there only."""
        step = self.step_count - 1
        return step & (step - 1) == 0

    def _look_at(
        self, params: Sequence[Tensor], states: Sequence[State], group: Group, *, first: bool
    ) -> tuple[list[bool], Sight | None]:
        """Of each whether nobody wrote to it since the last step; what was written is taken in.

        Beside it what is seen of them, if their last step was one compiled call for all of them.
        """
        sight, last = Sight.of(params, states), self._sights.get(id(group))
        if sight is not None and sight == last and not (self._at_times or first):
            return [True] * len(params), sight
        self._left.update({} if last is None else last.marks())
        now = marks(params, states) if sight is None else sight.marks()
        left = [self._left.get(id(param)) for param in params]
        watched = self._at_times or any(map(self._rewrites, {param.dtype for param in params}))
        settled = [now[id(param)] == mark for param, mark in zip(params, left, strict=True)]
        for place, (param, state) in enumerate(zip(params, states, strict=True)):
            strange = watched and self._is_strange(param, group)
            if settled[place] and not (strange or first):
                continue
            same_shape(param, state, type(self).__name__, self.param_groups)
            urgent = first or not settled[place]
            values = numbers(param) if may_look(param, urgent=urgent) else None
            if values is None:
                continue
            if not self.holds(values, state, group):
                self._adopt(param, state, group)
                settled[place] = False
                self._notices.see("written", param)
            elif (mark := left[place]) and mark[0] != now[id(param)][0]:  # written, not moved
                self._notices.written(param)
        return settled, None

    def finite(self, n_trials: int) -> Tensor:
        """Whether every number of a trial's state is finite, shape [K], for K = ``n_trials``."""
        checks = [
            torch.isfinite(value).reshape(n_trials, -1).all(1)
            for state in self.state.values()
            for _, value in tensors(state)
        ]
        return torch.stack(checks).all(0)

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the trials at these positions of the leading axis, shape [k]."""
        for state in self.state.values():
            state.update({name: value[keep] for name, value in tensors(state)})
        for group in (self.defaults, *self.param_groups):
            groups.keep_trials(group, keep)
        if isinstance(self.schedule, PerTrial) and self.schedule.per_trial:
            self.schedule.select_trials(keep)
        if isinstance(self.factor, Tensor) and self.factor.dim() == 1:
            self.factor = self.factor[keep]

    def __repr__(self) -> str:
        schedule = "" if self.schedule is None else f"schedule: {self.schedule!r}\n"
        return super().__repr__()[:-1] + schedule + ")"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle needs; not what a scheduler hung on ``step``."""
        ours = ("schedule", "factor", "flips", "resumed", "per_trial")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in ours}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As torch's; a copy has seen no step."""
        super().__setstate__(state)
        self._forget()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As torch's: state, hyperparameters, steps taken; the schedule itself is the program's.

        The parameters' own values come with the module's state dict, before or after.

        Raises:
            InvalidInput: If it is another optimizer's.
        """
        names = {name for state in self.state.values() for name in state}
        keys = {*self.known.kinds, "step_count"}
        others = self.known.of_others
        refuse_others(state_dict, type(self).__name__, keys=keys, others=others, names=names)
        before = self.param_groups
        super().load_state_dict(dict(state_dict))
        keep_types(state_dict, self.state, self.param_groups, before)
        self.resumed = True

    def _forget(self) -> None:
        """Know nothing of what was seen so far."""
        self._left: dict[int, tuple[Any, ...]] = {}
        self._sights: dict[int, Sight | None] = {}
        self._checked: dict[int, list[Any]] = {}
        self._aliases: dict[int, Any] = {}
        self._notices = Notices()

    def _check(self, group: Group, *, first: bool) -> None:
        """See that the hyperparameters are legal, where they changed."""
        owner, known, alias = type(self).__name__, self.known.kinds, self.known.driven
        if not first and alias in group and alias not in known:
            self._renamed(group, group.pop(alias))
        checked = self._checked.get(id(group))
        if checked is not None and all(map(is_, map(group.get, known), checked)):
            return
        for key in known:
            if group[key] is None:
                raise InvalidInput(f"{owner}: give {self.known.driven}, or the same as {key}")
            group[key] = self.known.checked(key, group[key], first=first)
        groups.fits_rows(group, owner)
        self.per_trial = self.per_trial or groups.any_along_trials(group)
        self._together(group)
        self._checked[id(group)] = [group[key] for key in known]

    def _renamed(self, group: Group, value: Any) -> None:
        """Take a value that was put under the rule's own name for ``lr`` between two steps.

        A wrapper of optimizers writes the constructor's arguments there at each step: only what
        is new counts.
        """
        kept = self._aliases.setdefault(id(group), self.defaults["lr"])
        if value is not kept and not bool(torch.as_tensor(value == kept).all()):
            group["lr"] = self._aliases[id(group)] = value

    def _together(self, group: Group) -> None:
        """Refuse hyperparameters that do not go together."""

    def _bring_up(self, factor: Value, step: int) -> None:
        if isinstance(factor, Tensor):
            if isinstance(self.factor, Tensor):
                self.factor.copy_(factor)  # where a recorded step reads it
            else:
                self.factor = factor
            return
        self.factor = float(factor)
        owner = type(self).__name__
        if not 0 <= self.factor < float("inf"):
            raise InvalidInput(
                f"{owner}: the schedule must give a number in [0, inf), "
                f"got {self.factor} at step {step}"
            )
        for group in self.param_groups:
            if not isinstance(group["lr"], Tensor):
                self.known.checked("lr", self._rate(group), first=False)

    def _rate(self, group: Group) -> Value:
        """What ``lr`` is at this step."""
        return product(group["lr"], self.factor)

    def _rewrites(self, dtype: torch.dtype) -> bool:  # noqa: ARG002
        """Whether a step writes all values of that type anew: others' are to be seen before it."""
        return False

    def _is_strange(self, param: Tensor, group: Group) -> bool:  # noqa: ARG002
        """Whether the first values are no signs: who writes to a parameter writes to all of it."""
        return is_strange(param)

    def _as_state(self, gradient: Tensor, like: Tensor) -> Tensor:
        """The gradient in the state's type, where it is dense."""
        dense(gradient, type(self).__name__)
        return gradient.to(like.dtype)

    def _start(self, param: Tensor, group: Group) -> State:
        """The state of a new parameter; writes its first signs."""
        raise NotImplementedError

    def _states_of(self, params: Sequence[Tensor], group: Group) -> list[State]:
        """Their states, with all that a step needs: what was loaded may have none for some."""
        of_all = vars(self)["state"]  # a rule may have steps that others are yet to see there
        states = [of_all[param] for param in params]
        if not all(states):
            for param, state in zip(params, states, strict=True):
                state.update({} if state else self._start(param, group))
        return states

    def _parted(self, lot: Lot) -> tuple[list[Lot], Lot]:
        """Those that take a compiled step, in lots that take it together, and the others."""
        return compiled.parted(lot, by=self.counted_by)

    def _update_together(self, lot: Lot, group: Group) -> Tensor:
        """Take the compiled step; returns how many signs changed, as ``_count`` does."""
        raise NotImplementedError

    def _update(self, param: Tensor, gradient: Tensor, state: State, group: Group) -> Tensor:
        """Take one step on a parameter in torch; returns how many signs changed, by ``_count``."""
        raise NotImplementedError

    def holds(self, values: Tensor, state: State, group: Group) -> bool:
        """Whether a parameter's values are such as this rule leaves."""
        raise NotImplementedError

    def _adopt(self, param: Tensor, state: State, group: Group) -> None:
        """Go on from values that others wrote."""
        raise NotImplementedError

    def _count(self, changed: Tensor) -> Tensor:
        """How many are true, int64: of each trial, [K], or of all, []."""
        return changed.flatten(1).sum(1) if self.per_trial else changed.sum()
