"""Batch norm and sign in one: what stands between two binary layers.

On a CPU these are most of a training step, so one compiled operation does them in two passes over
the activations. The twin, in torch, runs where that operation is not there, and on GPUs.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import handle_torch_function, has_torch_function_unary

from tuner import kernels
from tuner.optim.base import sign

EPS = 1e-5
MOMENTUM = 0.1
"""Of batch norm's running statistics, as torch has them."""


@dataclass(frozen=True)
class Norm:
    """Batch norm's parameters and running statistics, float [K, C] each."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    training: bool

    @property
    def numbers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All of them."""
        return self.weight, self.bias, self.running_mean, self.running_var


class _SignSTE(torch.autograd.Function):
    """Sign forward; backward the gradient where |x| < 1 (straight-through estimator)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return sign(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        passed: Tensor = torch.ops.aten.hardtanh_backward(gradient, x, -1.0, 1.0)
        return passed


def sign_ste(x: Tensor) -> Tensor:
    """The sign of activations, +1 at 0, with the straight-through gradient clipped to |x| < 1.

    Source: Hubara et al. (2016), arXiv:1602.02830.
    """
    if has_torch_function_unary(x):  # as for torch's own: what follows a network sees the call
        seen: Tensor = handle_torch_function(sign_ste, (x,), x)
        return seen
    out: Tensor = _SignSTE.apply(x)
    return out


def batch_norm(x: Tensor, norm: Norm) -> Tensor:
    """Batch normalisation of [K, N, C] or [N, K*C, H, W], every trial's channels by themselves."""
    if x.dim() == 3:
        k, n, c = x.shape
        flat = batch_norm(x.transpose(0, 1).reshape(n, k * c, 1, 1), norm)
        return flat.view(n, k, c).transpose(0, 1)
    return F.batch_norm(
        x,
        norm.running_mean.view(-1),
        norm.running_var.view(-1),
        norm.weight.flatten(),
        norm.bias.flatten(),
        training=norm.training,
        momentum=MOMENTUM,
        eps=EPS,
    )


def norm_sign(x: Tensor, norm: Norm) -> Tensor:
    """sign(batch_norm(x)), with the straight-through gradient.

    Args:
        x: Activations, [K, N, C] or [N, K*C, H, W].
        norm: Batch norm's parameters.
    """
    if not _fits(x, norm):
        return sign_ste(batch_norm(x, norm))
    signs: Tensor = _NormSign.apply(x, *_packed(norm), norm)
    return signs


def norm_add_sign(x: Tensor, norm: Norm, residual: Tensor | None) -> tuple[Tensor, Tensor]:
    """The sum z = batch_norm(x) + residual, and sign(z) with the straight-through gradient.

    Args:
        x: Activations, [K, N, C] or [N, K*C, H, W].
        norm: Batch norm's parameters.
        residual: Shaped as x; None for none.
    """
    if not _fits(x, norm, residual):
        z = batch_norm(x, norm) if residual is None else batch_norm(x, norm) + residual
        return z, sign_ste(z)
    z, signs = _NormAddSign.apply(x, *_packed(norm), residual, norm)
    return z, signs


def max_pool(x: Tensor) -> Tensor:
    """Largest of each 2x2 square of [N, C, H, W]; a last odd row or column is left out."""
    if x.dim() != 4 or min(x.shape) < 2 or not _compiled(x):
        return F.max_pool2d(x, 2)
    out: Tensor = _MaxPool.apply(x)
    return out


def _packed(norm: Norm) -> tuple[Tensor, Tensor]:
    """Weight and bias without gaps, as the compiled operations take them."""
    return norm.weight.contiguous(), norm.bias.contiguous()


def _compiled(x: Tensor) -> bool:
    return kernels.suffix(x.dtype) is not None and kernels.usable(x)


def _fits(x: Tensor, norm: Norm, residual: Tensor | None = None) -> bool:
    """Whether the compiled operations can do it; what they cannot, torch does or refuses."""
    trials, channels = norm.weight.shape
    if x.dim() == 3:
        shaped, rows = x.shape[::2] == norm.weight.shape, x.shape[1]
    else:
        shaped, rows = x.dim() == 4 and x.shape[1] == trials * channels, x[:, :1].numel()
    return (
        _compiled(x)
        and shaped
        and rows > norm.training
        and all(n.dtype == torch.float32 and kernels.usable(n) for n in norm.numbers)
        and all(n.shape == norm.weight.shape for n in norm.numbers)
        and norm.running_mean.is_contiguous()
        and norm.running_var.is_contiguous()
        and (residual is None or (residual.shape, residual.dtype) == (x.shape, x.dtype))
    )


def _innermost_channels(x: Tensor) -> Tensor:
    """A view [..., channels] of contiguous memory; copies if x lies otherwise."""
    if x.dim() == 3:
        return x.contiguous()
    return x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)


def _like(flat: Tensor, x: Tensor) -> Tensor:
    """The inverse of ``_innermost_channels``."""
    return flat if x.dim() == 3 else flat.permute(0, 3, 1, 2)


def _sizes(flat: Tensor) -> tuple[int, int, int]:
    """Groups, rows and channels as the compiled operations count them."""
    if flat.dim() == 3:
        k, n, c = flat.shape
        return k, n, c
    return 1, flat.shape[:3].numel(), flat.shape[3]


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    norm: Norm,
    residual: Tensor | None,
    z: Tensor | None,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Signs, and the [2, K, C] mean and 1/deviation that normalised x; writes z and mask.

    Args:
        x: Activations [..., channels].
        weight: Batch norm's.
        bias: Batch norm's.
        norm: Batch norm's other numbers.
        residual: What is added, if anything.
        z: Where the sum goes, if it is wanted.
        mask: Where a bit goes for each number of z, whether its sign lets a gradient pass.
    """
    statistics = torch.empty((2, *weight.shape))
    signs = torch.empty_like(x)
    kernels.call(
        f"tuner_norm_sign_{kernels.suffix(x.dtype)}",
        x,
        *_sizes(x),
        norm.training,
        EPS,
        MOMENTUM,
        norm.running_mean,
        norm.running_var,
        weight,
        bias,
        residual,
        statistics[0],
        statistics[1],
        z,
        mask,
        signs,
    )
    return signs, statistics


def _backward(
    gz: Tensor | None,
    gs: Tensor,
    x: Tensor,
    mask: Tensor | None,
    *parameters: Tensor,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Gradients of x, weight, bias and, where there is a mask, of what was added."""
    statistics, weight, bias = parameters
    dx = torch.empty_like(x)
    inner = None if mask is None else torch.empty_like(x)
    dweight, dbias = torch.empty_like(weight), torch.empty_like(bias)
    kernels.call(
        f"tuner_norm_sign_backward_{kernels.suffix(x.dtype)}",
        gz,
        gs,
        x,
        mask,
        *_sizes(x),
        training,
        statistics[0],
        statistics[1],
        weight,
        bias,
        inner,
        dx,
        dweight,
        dbias,
    )
    return dx, dweight, dbias, inner


class _NormSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, norm: Norm) -> Tensor:
        flat = _innermost_channels(x)
        signs, statistics = _forward(flat, weight, bias, norm, None, None, None)
        ctx.save_for_backward(flat, statistics, weight, bias)
        ctx.training = norm.training
        return _like(signs, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, *parameters = ctx.saved_tensors
        dx, dweight, dbias, _ = _backward(
            None, _innermost_channels(gradient), x, None, *parameters, training=ctx.training
        )
        return _like(dx, gradient), dweight, dbias, None


class _NormAddSign(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, norm: Norm
    ) -> tuple[Tensor, Tensor]:
        flat = _innermost_channels(x)
        z = torch.empty_like(flat)
        mask = torch.empty(kernels.mask_bytes(*_sizes(flat)), dtype=torch.uint8)
        added = None if residual is None else _innermost_channels(residual)
        signs, statistics = _forward(flat, weight, bias, norm, added, z, mask)
        ctx.save_for_backward(flat, mask, statistics, weight, bias)
        ctx.adds, ctx.training = residual is not None, norm.training
        ctx.set_materialize_grads(False)
        return _like(z, x), _like(signs, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        x, mask, *parameters = ctx.saved_tensors
        gz, gs = (None if g is None else _innermost_channels(g) for g in gradients)
        gs = torch.zeros_like(x) if gs is None else gs
        dx, dweight, dbias, inner = _backward(gz, gs, x, mask, *parameters, training=ctx.training)
        like = _like(dx, next(g for g in gradients if g is not None))
        added = _like(inner, like) if ctx.adds and inner is not None else None
        return like, dweight, dbias, added, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        flat = _innermost_channels(x)
        n, height, width, channels = ctx.shape = flat.shape
        out = flat.new_empty((n, height // 2, width // 2, channels))
        which = torch.empty_like(out, dtype=torch.uint8)
        kernels.call(f"tuner_pool_{kernels.suffix(x.dtype)}", flat, *ctx.shape, out, which)
        ctx.save_for_backward(which)
        return out.permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (which,) = ctx.saved_tensors
        g = _innermost_channels(gradient)
        dx = g.new_empty(ctx.shape)
        name = f"tuner_pool_backward_{kernels.suffix(g.dtype)}"
        kernels.call(name, g, which, *ctx.shape, dx)
        return dx.permute(0, 3, 1, 2)
