"""Steps of update rules as compiled operations: one pass over the weights, flips counted.

Each does what its rule does in torch, up to rounding; ``fits`` says where it can.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from tuner import kernels
from tuner.optim.filters import Value


def fits(param: Tensor, gradient: Tensor, state: Mapping[str, Tensor]) -> bool:
    """Whether the compiled steps can work on these: in a CPU's memory, without gaps, float32."""
    return (
        kernels.suffix(param.dtype) is not None
        and gradient.dtype == param.dtype
        and kernels.usable(param, gradient)
        and param.is_contiguous()
        and gradient.is_contiguous()
        and all(v.dtype == torch.float32 and v.is_contiguous() for v in state.values())
    )


def cascade(
    flips: Tensor,
    param: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    *,
    alpha: Value,
    gamma: Value,
    settled: bool,
) -> None:
    """``FilterFlip``'s step with a ``Cascade``; counts the flips into ``flips``, [] or [K].

    ``settled`` says that the parameter is as the last step left it.
    """
    kernels.call(
        f"tuner_cascade_{kernels.suffix(param.dtype)}",
        param,
        state.get("m"),
        state["s"],
        gradient,
        _per_row(alpha, flips),
        _per_row(gamma, flips),
        settled,
        *_rows(param, flips),
        flips,
    )


def latent_sgd(
    flips: Tensor,
    param: Tensor,
    gradient: Tensor,
    state: Mapping[str, Tensor],
    *,
    learning_rate: Value,
    weight_decay: Value,
    momentum: Value,
    clip: Value,
    scaling: bool | Tensor,
    dampening: float,
    coupled: bool,
    nesterov: bool,
    fresh: bool,
    settled: bool,
    channels: int,
) -> None:
    """``LatentSGD``'s step, its momentum in ``state["m"]``.

    Args:
        flips: Room for the number of flips, int64, [] or [K].
        param: As the rule has it.
        gradient: Its gradient.
        state: The latent weights and, with momentum, its buffer.
        learning_rate: At this step.
        weight_decay: As the rule has it.
        momentum: As the rule has it.
        clip: As the rule has it.
        scaling: As the rule has it.
        dampening: As the rule has it.
        coupled: As the rule has it.
        nesterov: As the rule has it.
        fresh: Whether the buffer is yet to be set.
        settled: Whether the parameter is as the last step left it.
        channels: Output channels of a trial, each with a scale of its own.
    """
    per_row = (learning_rate, weight_decay, momentum, clip, scaling)
    kernels.call(
        f"tuner_latent_sgd_{kernels.suffix(param.dtype)}",
        param,
        state["w"],
        state.get("m"),
        gradient,
        *(_per_row(value, flips) for value in per_row),
        float(dampening),
        coupled,
        nesterov,
        fresh,
        settled,
        channels,
        *_rows(param, flips),
        flips,
    )


def _rows(param: Tensor, flips: Tensor) -> tuple[int, int]:
    """Trials, and weights of each."""
    return flips.numel(), param.numel() // flips.numel()


def _per_row(value: Value, flips: Tensor) -> Tensor:
    """The hyperparameter as float32, one for each row."""
    row = torch.as_tensor(value, dtype=torch.float32)
    return row.expand(flips.numel()).contiguous()
