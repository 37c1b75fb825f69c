"""What an optimizer says unasked, once each, of what would else go wrong in silence."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from tuner.optim.parameters import tensors
from tuner.optim.plain import numbers

FIRST_STEPS = 3
"""A gradient that is zero everywhere in so many first steps is no chance."""

_WORDS = {
    "dead": (
        f"the gradient of {{names}} was zero everywhere in the first {FIRST_STEPS} steps, so none "
        "of these signs can change. A layer that clips its weight in forward (clamp, hardtanh, a "
        "straight-through estimator cut off at 1) gives no gradient at exactly +1 and -1: let it "
        "use the weight as it is, for this optimizer keeps it binary. tuner.bnn.check(model, "
        "optimizer) tries every layer"
    ),
    "cut off": (
        f"{{names}} had no gradient in the first {FIRST_STEPS} steps, so none of these signs can "
        "change. Forward must use the parameter itself, not its .data and not a copy made "
        "earlier; if it is to learn later, freeze it till then by requires_grad_(False). "
        "tuner.bnn.check(model, optimizer) tries every layer"
    ),
    "broken": (
        "the state of {names} holds NaN or infinity, so signs there cannot change any more: a "
        "gradient was not finite, or the learning rate is too high. A layer that divides by the "
        "spread of its weights divides by 0 where all are +1, as Brevitas's integer quantiser "
        "does with weight_bit_width=1 (weight_quant_type='binary' cures it): take the division "
        "out. Where gradients overflow, a GradScaler leaves the step out"
    ),
    "written": (
        "others wrote to {names} since this optimizer did, such as a checkpoint or an "
        "initialisation: {adopted}. Load or initialise a network before its optimizer is made, "
        "and give a checkpoint's optimizer state to load_state_dict. A loop or a layer that "
        "centres, clips or scales its weights in place at each step is to leave that out: this "
        "optimizer keeps them binary"
    ),
}


class Notices:
    """Looks at the first gradients, the first weights and the state, and warns."""

    def __init__(self) -> None:
        self._without: dict[int, int] = {}
        self._looked_at: set[int] = set()
        self._trained = 0
        self._starts: dict[int, Tensor] = {}
        self._said: set[str] = set()
        self._seen: dict[str, list[Tensor]] = {}

    def look_at_gradients(self, params: Sequence[Tensor]) -> None:
        """See whether all of a parameter's first gradients are missing, or zero everywhere."""
        if self._looked_at.issuperset(map(id, params)):
            return
        for param in params:
            if id(param) not in self._looked_at and param.requires_grad:
                self._look_at_gradient(param)

    def _look_at_gradient(self, param: Tensor) -> None:
        if _is_recording(param):
            return
        known = None if param.grad is None else numbers(param.grad)
        unknown = known is None and param.grad is not None
        if unknown or (known is not None and _has_any(known)):
            self._looked_at.add(id(param))
            return
        self._without[id(param)] = self._without.get(id(param), 0) + 1
        if self._without[id(param)] == FIRST_STEPS:
            self._looked_at.add(id(param))
            self.see("cut off" if known is None else "dead", param)

    def look_at_states(
        self, params: Sequence[Tensor], states: Sequence[Mapping[str, Any]]
    ) -> None:
        """See whether a parameter's state holds a NaN or an infinity."""
        for param, state in zip(params, states, strict=True):
            if "broken" in self._said or _is_recording(param):
                continue
            known = (numbers(value) for _, value in tensors(state))
            if any(each is not None and not bool(each.isfinite().all()) for each in known):
                self.see("broken", param)

    def see(self, what: str, param: Tensor) -> None:
        """Note something of a parameter in this step."""
        self._seen.setdefault(what, []).append(param)

    def given(self, param: Tensor) -> None:
        """Look whether a parameter comes as signs of both kinds, as a trained one does."""
        known = numbers(param)
        if known is None or known.numel() < 2 or not bool((known.abs() == 1).all()):
            return
        self._trained += bool(known.min() < known.max())

    def starts_as(self, param: Tensor) -> None:
        """Remember what a parameter is after the optimizer made it binary."""
        known = numbers(param)
        if known is not None:
            self._starts[id(param)] = _fingerprint(known)

    def written(self, param: Tensor) -> None:
        """Look at a parameter that others wrote: as a copy of what it was, or as a trained one."""
        start, known = self._starts.get(id(param)), numbers(param)
        if start is not None and known is not None:
            now = _fingerprint(known)
            if start.device != now.device or not torch.equal(start, now):
                self.given(param)

    def say(self, rule: str, name_of: Callable[[Tensor], str], adopted: str) -> None:
        """Warn of what was seen in this step.

        Args:
            rule: The optimizer's name.
            name_of: What to call a parameter.
            adopted: What the rule does about weights that others wrote.
        """
        for what, params in self._seen.items():
            names = "; ".join(map(name_of, params))
            self._say(what, f"{rule}: {_WORDS[what].format(names=names, adopted=adopted)}")
        self._seen.clear()

    def say_trained(self, rule: str) -> None:
        """Warn of weights that may be trained ones, without the state that goes with them."""
        if self._trained:
            self._say(
                "trained",
                f"{rule}: {self._trained} parameters came as +1 and -1. If they are trained, "
                "training does not go on from them but begins anew: give the optimizer's saved "
                "state to load_state_dict, or keep the signs by FilterFlip.from_trained(params, "
                "strength)",
            )

    def _say(self, kind: str, words: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            warnings.warn(words, stacklevel=2)


def _is_recording(param: Tensor) -> bool:
    """Whether a GPU is recording, so that no number can be read."""
    return param.is_cuda and torch.cuda.is_current_stream_capturing()


def _has_any(gradient: Tensor) -> bool:
    """Whether it is not zero everywhere, or of a kind that is not looked at."""
    looked_at = gradient.layout is torch.strided and gradient.numel() > 0
    return not looked_at or bool(gradient.any())


def _fingerprint(values: Tensor) -> Tensor:
    """A number that other signs would not give, but by chance."""
    flat = values.detach().flatten().double()
    return flat @ torch.linspace(1, 2, len(flat), dtype=flat.dtype, device=flat.device)
