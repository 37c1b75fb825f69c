"""Linear filters over a stream of gradients, as pairs of functions: a state at rest, and a step.

A filter turns the gradients g_1, g_2, ... into a signal s_t; the update rule in ``flip.py`` looks
at the sign of s_t alone. State is a dict of tensors shaped like the gradient; hyperparameters are
floats, or vectors of K along the gradient's leading (trial) axis.
"""

import numpy as np
import torch
from torch import Tensor

from tuner.errors import InvalidInput
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


def sections(sos: object) -> Tensor:
    """Second-order sections in scipy.signal's convention, as a float64 tensor.

    Args:
        sos: Sections, shape [S, 6], or [K, S, 6] for one filter per trial.

    Raises:
        InvalidInput: If the shape is wrong, a0 is not 1, a number is not finite, or a pole lies
            on or outside the unit circle.
    """
    numbers = np.array(sos, dtype=np.float64)
    if numbers.ndim not in (2, 3) or numbers.shape[-1] != 6 or 0 in numbers.shape:
        raise InvalidInput(
            f"FilterFlip: sos must have shape [S, 6] or [K, S, 6], got {numbers.shape}"
        )
    if not np.isfinite(numbers).all() or not (numbers[..., 3] == 1).all():
        raise InvalidInput("FilterFlip: sos must be finite with a0 = 1 in every section")
    for section in numbers.reshape(-1, 6):
        pole = max(np.roots(section[3:]), key=abs, default=0.0)
        if not abs(pole) < 1:
            raise InvalidInput(
                f"FilterFlip: sos is unstable, its pole {pole:.6g} has modulus {abs(pole):.6g}"
                " and must lie inside the unit circle"
            )
    return torch.from_numpy(numbers)


def sections_at_rest(like: Tensor, sos: Tensor) -> FilterState:
    """The state of ``run_sections``, all zeros."""
    return {f"z{i}_{s}": state_like(like) for s in range(sos.shape[-2]) for i in (1, 2)}


def run_sections(state: FilterState, gradient: Tensor, sos: Tensor) -> Tensor:
    """Any stable linear filter, as second-order sections one after the other.

    In transposed direct form II: y = b0 x + z1;  z1 = b1 x - a1 y + z2;  z2 = b2 x - a2 y.

    Args:
        state: Changed in place.
        gradient: g_t.
        sos: As ``sections`` gives them.

    Returns:
        s_t.

    Source: scipy.signal.sosfilt.
    """
    x = gradient
    for s, (b0, b1, b2, _, a1, a2) in enumerate(_coefficients(sos, gradient)):
        z1, z2 = state[f"z1_{s}"], state[f"z2_{s}"]
        y = b0 * x + z1
        z1.copy_(b1 * x - a1 * y + z2)
        z2.copy_(b2 * x - a2 * y)
        x = y
    return x


def _coefficients(sos: Tensor, like: Tensor) -> list[list[Value]]:
    """Per section its six coefficients, floats or broadcast over the trial axis."""
    if sos.dim() == 2:
        return [list(map(float, section)) for section in sos]
    rows = sos.to(dtype=like.dtype, device=like.device)
    return [
        [along(rows[:, s, i].contiguous(), like) for i in range(6)] for s in range(rows.shape[1])
    ]
