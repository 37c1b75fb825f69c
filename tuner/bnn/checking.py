"""Before training: what a network of anybody's makes of weights that are +1 and -1."""

import copy
import re
import warnings
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from tuner.bnn.binary_layers import ONE_SIDED
from tuner.optim.base import BinaryOptimizer
from tuner.optim.binary import Binary
from tuner.optim.plain import numbers

_DEAD = (
    "its gradient is zero everywhere, so no sign can change; a layer that clips its weight in "
    "forward (clamp, hardtanh, a straight-through estimator cut off at 1) passes none at exactly "
    "+1 and -1: let it use the weight as it is"
)
_BROKEN = (
    "its gradient is not finite; a layer that divides by the spread of its weights divides by 0 "
    "where all are +1, as Brevitas's integer quantiser does with weight_bit_width=1 "
    "(weight_quant_type='binary' cures it): take the division out"
)
_CUT_OFF = (
    "the output does not depend on it, so it gets no gradient; forward must use the parameter "
    "itself, not its .data, and not a copy made earlier"
)
_FROZEN = "it requires no gradient, so it never changes; set requires_grad, or leave it out"
_VECTOR = (
    "it is a vector, as biases and the weights of norms are, and binary it spoils its layer; "
    "give it to another optimizer"
)
_WRITTEN = (
    "its values are not what the optimizer left there; load or initialise a network before its "
    "optimizer is made"
)
_NOT_TRIED = "not tried alone, {why}; give check a batch: check(model, optimizer, inputs)"


def check(
    model: nn.Module,
    optimizer: BinaryOptimizer | Binary,
    inputs: Tensor | tuple[Tensor, ...] | None = None,
) -> list[str]:
    """What will not work when the optimizer trains the network, a sentence a layer; else nothing.

    Copies of the layers are tried on random numbers; the network itself is left as it is.

    Args:
        model: Any network.
        optimizer: Of ``tuner.optim``.
        inputs: A batch, or all arguments of forward. With it the network is tried as a whole, and
            layers of any kind; without it linear and convolution layers, each alone.

    Example:
        >>> from tuner.optim import FilterFlip
        >>> class Clipped(nn.Linear):
        ...     def forward(self, x):
        ...         return x @ torch.clamp(self.weight, -1, 1).T
        >>> layer = Clipped(4, 3, bias=False)
        >>> print(*check(layer, FilterFlip(layer.parameters(), alpha=0.1)))  # doctest: +ELLIPSIS
        weight: its gradient is zero everywhere, so no sign can change; a layer that clips ...
    """
    optimizer = optimizer.rule if isinstance(optimizer, Binary) else optimizer
    trained = {id(param): group for group in optimizer.param_groups for param in group["params"]}
    named = {name: param for name, param in model.named_parameters() if id(param) in trained}
    problems = []
    if strangers := len(trained) - len(named):
        problems.append(
            f"{strangers} of the optimizer's {len(trained)} parameters are not this network's: it "
            "was made anew, or loaded with assign=True, after its optimizer was made"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tried = dict(_whole(model, named, inputs) if inputs is not None else _alone(model, named))
    for name, param in named.items():
        held = numbers(param) is None or optimizer.holds(
            param.detach(), optimizer.state[param], trained[id(param)]
        )
        for wrong, words in (
            (not param.requires_grad, _FROZEN),
            (param.dim() < 2, _VECTOR),
            (not held, _WRITTEN),
            (param.requires_grad and name in tried, tried.get(name, "")),
        ):
            if wrong:
                problems.append(f"{name}: {words}")
                break
    return problems


def _whole(
    model: nn.Module, named: Mapping[str, Tensor], inputs: Tensor | tuple[Tensor, ...]
) -> Iterator[tuple[str, str]]:
    """Parameters without a gradient after one pass of all layers, and why."""
    twin = copy.deepcopy(model).train()
    arguments = (inputs,) if isinstance(inputs, Tensor) else inputs
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", f".*{re.escape(ONE_SIDED)}"
        )  # it is among what is returned
        _backward(twin(*arguments))
    for name, layer in twin.named_modules():
        if getattr(layer, "one_sided", False):
            yield f"{name}.weight".lstrip("."), ONE_SIDED
    for name in named:
        if words := _fault(twin.get_parameter(name)):
            yield name, words


def _alone(model: nn.Module, named: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """The same, each layer by itself."""
    for name, param in named.items():
        owner, _, inside = name.partition(".parametrizations.")
        if not inside:
            owner = name.rpartition(".")[0]
        layer = model.get_submodule(owner)
        shape = _input_shape(layer)
        if shape is None:
            kind = type(layer).__name__
            yield name, _NOT_TRIED.format(why=f"it is of no linear or convolution layer: {kind}")
            continue
        twin = copy.deepcopy(layer).train()
        try:
            _backward(twin(torch.randn(shape, dtype=param.dtype, device=param.device)))
        except (TypeError, ValueError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            yield name, _NOT_TRIED.format(why=f"its forward takes other input ({reason})")
            continue
        if words := _fault(twin.get_parameter(name[len(owner) :].lstrip("."))):
            yield name, words


def _input_shape(layer: nn.Module) -> tuple[int, ...] | None:
    """Of a small batch that the layer takes; None if that is not known."""
    if isinstance(layer, nn.Linear):
        return 16, layer.in_features
    if isinstance(layer, _ConvNd):
        sides = zip(layer.kernel_size, layer.dilation, strict=True)
        return 4, layer.in_channels, *(dilation * (size - 1) + 5 for size, dilation in sides)
    return None


def _backward(outputs: object) -> None:
    """Let all outputs pull in random directions."""
    tensors = [o for o in _tensors(outputs) if o.requires_grad]
    if tensors:
        torch.autograd.backward(tensors, [torch.randn_like(o) for o in tensors])


def _tensors(outputs: object) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, dict):
        yield from _tensors(list(outputs.values()))
    elif isinstance(outputs, list | tuple):
        for output in outputs:
            yield from _tensors(output)


def _fault(param: Tensor) -> str:
    if param.grad is None:
        return _CUT_OFF
    if not bool(param.grad.isfinite().all()):
        return _BROKEN
    return "" if bool(param.grad.any()) else _DEAD
