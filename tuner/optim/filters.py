"""Linear filters over a stream of gradients, as pairs of functions: a state at rest, and a step.

A filter turns the gradients g_1, g_2, ... into a signal s_t; the update rule in ``flip.py`` looks
at the sign of s_t alone. State is a dict of tensors shaped like the gradient; hyperparameters are
floats, or vectors of K along the gradient's leading (trial) axis.
"""

import torch
from torch import Tensor

from tuner.optim.groups import Value

FilterState = dict[str, Tensor]


def state_like(param: Tensor) -> Tensor:
    """Zeros for a rule's state: shaped as the parameter, in float32 at least."""
    return torch.zeros_like(
        param, dtype=torch.promote_types(param.dtype, torch.float32), requires_grad=False
    )


def along(value: Value, like: Tensor) -> Value:
    """The value shaped to broadcast along the leading axis of ``like``, on its device.

    Floats pass through.
    """
    if not isinstance(value, Tensor):
        return value
    if value.device != like.device:
        value = value.to(like.device)
    return value if value.dim() == 0 else value.view(-1, *[1] * (like.dim() - 1))


def product(value: Value, factor: Value) -> Value:
    """The hyperparameter times its schedule's factor, on the hyperparameter's device."""
    if isinstance(factor, Tensor):
        return value * (factor.to(value.device) if isinstance(value, Tensor) else factor)
    return value if factor == 1 else value * factor


def lerp_(start: Tensor, end: Tensor, weight: Value) -> Tensor:
    """Move ``start`` towards ``end`` by ``weight``, in place: (1 - weight) start + weight end."""
    if isinstance(weight, Tensor):
        return start.lerp_(end, weight.to(start.dtype))
    return start.lerp_(end, weight)


def cascade_at_rest(like: Tensor, gamma: Value) -> FilterState:
    """The state of ``cascade``, all zeros; if gamma is the float 1, m_t is g_t and needs none."""
    names = ["s"] if one_average(gamma) else ["s", "m"]
    return {name: state_like(like) for name in names}


def one_average(gamma: Value) -> bool:
    """Whether a cascade with this gamma is a single moving average for all trials."""
    return not isinstance(gamma, Tensor) and gamma == 1


def cascade(state: FilterState, gradient: Tensor, alpha: Value, gamma: Value) -> Tensor:
    """Two first-order low-pass filters in a row (cascaded exponential moving averages).

    m_t = (1 - gamma) m_{t-1} + gamma g_t
    s_t = (1 - alpha) s_{t-1} + alpha m_t,    s_0 = m_0 = 0

    Args:
        state: Changed in place.
        gradient: g_t.
        alpha: Weight of the newest m, in (0, 1], shape [] or [K]. Memory is about 1/alpha steps.
        gamma: Weight of the newest gradient, in (0, 1], shape [] or [K].

    Returns:
        s_t.

    Source: Quist et al. (2023), arXiv:2303.02452.
    """
    m = gradient
    if "m" in state:
        m = lerp_(state["m"], gradient, along(gamma, gradient))
    return lerp_(state["s"], m, along(alpha, gradient))
