"""Linear filters over a stream of gradients, as init/update pairs.

A filter turns the gradients g_1, g_2, ... into a signal s_t; the update rule in ``flip.py`` looks
at the sign of s_t alone. State is a dict of tensors shaped like the gradient; hyperparameters are
floats, or vectors of K along the gradient's leading (trial) axis.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.rules import RULES

FilterState = dict[str, Tensor]
Value = float | Tensor
"""A hyperparameter: one float, or a tensor of shape [K], one per trial."""


class Filter(Protocol):
    """A stable linear filter; ``update`` changes ``state`` in place and returns s_t."""

    per_trial: bool

    def init(self, like: Tensor) -> FilterState:
        """The state at rest, all zeros, for gradients shaped like ``like``."""
        ...

    def update(self, state: FilterState, gradient: Tensor, factor: Value) -> Tensor:
        """Take in one gradient; ``factor`` scales alpha at this step."""
        ...

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the trials at these positions, shape [k]."""
        ...


def state_like(param: Tensor) -> Tensor:
    """Zeros for a rule's state: shaped as the parameter, in float32 at least."""
    return torch.zeros_like(param, dtype=torch.promote_types(param.dtype, torch.float32))


def along(value: Value, like: Tensor) -> Value:
    """The value shaped to broadcast along the leading axis of ``like``; floats pass through."""
    if isinstance(value, float | int) or value.dim() == 0:
        return value
    return value.view(-1, *[1] * (like.dim() - 1))


def product(value: Value, factor: Value) -> Value:
    """The hyperparameter times its schedule's factor, on the hyperparameter's device."""
    if isinstance(value, Tensor) and isinstance(factor, Tensor):
        return value * factor.to(value.device)
    return value * factor


def legal(rule: str, **values: Value) -> None:
    """Refuse hyperparameters outside the ranges that ``tuner.rules`` gives the rule.

    Raises:
        InvalidInput: Naming the rule, the hyperparameter, its range and the first bad value.
    """
    for name, value in values.items():
        for number in torch.as_tensor(value).flatten().tolist():
            RULES[rule][name].check(f"{rule}.{name}", number)


class Cascade:
    """Two first-order low-pass filters in a row (cascaded exponential moving averages).

    m_t = (1 - gamma) m_{t-1} + gamma g_t
    s_t = (1 - alpha_t) s_{t-1} + alpha_t m_t,    s_0 = m_0 = 0,    alpha_t = alpha factor_t

    Args:
        alpha: Weight of the newest m, in (0, 1], shape [] or [K]. Memory is about 1/alpha steps.
        gamma: Weight of the newest gradient, in (0, 1], shape [] or [K]; 1 leaves one filter.

    Raises:
        InvalidInput: If alpha or gamma is outside (0, 1].

    Source: Quist et al. (2023), arXiv:2303.02452.
    """

    def __init__(self, alpha: Value, gamma: Value = 1.0) -> None:
        legal("filter_flip", alpha=alpha, gamma=gamma)
        self.alpha = alpha
        self.gamma = gamma
        self.per_trial = any(isinstance(v, Tensor) and v.dim() == 1 for v in (alpha, gamma))

    @property
    def first_order(self) -> bool:
        """Whether gamma is the float 1, so that m_t is g_t and needs no memory."""
        return isinstance(self.gamma, float | int) and self.gamma == 1

    def init(self, like: Tensor) -> FilterState:
        """See Filter."""
        names = ["s"] if self.first_order else ["s", "m"]
        return {name: state_like(like) for name in names}

    def update(self, state: FilterState, gradient: Tensor, factor: Value) -> Tensor:
        """See Filter."""
        m = gradient
        if not self.first_order:
            m = lerp_(state["m"], gradient, along(self.gamma, gradient))
        return lerp_(state["s"], m, along(product(self.alpha, factor), gradient))

    def select_trials(self, keep: Tensor) -> None:
        """See Filter."""
        self.alpha, self.gamma = (
            value[keep] if isinstance(value, Tensor) and value.dim() == 1 else value
            for value in (self.alpha, self.gamma)
        )


def lerp_(start: Tensor, end: Tensor, weight: Value) -> Tensor:
    """Move ``start`` towards ``end`` by ``weight``, in place: (1 - weight) start + weight end."""
    if isinstance(weight, Tensor):
        return start.lerp_(end, weight.to(start.dtype))
    return start.lerp_(end, weight)


class Sections:
    """Any stable linear filter, as second-order sections one after the other.

    Each section is b0, b1, b2, 1, a1, a2 in scipy.signal's convention, run in transposed direct
    form II: y = b0 x + z1;  z1 = b1 x - a1 y + z2;  z2 = b2 x - a2 y.

    Args:
        sos: Sections, shape [S, 6], or [K, S, 6] for one filter per trial.

    Raises:
        InvalidInput: If the shape is wrong, a0 is not 1, a number is not finite, or a pole lies
            on or outside the unit circle.

    Source: scipy.signal.sosfilt.
    """

    def __init__(self, sos: object) -> None:
        sections = np.asarray(sos, dtype=np.float64)
        if sections.ndim not in (2, 3) or sections.shape[-1] != 6 or 0 in sections.shape:
            raise InvalidInput(
                f"FilterFlip: sos must have shape [S, 6] or [K, S, 6], got {sections.shape}"
            )
        if not np.isfinite(sections).all() or not (sections[..., 3] == 1).all():
            raise InvalidInput("FilterFlip: sos must be finite with a0 = 1 in every section")
        for section in sections.reshape(-1, 6):
            pole = max(np.roots(section[3:]), key=abs, default=0.0)
            if not abs(pole) < 1:
                raise InvalidInput(
                    f"FilterFlip: sos is unstable, its pole {pole:.6g} has modulus {abs(pole):.6g}"
                    " and must lie inside the unit circle"
                )
        self.sos = torch.from_numpy(sections)
        self.per_trial = self.sos.dim() == 3

    def init(self, like: Tensor) -> FilterState:
        """See Filter."""
        names = (f"z{i}_{s}" for s in range(self.sos.shape[-2]) for i in (1, 2))
        return {name: state_like(like) for name in names}

    def update(self, state: FilterState, gradient: Tensor, factor: Value) -> Tensor:
        """See Filter; a section has no alpha, so the factor must be 1."""
        if not isinstance(factor, float | int) or factor != 1:
            raise InvalidInput("FilterFlip: sos takes no schedule, its coefficients are constant")
        x = gradient
        for s, section in enumerate(self._coefficients(gradient)):
            b0, b1, b2, _, a1, a2 = section
            z1, z2 = state[f"z1_{s}"], state[f"z2_{s}"]
            y = b0 * x + z1
            z1.copy_(b1 * x - a1 * y + z2)
            z2.copy_(b2 * x - a2 * y)
            x = y
        return x

    def select_trials(self, keep: Tensor) -> None:
        """See Filter."""
        self.sos = self.sos[keep] if self.per_trial else self.sos

    def _coefficients(self, like: Tensor) -> list[list[Value]]:
        """Per section its six coefficients, floats or broadcast over the trial axis."""
        if self.sos.dim() == 2:
            return [list(map(float, section)) for section in self.sos]
        sos = self.sos.to(dtype=like.dtype, device=like.device)
        return [
            [along(sos[:, s, i].contiguous(), like) for i in range(6)] for s in range(sos.shape[1])
        ]
