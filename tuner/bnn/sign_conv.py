"""3x3 convolution of signs with signs on a CPU, without a product: forward, or both ways.

Forward, the signs are bits: XOR and the ones counted give the sums exactly. Backward, the output's
gradient is rounded to int16 by a fixed dither, one scale for each trial, and every sum of numbers
with signs is looked up, four at once, in a table of signed sums: exact but for that rounding.
"""

import logging
from enum import StrEnum
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tuner import kernels
from tuner.bnn.gradients import gradients

_UNIT = 16
"""Channels whose signs lie in one int16."""

_MOST_POSITIONS = 1_500_000
"""Of all images of a batch: with more, a weight's gradient could overflow its int32."""

_READ_BEYOND = 64
"""Units that the compiled operations may read beyond the last row, for each of a position."""

_log = logging.getLogger(__name__)


class Way(StrEnum):
    """How a binary convolution is done: forward, and its gradients."""

    TORCH = "torch"
    """Both by torch."""
    FORWARD = "forward by signs"
    """The gradients by torch, exactly as without."""
    BOTH = "by signs, gradients int16"
    """Both by signs."""


@cache
def trusted() -> bool:
    """Whether the compiled operations are there and right in a small case.

    One line says so where they are wrong.
    """
    library = kernels.library()
    if library is None or not hasattr(library, "tuner_binary_forward_f32"):
        return False
    for dtype in (torch.float32, torch.bfloat16):
        for stride in (1, 2):
            if not _right(dtype, stride):
                _log.warning(
                    "the compiled convolution of signs is wrong on this processor and left out: "
                    "%s, stride %d",
                    str(dtype).removeprefix("torch."),
                    stride,
                )
                return False
    return True


def sign_conv(x: Tensor, weight: Tensor, stride: int, way: Way) -> Tensor | None:
    """The convolution of [N, K*C, H, W] with [K, O, C, 3, 3], zeros around it; None if it cannot.

    Everything in ``x`` and ``weight`` has to be +1 or -1.

    Args:
        x: Activations, the trials' channels side by side.
        weight: The trials' weights.
        stride: 1 or 2.
        way: How to do it.
    """
    if way is Way.TORCH:
        return None
    name, n_trials = kernels.suffix(x.dtype), len(weight)
    if (
        name is None
        or x.dtype != weight.dtype
        or weight.shape[3:] != (3, 3)
        or stride not in (1, 2)
        or x.dim() != 4
        or x.shape[1] != n_trials * weight.shape[2]
        or not x.numel()
        or x[:, 0].numel() > _MOST_POSITIONS
        or not kernels.usable(x, weight)
    ):
        return None
    outputs, channels = weight.shape[1:3]
    images, _, height, width = x.shape
    units = -(-channels // _UNIT)
    size = n_trials * images * (height + 2) * (width + 2) * units
    bits = torch.zeros(size + _READ_BEYOND * units, dtype=torch.int16)
    weight_bits = torch.empty(n_trials * outputs * 9 * units, dtype=torch.int16)
    rows, flat = weight.contiguous(), x.permute(0, 2, 3, 1).contiguous()
    if not kernels.holds(
        f"tuner_binary_pack_weights_{name}", rows, n_trials * outputs, channels, weight_bits
    ) or not kernels.holds(
        f"tuner_binary_pack_{name}", flat, images, n_trials, height, width, channels, bits
    ):
        return None
    sizes = images, n_trials, height, width, channels, outputs, stride
    function = _Both if way is Way.BOTH else _Forward
    out: Tensor = function.apply(x, weight, bits, weight_bits, sizes)
    return out


Sizes = tuple[int, int, int, int, int, int, int]
"""Images, trials, height, width, channels, outputs and stride, as the operations take them."""


def _forward(x: Tensor, bits: Tensor, weight_bits: Tensor, sizes: Sizes) -> Tensor:
    images, n_trials, height, width, _, outputs, stride = sizes
    rows, columns = (height - 1) // stride + 1, (width - 1) // stride + 1
    out = x.new_empty((images, rows, columns, n_trials * outputs))
    name = f"tuner_binary_forward_{kernels.suffix(x.dtype)}"
    kernels.call(name, bits, weight_bits, *sizes, out)
    return out.permute(0, 3, 1, 2)


class _Forward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bits: Tensor, weight_bits: Tensor, sizes: Sizes
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.sizes = sizes
        return _forward(x, bits, weight_bits, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        _, n_trials, *_, stride = ctx.sizes
        dx, dweight, _ = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight.flatten(0, 1),
            None,
            [stride, stride],
            [1, 1],
            [1, 1],
            False,
            [0, 0],
            n_trials,
            [*ctx.needs_input_grad[:2], False],
        )
        return dx, None if dweight is None else dweight.view(weight.shape), None, None, None


class _Both(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bits: Tensor, weight_bits: Tensor, sizes: Sizes
    ) -> Tensor:
        ctx.save_for_backward(bits, weight_bits)
        ctx.sizes, ctx.weight_shape = sizes, weight.shape
        return _forward(x, bits, weight_bits, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        bits, weight_bits = ctx.saved_tensors
        images, n_trials, height, width, channels, *_ = ctx.sizes
        g = gradient.permute(0, 2, 3, 1).contiguous()
        for_x, for_weight = ctx.needs_input_grad[:2]
        dx = g.new_empty((images, height, width, n_trials * channels)) if for_x else None
        dweight = g.new_empty(ctx.weight_shape) if for_weight else None
        kernels.call(
            f"tuner_binary_backward_{kernels.suffix(g.dtype)}",
            g,
            bits,
            weight_bits,
            *ctx.sizes,
            dx,
            dweight,
        )
        return None if dx is None else dx.permute(0, 3, 1, 2), dweight, None, None, None


@torch.inference_mode(False)
@torch.enable_grad()
def _right(dtype: torch.dtype, stride: int) -> bool:
    """Whether it is torch's convolution where sizes are odd; gradients up to their rounding."""
    generator = torch.Generator().manual_seed(0)
    x, w = (
        (torch.rand(shape, generator=generator) < 0.5).to(dtype).mul_(2).sub_(1).requires_grad_()
        for shape in ((9, 2 * 35, 5, 10), (2, 21, 35, 3, 3))
    )
    out = sign_conv(x, w, stride, Way.BOTH)
    if out is None:
        return False
    g = torch.randn(out.shape, generator=generator).to(dtype)
    found = gradients(out, (x, w), g)
    exact_x, exact_w = (t.detach().double().requires_grad_() for t in (x, w))
    exact = F.conv2d(exact_x, exact_w.flatten(0, 1), stride=stride, padding=1, groups=2)
    others = gradients(exact, (exact_x, exact_w), g.double())
    return torch.equal(out.double(), exact.detach().to(dtype).double()) and all(
        bool((a - b).abs().max() < 0.05 * b.abs().max())
        for a, b in zip(found, others, strict=True)
    )
