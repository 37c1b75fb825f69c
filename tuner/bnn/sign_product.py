"""Products of signs with signs on a CPU, of fully connected layers: forward, or both ways.

Forward is XOR, and the ones counted: exact. Backward is that of ``sign_conv``: the output's
gradient rounded to int16 by a fixed dither, one scale for each trial, and its sums with signs
looked up.
"""

import logging
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tuner import kernels
from tuner.bnn.gradients import gradients
from tuner.bnn.sign_conv import Way

FEW_OUTPUTS = 16
"""Up to so many outputs a product is faster with the samples innermost in memory."""

_MOST_FEATURES = 2**24
"""Their sums are whole numbers that float32 holds."""

_MOST_SUMMED = 1_500_000
"""Samples, and outputs: with more, a gradient could overflow its int32."""

_log = logging.getLogger(__name__)


@cache
def trusted() -> bool:
    """Whether the compiled operation is there and right in a small case.

    One line says so where it is wrong.
    """
    library = kernels.library()
    if library is None or not hasattr(library, "tuner_binary_product_f32_f32"):
        return False
    types = torch.float32, torch.bfloat16
    for dtype, out in (
        (a, b) for a in types for b in types if kernels.suffix(a) != "f32" or a == b
    ):
        if not _right(dtype, out):
            _log.warning(
                "the compiled product of signs is wrong on this processor and left out: %s to %s",
                *(str(each).removeprefix("torch.") for each in (dtype, out)),
            )
            return False
    return True


def sign_product(x_KNC: Tensor, weight_KOC: Tensor, dtype: torch.dtype, way: Way) -> Tensor | None:
    """[K, N, C] times [K, O, C] -> [K, N, O] in a given type; None if it cannot.

    It cannot unless everything in both is +1 or -1. What it gives is exact, rounded once, and lies
    in memory as ``layers.product`` has it.

    Args:
        x_KNC: Activations.
        weight_KOC: The trials' weights.
        dtype: Float32, or the type of both.
        way: How to do it.
    """
    if way is Way.TORCH:
        return None
    given, wanted = kernels.suffix(x_KNC.dtype), kernels.suffix(dtype)
    if (
        given is None
        or wanted is None
        or weight_KOC.dtype != x_KNC.dtype
        or dtype not in (x_KNC.dtype, torch.float32)
        or x_KNC.dim() != 3
        or not 0 < x_KNC.shape[2] <= _MOST_FEATURES
        or weight_KOC.dim() != 3
        or weight_KOC.shape[::2] != x_KNC.shape[::2]
        or max(x_KNC.shape[1], weight_KOC.shape[1]) > _MOST_SUMMED
        or not kernels.usable(x_KNC, weight_KOC)
    ):
        return None
    swapped = weight_KOC.shape[1] <= FEW_OUTPUTS
    rows, others = (weight_KOC, x_KNC) if swapped else (x_KNC, weight_KOC)
    k, n, c = rows.shape
    out = torch.empty((k, n, others.shape[1]), dtype=dtype)
    name = f"tuner_binary_product_{given}_{wanted}"
    sizes = k, n, c, others.shape[1]
    if not kernels.holds(name, rows.contiguous(), others.contiguous(), *sizes, out):
        return None
    function = _Both if way is Way.BOTH else _Forward
    product: Tensor = function.apply(x_KNC, weight_KOC, out.transpose(1, 2) if swapped else out)
    return product


def product_gradients(ctx: Any, gradient_KNO: Tensor) -> tuple[Tensor | None, Tensor]:
    """The gradients of x, where it is wanted, and weight, by torch; ``ctx`` has saved both."""
    x_KNC, weight_KOC = ctx.saved_tensors
    g_KNO = gradient_KNO.to(x_KNC.dtype)
    dx = torch.bmm(g_KNO, weight_KOC.to(x_KNC.dtype)) if ctx.needs_input_grad[0] else None
    return dx, torch.bmm(g_KNO.transpose(1, 2), x_KNC).to(weight_KOC.dtype)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_KNC: Tensor, weight_KOC: Tensor, out_KNO: Tensor) -> Tensor:
        ctx.save_for_backward(x_KNC, weight_KOC)
        return out_KNO.view_as(out_KNO)

    @staticmethod
    def backward(ctx: Any, gradient_KNO: Tensor) -> tuple[Tensor | None, Tensor, None]:
        return *product_gradients(ctx, gradient_KNO), None


class _Both(_Forward):
    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_KNO: Tensor) -> tuple[Tensor | None, Tensor, None]:
        x, weight = (each.contiguous() for each in ctx.saved_tensors)
        g = gradient_KNO.to(x.dtype).contiguous()
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dweight = torch.empty_like(weight)
        name = f"tuner_binary_product_backward_{kernels.suffix(x.dtype)}"
        kernels.call(name, g, x, weight, *x.shape, weight.shape[1], dx, dweight)
        return dx, dweight, None


@torch.inference_mode(False)
@torch.enable_grad()
def _right(dtype: torch.dtype, out: torch.dtype) -> bool:
    """Whether it is torch's product where sizes are odd; gradients up to their rounding."""
    generator = torch.Generator().manual_seed(0)
    x, *weights = (
        (torch.rand(shape, generator=generator) < 0.5).to(dtype).mul_(2).sub_(1).requires_grad_()
        for shape in ((2, 19, 557), (2, 53, 557), (2, 3, 557))
    )
    for weight in weights:
        found = sign_product(x, weight, out, Way.BOTH)
        exact_x, exact_weight = (t.detach().double().requires_grad_() for t in (x, weight))
        exact = torch.bmm(exact_x, exact_weight.mT)
        if found is None or not torch.equal(found, exact.to(out)):
            return False
        g = torch.randn(exact.shape, generator=generator).to(dtype)
        rounded = gradients(found, (x, weight), g.to(out))
        others = gradients(exact, (exact_x, exact_weight), g.double())
        if not all(
            bool((a - b).abs().max() < 0.05 * b.abs().max())
            for a, b in zip(rounded, others, strict=True)
        ):
            return False
    return True
