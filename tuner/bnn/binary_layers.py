"""torch's linear and convolution layers with binary weights, as ``binarize`` makes them."""

import warnings
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tuner.bnn.normsign import sign_ste
from tuner.optim.plain import may_look, numbers

ONE_SIDED = (
    "none of the inputs is below 0, so all their signs are +1 and say nothing; take off the relu "
    "or sigmoid in front of the layer, or put a batch norm there"
)


class _Binary(nn.Module):
    """What they share; the weight is scaled by a constant of each output channel.

    The scale is the mean size of the channel's first weights, as XNOR-Net's is of its latent
    ones, so that what comes out is of the size that the network was made for. A batch norm behind
    the layer takes it away again.

    Source: Rastegari et al. (2016), arXiv:1603.05279.
    """

    binary_names = ("weight",)
    scale: Tensor
    called: str
    """Its name in the network."""

    with_signs: bool
    """Whether it takes the signs of its inputs."""

    one_sided: bool | None = None
    """Whether none of its first inputs was below 0; None before it saw some."""

    def _inputs(self, x: Tensor) -> Tensor:
        if not self.with_signs:
            return x
        if self.training and self.one_sided is None and not torch.compiler.is_compiling():
            self._look(x)
        return sign_ste(x)

    def _look(self, x: Tensor) -> None:
        """Warn once of inputs whose signs say nothing."""
        values = numbers(x.detach())
        if values is None or not may_look(x, urgent=True):
            return
        self.one_sided = not bool((values < 0).any())
        if self.one_sided:
            warnings.warn(f"{self.called}: {ONE_SIDED}", stacklevel=4)


class BinaryLinear(_Binary, nn.Linear):
    """``torch.nn.Linear`` with binary weights."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return F.linear(self._inputs(x), self.weight * self.scale, self.bias)


class BinaryConv1d(_Binary, nn.Conv1d):
    """``torch.nn.Conv1d`` with binary weights; zeros pad the signs."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self._conv_forward(self._inputs(x), self.weight * self.scale, self.bias)
        return out


class BinaryConv2d(_Binary, nn.Conv2d):
    """``torch.nn.Conv2d`` with binary weights; zeros pad the signs."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self._conv_forward(self._inputs(x), self.weight * self.scale, self.bias)
        return out


def _scale_of(weight: Tensor) -> Tensor:
    """Mean size of each output channel's weights; of a channel of zeros, that of a fresh one."""
    sizes = weight.abs().mean(tuple(range(1, weight.dim())), keepdim=True)
    return torch.where(sizes > 0, sizes, weight[0].numel() ** -0.5)


KINDS: dict[type[nn.Module], type[_Binary]] = {
    nn.Linear: BinaryLinear,
    nn.Conv1d: BinaryConv1d,
    nn.Conv2d: BinaryConv2d,
}
"""torch's layer -> the binary one."""


@torch.no_grad()
def make_binary(layer: nn.Module, name: str, *, with_signs: bool) -> None:
    """Turn one of torch's layers into a binary one, in place; its parameters stay the same ones.

    The weight keeps its signs and the sizes within a channel, of mean 1: an update rule takes the
    signs, or all of it as its first latent weights.

    Args:
        layer: Of a type in ``KINDS``.
        name: What it is called in its network.
        with_signs: Whether it is to take the signs of its inputs.
    """
    weight = layer.get_parameter("weight")
    scale = _scale_of(weight)
    weight.div_(scale)
    layer.__class__ = KINDS[type(layer)]
    layer.register_buffer("scale", scale)
    binary = cast(_Binary, layer)
    binary.called, binary.with_signs = name, with_signs
