"""A graph run by torch: the same operations as in training, so the same numbers bit for bit."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from tuner.bnn.layers import leaky, product, shifted, side_by_side, twice
from tuner.bnn.normsign import Norm, batch_norm, max_pool, norm_add_sign, norm_sign
from tuner.errors import InvalidInput
from tuner.graphs.graph import INPUT, PRECISIONS, Graph, Step
from tuner.optim.base import sign

Tensors = Mapping[str, Tensor]
Run = Callable[[Step, list[Tensor], Tensors], tuple[Tensor, ...]]


def run(
    graph: Graph,
    samples: Tensor,
    precision: str | None = None,
    *,
    kinds: Mapping[str, Run] | None = None,
) -> Tensor:
    """What the network says of samples [N, ...]: logits [N, O], float32 at least.

    Args:
        graph: The network.
        samples: As it takes them: bytes, or numbers.
        precision: The type of the activations; that of the training if ``None``.
        kinds: What does each kind of step; ``KINDS`` if ``None``.

    Raises:
        InvalidInput: If samples have another shape.
    """
    if tuple(samples.shape[1:]) != graph.shape:
        raise InvalidInput(
            f"the network takes samples of shape {list(graph.shape)}, got "
            f"{list(samples.shape[1:])}"
        )
    if graph.bytes_in and samples.dtype != torch.uint8:
        raise InvalidInput(f"the network takes bytes (uint8, 0 to 255), got {samples.dtype}")
    values = _values(graph, samples, PRECISIONS[precision or graph.precision], kinds or KINDS)
    logits = values[graph.output]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The shape of each value, for a single sample: [1, ...]."""
    zeros = torch.zeros(1, *graph.shape)
    dtype = PRECISIONS[graph.precision]
    return {
        name: tuple(value.shape) for name, value in _values(graph, zeros, dtype, KINDS).items()
    }


@torch.no_grad()
def _values(
    graph: Graph, samples: Tensor, dtype: torch.dtype, kinds: Mapping[str, Run]
) -> dict[str, Tensor]:
    values = {INPUT: samples.to(dtype)}
    numbers = {name: _narrowed(tensor, dtype) for name, tensor in graph.tensors.items()}
    for step in graph.steps:
        tensors = {role: numbers[name] for role, name in step.tensors.items()}
        inputs = [values[name] for name in step.inputs]
        values.update(zip(step.outputs, kinds[step.kind](step, inputs, tensors), strict=True))
    return values


def _narrowed(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Float64 as float32, where the network is not run in float64."""
    narrow = tensor.dtype == torch.float64 and dtype != torch.float64
    return tensor.to(torch.float32) if narrow else tensor


def weight_of(tensors: Tensors) -> Tensor:
    """A layer's weights: signs, times a constant of each output channel where there is one."""
    weight = tensors["weight"]
    if "scale" not in tensors:
        return weight
    return weight * tensors["scale"].view(-1, *(1,) * (weight.dim() - 1))


def norm_of(tensors: Tensors) -> Norm:
    """A batch norm in use, with the trial axis of a single trial."""
    weight, bias, mean, var = (tensors[n][None] for n in ("weight", "bias", "mean", "var"))
    return Norm(weight, bias, mean, var, training=False)


def _shift(_step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    (x,) = inputs
    return (x.clone().mul_(tensors["scale"].to(x.dtype)).add_(tensors["shift"].to(x.dtype)),)


def _product(step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    """Of ``layers.Linear``."""
    (x,) = inputs
    dtype = torch.promote_types(x.dtype, torch.float32) if step.options["last"] else x.dtype
    out = product(x[None], weight_of(tensors)[None], dtype)[0]
    return (out + tensors["bias"] if "bias" in tensors else out,)


def _linear(_step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    (x,) = inputs
    return (F.linear(x, weight_of(tensors).to(x.dtype), _bias(tensors, x)),)


def _conv(step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    (x,) = inputs
    weight = weight_of(tensors).to(x.dtype)
    convolve = {1: F.conv1d, 2: F.conv2d}[weight.dim() - 2]
    return (convolve(x, weight, _bias(tensors, x), **step.options),)


def _bias(tensors: Tensors, x: Tensor) -> Tensor | None:
    return tensors["bias"].to(x.dtype) if "bias" in tensors else None


def _channels_last(_step: Step, inputs: list[Tensor], _tensors: Tensors) -> tuple[Tensor, ...]:
    return (side_by_side(inputs[0][None]),)


def _norm(step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    """Of torch."""
    mean, var, eps = tensors["mean"], tensors["var"], float(step.options["eps"])
    return (F.batch_norm(inputs[0], mean, var, tensors["weight"], tensors["bias"], eps=eps),)


def _own_norm(_step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    """Of ``layers.BatchNorm``."""
    return (_as_trial(inputs[0], lambda x: batch_norm(x, norm_of(tensors))),)


def _norm_sign(_step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    return (_as_trial(inputs[0], lambda x: norm_sign(x, norm_of(tensors))),)


def _norm_add_sign(_step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    flat = inputs[0].dim() == 2
    x, shortcut = (*(each[None] if flat else each for each in inputs), None)[:2]
    assert x is not None
    both = norm_add_sign(x, norm_of(tensors), shortcut)
    return tuple(each[0] for each in both) if flat else both


def _as_trial(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """[N, C] goes as [1, N, C]; [N, C, H, W] as it is, the channels of a single trial."""
    return function(x[None])[0] if x.dim() == 2 else function(x)


def _threshold(_step: Step, inputs: list[Tensor], tensors: Tensors) -> tuple[Tensor, ...]:
    (x,) = inputs
    shape = (-1, *(1,) * (x.dim() - 2))
    threshold, direction = (tensors[name].view(shape) for name in ("threshold", "direction"))
    reached = x.to(torch.int32) * direction >= threshold
    return (torch.where(reached, 1.0, -1.0).to(x.dtype),)


def _multiply(step: Step, inputs: list[Tensor], _tensors: Tensors) -> tuple[Tensor, ...]:
    return (inputs[0] * step.options["factor"],)


def _flatten(step: Step, inputs: list[Tensor], _tensors: Tensors) -> tuple[Tensor, ...]:
    return (inputs[0].flatten(int(step.options["start"])),)


KINDS: dict[str, Run] = {
    "shift": _shift,
    "product": _product,
    "linear": _linear,
    "conv": _conv,
    "channels_last": _channels_last,
    "move": lambda _s, inputs, tensors: (shifted(inputs[0], tensors["shift"]),),
    "leaky": lambda _s, inputs, tensors: (leaky(inputs[0], tensors["slope"]),),
    "twice": lambda _s, inputs, _t: (twice(inputs[0], 1),),
    "norm": _norm,
    "own_norm": _own_norm,
    "norm_sign": _norm_sign,
    "norm_add_sign": _norm_add_sign,
    "threshold": _threshold,
    "multiply": _multiply,
    "flatten": _flatten,
    "sign": lambda _s, inputs, _t: (sign(inputs[0]),),
    "add": lambda _s, inputs, _t: (inputs[0] + inputs[1],),
    "relu": lambda _s, inputs, _t: (F.relu(inputs[0]),),
    "hardtanh": lambda _s, inputs, _t: (F.hardtanh(inputs[0]),),
    "mean": lambda _s, inputs, _t: (inputs[0].mean((2, 3)),),
    "adaptive_mean": lambda _s, inputs, _t: (F.adaptive_avg_pool2d(inputs[0], 1),),
    "own_max_pool": lambda _s, inputs, _t: (max_pool(inputs[0]),),
    "max_pool": lambda step, inputs, _t: (F.max_pool2d(inputs[0], **step.options),),
    "avg_pool": lambda step, inputs, _t: (F.avg_pool2d(inputs[0], **step.options),),
}
"""What a step can be."""
