"""Layers that can be exported, each read into steps."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from tuner.bnn import layers
from tuner.bnn.binary_layers import BinaryConv1d, BinaryConv2d, BinaryLinear
from tuner.bnn.normsign import EPS
from tuner.export.reading.walk import PROBE, Walk, refused

Read = Callable[[Walk, str, Any, list[str]], tuple[str, ...]]  # Any: a layer of the table's type
"""Takes the walk, the layer's name, the layer and its inputs; returns its outputs."""


def reader_of(layer: nn.Module) -> Read | None:
    """What reads the layer; ``None`` for a layer that is not known."""
    for quantiser, read in _QUANTISED.items():
        if getattr(getattr(layer, quantiser, None), "is_quant_enabled", False):
            return read
    return _LAYERS.get(type(layer))


def names() -> list[str]:
    """What the layers are called that can be exported."""
    of_brevitas = ("QuantLinear", "QuantConv1d", "QuantConv2d", "QuantIdentity")
    return [*(kind.__name__ for kind in _LAYERS), *of_brevitas]


def _marked(walk: Walk, layer: nn.Module) -> bool:
    return any(id(param) in walk.marked for param in layer.parameters())


def _own_linear(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    bias = None if layer.bias is None else layer.bias[0, 0]
    roles = walk.weight(name, layer.weight[0], bias, binary=_marked(walk, layer))
    return (walk.step("product", inputs, name, roles, last=layer.last),)


def _own_conv(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    roles = walk.weight(name, layer.weight[0], None, binary=_marked(walk, layer))
    padding = layer.weight.shape[-1] // 2
    return (_convolved(walk, name, inputs, roles, [layer.stride] * 2, [padding] * 2),)


def _convolved(
    walk: Walk,
    name: str,
    inputs: list[str],
    roles: dict[str, str],
    stride: list[int],
    padding: list[int],
    dilation: list[int] | None = None,
    groups: int = 1,
) -> str:
    dilation = dilation or [1] * len(stride)
    return walk.step(
        "conv",
        inputs,
        name,
        roles,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _own_norm(kind: str) -> Read:
    def read(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
        roles = walk.norm(name, *(numbers[0] for numbers in layer.norm.numbers))
        outputs = [name] if kind != "norm_add_sign" else [f"{name}.sum", f"{name}.sign"]
        return walk.steps_giving(kind, inputs, outputs, roles, eps=EPS)

    return read


def _own_sign(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    return (walk.step("sign", [_moved(walk, f"{name}.shift", layer.shift, inputs)], name),)


def _own_rectifier(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    moved = _moved(walk, f"{name}.before", layer.before, inputs)
    slope = {"slope": walk.real(f"{name}.slope", layer.slope[0])}
    tilted = walk.step("leaky", [moved], f"{name}.tilted", slope)
    return (_moved(walk, f"{name}.after", layer.after, [tilted]),)


def _moved(walk: Walk, called: str, shift: Tensor, inputs: list[str]) -> str:
    return walk.step("move", inputs, f"{called}.taken", {"shift": walk.real(called, shift[0])})


def _linear(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    weight, inputs = _weight_and_inputs(walk, name, layer, inputs)
    roles = walk.weight(name, weight, layer.bias, binary=_marked(walk, layer))
    return (walk.step("linear", inputs, name, roles),)


def _conv(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    if layer.padding_mode != "zeros":
        raise refused(f"{name}: pads by {layer.padding_mode!r}; only zeros can be exported")
    weight, inputs = _weight_and_inputs(walk, name, layer, inputs)
    roles = walk.weight(name, weight, layer.bias, binary=_marked(walk, layer))
    padding = layer.padding
    if isinstance(padding, str):
        sides = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        if padding == "same" and any(side % 2 for side in sides):
            raise refused(f"{name}: pads one side more than the other; give it a number")
        padding = [side // 2 if padding == "same" else 0 for side in sides]
    dilation = list(layer.dilation)
    stride, padding = list(layer.stride), list(padding)
    return (_convolved(walk, name, inputs, roles, stride, padding, dilation, layer.groups),)


def _weight_and_inputs(
    walk: Walk, name: str, layer: Any, inputs: list[str]
) -> tuple[Tensor, list[str]]:
    """The weight that a layer multiplies with, and its inputs or, where it takes these, signs."""
    if isinstance(layer, BinaryLinear | BinaryConv1d | BinaryConv2d):
        if layer.with_signs:
            inputs = [walk.step("sign", inputs, f"{name}.signs")]
        return layer.weight * layer.scale, inputs
    return layer.weight, inputs


def _norm(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    if layer.running_mean is None:
        raise refused(f"{name}: keeps no running statistics, so it has no numbers to export")
    ones = torch.ones_like(layer.running_mean)
    weight = ones if layer.weight is None else layer.weight
    bias = torch.zeros_like(ones) if layer.bias is None else layer.bias
    roles = walk.norm(name, weight, bias, layer.running_mean, layer.running_var)
    return (walk.step("norm", inputs, name, roles, eps=float(layer.eps)),)


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _max_pool(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    if layer.return_indices:
        raise refused(f"{name}: returns indices; leave return_indices out")
    options: dict[str, Any] = {
        "kernel_size": _pair(layer.kernel_size),
        "stride": _pair(layer.stride),
        "padding": _pair(layer.padding),
        "dilation": _pair(layer.dilation),
        "ceil_mode": layer.ceil_mode,
    }
    return (walk.step("max_pool", inputs, name, **options),)


def _avg_pool(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    if layer.divisor_override is not None or any(_pair(layer.padding)):
        raise refused(f"{name}: an average of other than what lies under it cannot be exported")
    options: dict[str, Any] = {
        "kernel_size": _pair(layer.kernel_size),
        "stride": _pair(layer.stride),
        "ceil_mode": layer.ceil_mode,
    }
    return (walk.step("avg_pool", inputs, name, **options),)


def _adaptive(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    if _pair(layer.output_size) != [1, 1]:
        raise refused(f"{name}: adapts to another size than 1x1; use AvgPool2d")
    return (walk.step("adaptive_mean", inputs, name),)


def _flatten(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    if layer.start_dim < 1 or layer.end_dim != -1:
        raise refused(f"{name}: flattens other axes than those from one to the last")
    return (walk.step("flatten", inputs, name, start=layer.start_dim),)


def _plain(kind: str) -> Read:
    return lambda walk, name, _layer, inputs: (walk.step(kind, inputs, name),)


def _nothing(_walk: Walk, _name: str, _layer: Any, inputs: list[str]) -> tuple[str, ...]:
    return tuple(inputs)


@torch.no_grad()
def _quantised(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    """A layer of Brevitas's with weights of one bit."""
    if not _marked(walk, layer):
        raise refused(f"{name}: a {type(layer).__name__} whose weights are not of one bit")
    for quantiser in ("input_quant", "output_quant", "bias_quant"):
        if getattr(getattr(layer, quantiser, None), "is_quant_enabled", False):
            raise refused(f"{name}: quantises by its own {quantiser}; put a QuantIdentity there")
    weight = layer.quant_weight()
    roles = walk.weight(name, getattr(weight, "value", weight), layer.bias, binary=True)
    if not hasattr(layer, "stride"):
        return (walk.step("linear", inputs, name, roles),)
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise refused(f"{name}: pads by {layer.padding_mode!r}; give it a number of zeros")
    stride, padding = list(layer.stride), list(layer.padding)
    return (
        _convolved(walk, name, inputs, roles, stride, padding, list(layer.dilation), layer.groups),
    )


@torch.no_grad()
def _activation(walk: Walk, name: str, layer: Any, inputs: list[str]) -> tuple[str, ...]:
    """One of Brevitas's of one bit: the sign, times a constant."""
    given = layer(PROBE.clone())
    values = cast(Tensor, getattr(given, "value", given))
    factor = values[-1]
    if not bool(factor > 0) or not torch.equal(values, torch.where(PROBE >= 0, factor, -factor)):
        raise refused(f"{name}: a {type(layer).__name__} that is no sign times a constant")
    signs = walk.step("sign", inputs, f"{name}.signs")
    if float(factor) == 1:
        return (signs,)
    return (walk.step("multiply", [signs], name, factor=float(factor)),)


_LAYERS: dict[type[nn.Module], Read] = {
    layers.Linear: _own_linear,
    layers.Conv2d: _own_conv,
    layers.BatchNorm: _own_norm("own_norm"),
    layers.NormSign: _own_norm("norm_sign"),
    layers.NormAddSign: _own_norm("norm_add_sign"),
    layers.RSign: _own_sign,
    layers.RPReLU: _own_rectifier,
    BinaryLinear: _linear,
    BinaryConv1d: _conv,
    BinaryConv2d: _conv,
    nn.Linear: _linear,
    nn.Conv1d: _conv,
    nn.Conv2d: _conv,
    nn.BatchNorm1d: _norm,
    nn.BatchNorm2d: _norm,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.Flatten: _flatten,
    nn.ReLU: _plain("relu"),
    nn.Hardtanh: _plain("hardtanh"),
    nn.Identity: _nothing,
    nn.Dropout: _nothing,
    nn.Dropout2d: _nothing,
}
_QUANTISED: dict[str, Read] = {"weight_quant": _quantised, "act_quant": _activation}
"""What a layer of Brevitas's quantises by -> what reads it."""
