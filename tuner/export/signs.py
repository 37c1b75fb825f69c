"""Layers of signs by XOR and a count of the ones, where that is faster here: the same numbers."""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from tuner.bnn.sign_conv import sign_conv
from tuner.bnn.sign_product import sign_product
from tuner.graphs import running
from tuner.graphs.graph import Option, Step
from tuner.train.signs.sizes import Convolution, Product
from tuner.train.signs.ways import forward_way

_TIMED = 128
"""Samples of the layers that are timed: how many times faster it is hardly depends on them."""

_FEW = 64
"""Fewer samples than these are not worth a timing."""

_BY_SIGNS = {"padding": [1, 1], "dilation": [1, 1], "groups": 1}
_STRIDES = [1, 1], [2, 2]


def convolved(x: Tensor, weight: Tensor, options: Mapping[str, Option]) -> Tensor | None:
    """The convolution of [N, C, H, W] with [O, C, 3, 3]; None where torch is to do it.

    Args:
        x: Activations.
        weight: Of their type.
        options: As ``torch.nn.functional.conv2d`` takes them.
    """
    stride = list(options["stride"])
    others = {name: value for name, value in options.items() if name != "stride"}
    if (
        weight.shape[2:] != (3, 3)
        or stride not in _STRIDES
        or others != _BY_SIGNS
        or not x.is_contiguous(memory_format=torch.channels_last)  # the order of later sums
        or not _both_signs(x, weight)
    ):
        return None
    (outputs, channels), (height, width) = weight.shape[:2], x.shape[2:]
    layer = Convolution(_TIMED, channels, outputs, height, width, stride[0], _name(x.dtype))
    return sign_conv(x, weight[None], stride[0], forward_way(layer))


def multiplied(
    x_NC: Tensor, weight_OC: Tensor, dtype: torch.dtype, *, last: bool
) -> Tensor | None:
    """The product [N, C] times [O, C] -> [N, O] in a type; None where torch is to do it.

    Args:
        x_NC: Activations.
        weight_OC: Of their type.
        dtype: As ``sign_product`` takes it.
        last: As ``layers.Linear`` takes it.
    """
    if x_NC.dim() != 2 or not _both_signs(x_NC, weight_OC):
        return None
    outputs, features = weight_OC.shape
    layer = Product(_TIMED, features, outputs, _name(x_NC.dtype), last)
    out = sign_product(x_NC[None], weight_OC[None], dtype, forward_way(layer))
    return None if out is None else out[0]


def _both_signs(x: Tensor, weight: Tensor) -> bool:
    """Whether it is worth a timing: many samples, of signs as far as the first one tells."""
    return len(x) >= _FEW and bool((x[0].abs() == 1).all()) and bool((weight.abs() == 1).all())


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _product(step: Step, inputs: list[Tensor], tensors: running.Tensors) -> tuple[Tensor, ...]:
    """Of ``layers.Linear``."""
    (x,) = inputs
    if "bias" not in tensors:
        last = bool(step.options["last"])
        dtype = torch.promote_types(x.dtype, torch.float32) if last else x.dtype
        weight = running.weight_of(tensors).to(x.dtype)
        if (out := multiplied(x, weight, dtype, last=last)) is not None:
            return (out,)
    return running.KINDS["product"](step, inputs, tensors)


def _conv(step: Step, inputs: list[Tensor], tensors: running.Tensors) -> tuple[Tensor, ...]:
    (x,) = inputs
    if "bias" not in tensors:
        weight = running.weight_of(tensors).to(x.dtype)
        if (out := convolved(x, weight, step.options)) is not None:
            return (out,)
    return running.KINDS["conv"](step, inputs, tensors)


KINDS: Mapping[str, running.Run] = MappingProxyType(
    {**running.KINDS, "product": _product, "conv": _conv}
)
"""What a step can be, by signs where that is faster."""
