"""Layers with a leading trial axis: K networks of one shape run as one.

Axes are named in suffixes: K trial, N batch, C channel, H height, W width. Activations are
[K, N, C] between fully connected layers, so that one batched matrix product serves all trials, and
[N, K*C, H, W] between convolutions, the trials' channels side by side as the groups of one wide
network. Weights are [K, ...]; K = 1 is an ordinary network.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.bnn.finding import Choices, weights
from tuner.bnn.normsign import Norm, batch_norm, norm_add_sign, norm_sign, sign_ste
from tuner.bnn.sign_conv import Way, sign_conv
from tuner.bnn.sign_product import FEW_OUTPUTS, product_gradients, sign_product
from tuner.signals import stop_if_asked


def _parameter(*shape: int) -> nn.Parameter:
    """An unset parameter; ``initialise`` fills it."""
    return nn.Parameter(torch.empty(shape))


def _names(*, binary: bool) -> tuple[str, ...]:
    """Which of a layer's parameters are binary; see ``binary_parameters``."""
    return ("weight",) if binary else ()


def side_by_side(x_KNCHW: Tensor) -> Tensor:
    """[K, N, C, H, W] -> [N, K*C, H, W], channels innermost in memory."""
    x = x_KNCHW.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
    if x.shape[1] > 1:
        return x
    height, width = x.shape[2:]  # torch takes a single channel for the outermost unless told
    return x.as_strided(x.shape, (height * width, 1, width, 1))


def trials_first(x: Tensor, n_trials: int) -> Tensor:
    """[N, K*C, ...] -> [K, N, C*...]."""
    return x.reshape(len(x), n_trials, -1).transpose(0, 1).contiguous()


def twice(x: Tensor, n_trials: int) -> Tensor:
    """[N, K*C, H, W] -> [N, K*2C, H, W]: the channels of each trial, and the same again."""
    inner = x.permute(0, 2, 3, 1)
    each = inner.reshape(*inner.shape[:3], n_trials, -1)
    return torch.cat([each, each], 4).flatten(3).permute(0, 3, 1, 2)


def shifted(x: Tensor, shift_KC: Tensor) -> Tensor:
    """[N, K*C, H, W] less a number of each channel, in x's type."""
    return x - shift_KC.reshape(1, -1, 1, 1).to(x.dtype)


def leaky(x: Tensor, slope_KC: Tensor) -> Tensor:
    """[N, K*C, H, W], numbers below 0 times a number of their channel, in x's type."""
    return F.prelu(x, slope_KC.flatten().to(x.dtype))


class _Product(torch.autograd.Function):
    """[K, N, C] times [K, O, C] -> [K, N, O] in a given type.

    The gradients are in x's type, and the weight's lies in memory as the weight does.
    """

    @staticmethod
    def forward(ctx: Any, x_KNC: Tensor, weight_KOC: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.save_for_backward(x_KNC, weight_KOC)
        x, weight = x_KNC.to(dtype), weight_KOC.to(dtype)
        if weight.shape[1] <= FEW_OUTPUTS:
            return torch.bmm(weight, x.transpose(1, 2)).transpose(1, 2)
        return torch.bmm(x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, gradient_KNO: Tensor) -> tuple[Tensor | None, Tensor, None]:
        return *product_gradients(ctx, gradient_KNO), None


def product(x_KNC: Tensor, weight_KOC: Tensor, dtype: torch.dtype, way: Way = Way.TORCH) -> Tensor:
    """[K, N, C] times [K, O, C] -> [K, N, O], computed in this type.

    Args:
        x_KNC: Activations.
        weight_KOC: The trials' weights.
        dtype: Of the sums.
        way: How to do it where ``sign_product`` can.
    """
    if (by_signs := sign_product(x_KNC, weight_KOC, dtype, way)) is not None:
        return by_signs
    out: Tensor = _Product.apply(x_KNC, weight_KOC, dtype)
    return out


class Linear(nn.Module):
    """Fully connected layer, [K, N, C] -> [K, N, O].

    Args:
        n_trials: K.
        in_features: C.
        out_features: O.
        binary: Whether the weight, shape [K, O, C], is binary.
        last: Whether it gives the logits: float32 at least, and with a bias unless it is binary.
            All other layers stand before a batch norm, which takes their biases' part.

    Attributes:
        way: How signs are multiplied in training where ``sign_product`` can; set by who trains the
            network.
        way_in_eval: The same, where nothing is trained.
    """

    def __init__(
        self,
        n_trials: int,
        in_features: int,
        out_features: int,
        *,
        binary: bool,
        last: bool = False,
    ) -> None:
        super().__init__()
        self.weight = _parameter(n_trials, out_features, in_features)
        self.binary_names = _names(binary=binary)
        self.last = last
        with_bias = last and not binary
        self.bias = _parameter(n_trials, 1, out_features) if with_bias else None
        self.way = self.way_in_eval = Way.TORCH

    def forward(self, x_KNC: Tensor) -> Tensor:
        """See the class."""
        dtype = torch.promote_types(x_KNC.dtype, torch.float32) if self.last else x_KNC.dtype
        way = self.way if self.training else self.way_in_eval
        out = product(x_KNC, self.weight, dtype, way)
        return out if self.bias is None else out + self.bias


class Conv2d(nn.Module):
    """Convolution without bias, [N, K*C, H, W] -> [N, K*O, H', W'], as K groups.

    Args:
        n_trials: K.
        in_channels: C of one trial.
        out_channels: O of one trial.
        size: Side of the kernel; zeros pad the image by half of it.
        stride: Step of the kernel.
        binary: Whether the weight, shape [K, O, C, size, size], is binary.

    Attributes:
        way: How signs are convolved in training where ``sign_conv`` can; set by who trains the
            network.
        way_in_eval: The same, where nothing is trained.
    """

    def __init__(
        self,
        n_trials: int,
        in_channels: int,
        out_channels: int,
        *,
        size: int = 3,
        stride: int = 1,
        binary: bool,
    ) -> None:
        super().__init__()
        self.weight = _parameter(n_trials, out_channels, in_channels, size, size)
        self.binary_names = _names(binary=binary)
        self.stride = stride
        self.way = self.way_in_eval = Way.TORCH

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        way = self.way if self.training else self.way_in_eval
        if (out := sign_conv(x, self.weight, self.stride, way)) is not None:
            return out
        k, size = self.weight.shape[0], self.weight.shape[-1]
        weight = self.weight.to(x.dtype).flatten(0, 1)
        return F.conv2d(x, weight, stride=self.stride, padding=size // 2, groups=k)


class BatchNorm(nn.Module):
    """Batch normalisation of [K, N, C] or [N, K*C, H, W], every trial's channels by themselves.

    Args:
        n_trials: K.
        channels: C of one trial.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n_trials: int, channels: int) -> None:
        super().__init__()
        self.weight = _parameter(n_trials, channels)
        self.bias = _parameter(n_trials, channels)
        self.register_buffer("running_mean", torch.zeros(n_trials, channels))
        self.register_buffer("running_var", torch.ones(n_trials, channels))

    @property
    def norm(self) -> Norm:
        """The parameters as the functions of ``normsign`` take them."""
        return Norm(self.weight, self.bias, self.running_mean, self.running_var, self.training)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return batch_norm(x, self.norm)


class NormSign(BatchNorm):
    """Batch norm, then sign with the straight-through gradient."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return norm_sign(x, self.norm)


class NormAddSign(BatchNorm):
    """z = batch norm of [N, K*C, H, W] + shortcut; returns z and its sign (straight-through)."""

    def forward(  # type: ignore[override]  # torch's Module leaves forward open
        self, x: Tensor, shortcut: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """See the class."""
        return norm_add_sign(x, self.norm, shortcut)


class RSign(nn.Module):
    """Sign of [N, K*C, H, W] against a learnt threshold of each channel (straight-through).

    sign(x - shift), where shift begins at 0

    Args:
        n_trials: K.
        channels: C of one trial.

    Source: Liu et al. (2020), arXiv:2003.03488.
    """

    def __init__(self, n_trials: int, channels: int) -> None:
        super().__init__()
        self.shift = _parameter(n_trials, channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return sign_ste(shifted(x, self.shift))


class RPReLU(nn.Module):
    """Leaky rectifier of [N, K*C, H, W] that each channel moves, tilts and moves back.

    d = x - before;    (d where d > 0, else slope d) - after

    before and after begin at 0, slope at 1/4.

    Args:
        n_trials: K.
        channels: C of one trial.

    Source: Liu et al. (2020), arXiv:2003.03488, whose zeta is -after.
    """

    def __init__(self, n_trials: int, channels: int) -> None:
        super().__init__()
        self.before = _parameter(n_trials, channels)
        self.slope = _parameter(n_trials, channels)
        self.after = _parameter(n_trials, channels)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return shifted(leaky(shifted(x, self.before), self.slope), self.after)


WITH_TRIALS = (Linear, Conv2d, BatchNorm, RSign, RPReLU)
"""The layers that have parameters; each parameter begins with the trial axis."""


def binary_parameters(module: nn.Module, layers: Choices = ()) -> list[nn.Parameter]:
    """The binary weights of a network, for ``FilterFlip`` and the other update rules.

    Those of layers that say so in an attribute ``binary_names``, as the layers of this room and
    of ``binarize`` do, and of Brevitas's layers of one bit.

    Args:
        module: Any network.
        layers: Other layers whose weights are binary: names, patterns of names, types, or
            functions of a layer that say whether it is one.

    Raises:
        InvalidInput: If something named is not there, or has no weight.
    """
    return list(weights(module, layers).values())


def real_parameters(module: nn.Module, layers: Choices = ()) -> list[nn.Parameter]:
    """All others that are trained: batch norm, biases, real layers; see ``binary_parameters``."""
    binary = {id(param) for param in binary_parameters(module, layers)}
    trained = (param for param in module.parameters() if param.requires_grad)
    return [param for param in trained if id(param) not in binary]


@torch.no_grad()
def initialise(module: nn.Module, seeds: list[int]) -> None:
    """Draw each trial's first weights from its own seed, layer after layer.

    Binary weights are uniform in [-1, 1): a rule takes their signs, or, times its initial scale,
    the latent weights. Real weights are uniform in +-1/sqrt(fan-in), biases 0, batch norm 1 and 0,
    what moves and tilts as ``RSign`` and ``RPReLU`` say.

    Args:
        module: A network of K trials.
        seeds: The K seeds.

    Raises:
        Interrupted: If the network is not wanted any more; see ``signals.stoppable``.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    for layer in module.modules():
        if isinstance(layer, BatchNorm):
            layer.weight.fill_(1.0)
            layer.bias.zero_()
        elif isinstance(layer, RSign):
            layer.shift.zero_()
        elif isinstance(layer, RPReLU):
            layer.before.zero_()
            layer.slope.fill_(0.25)
            layer.after.zero_()
        elif isinstance(layer, Linear | Conv2d):
            weight = layer.weight
            bound = 1.0 if layer.binary_names else 1 / math.sqrt(weight[0, 0].numel())
            for trial, generator in enumerate(generators):
                stop_if_asked()  # a wide layer takes a second
                draw = torch.rand(weight.shape[1:], generator=generator, dtype=torch.float64)
                weight[trial] = ((2 * draw - 1) * bound).to(weight)
            if isinstance(layer, Linear) and layer.bias is not None:
                layer.bias.zero_()
