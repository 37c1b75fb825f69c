"""Any torch network with binary layers in place of its real ones."""

from collections.abc import Iterator, Mapping

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from tuner.bnn.binary_layers import KINDS, make_binary
from tuner.bnn.finding import Choices, chosen, each_choice
from tuner.errors import InvalidInput

_ONE_SIDED = (nn.ReLU, nn.ReLU6)
_SHORTCUTS = ("downsample", "shortcut")
"""What networks call the layers around a residual block."""


def binarize(
    model: nn.Module, skip: Choices | None = None, *, activations: bool = True
) -> nn.Module:
    """Make the linear and convolution layers of a network binary, in place; returns it.

    Each takes the signs of its inputs (straight-through gradient where |x| < 1), and its weight
    is among ``binary_parameters``, for an update rule to make +1 and -1. The relus between are
    taken out: the signs of what they let through are all +1. A layer keeps its name, its bias,
    its hooks and its parameters; ``scale``, a constant of each output channel, is new to its
    state dict. Layers of other types stay as they are: subclasses with a forward of their own,
    and those that ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` do not call but
    read the weights of.

    Args:
        model: Any network.
        skip: What stays as it is, with all inside it: names (``"layer4"``), patterns
            (``"*.downsample.*"``), module types, or functions of a module. Left out, what is
            kept real in practice: see ``usually_real``.
        activations: Whether layers take the signs of their inputs, or only weights are binary.

    Raises:
        InvalidInput: If nothing is left to make binary, something skipped is not there, a layer
            has no values yet, or a layer shares its weight with one that stays real.

    Example:
        >>> net = nn.Sequential(
        ...     nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(),
        ...     nn.Linear(16, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)
        ... )
        >>> binarize(net)[3]
        BinaryLinear(in_features=16, out_features=16, bias=True)

    Source: Hubara et al. (2016), arXiv:1602.02830.
    """
    if skip is None:
        kept = set(usually_real(model))
    else:
        asked = (chosen(model, choice, "binarize: skip") for choice in each_choice(skip))
        kept = {name for modules in asked for name in modules}
    modules = dict(model.named_modules(remove_duplicate=False))
    real = {id(modules[name]) for name in kept}  # a layer may have several names
    wanted = {name: layer for name, layer in _layers(model) if id(layer) not in real}
    _refuse_unready(model, kept)
    _refuse_shared(model, wanted)
    if not wanted:
        there = [name or type(layer).__name__ for name, layer in _layers(model)]
        raise InvalidInput(
            f"binarize: no layer is left to make binary of {', '.join(there) or 'none'}; skip=() "
            "makes all of them binary, skip=[...] names those that stay real"
        )
    for name, layer in wanted.items():
        if type(layer) in KINDS:
            make_binary(layer, name, with_signs=activations)
    if activations:
        _take_out_relus(model, kept)
    return model


def usually_real(model: nn.Module) -> list[str]:
    """Names of the layers that binary networks keep real: both ends, and the shortcuts' layers.

    The first and the last linear or convolution layer, in the order in which the network lists
    them; 1x1 convolutions with a stride, and what lies inside a ``downsample`` or ``shortcut``.

    Source: Rastegari et al. (2016), arXiv:1603.05279, for the ends; Liu et al. (2018),
    arXiv:1808.00278, for the shortcuts.
    """
    layers = dict(_layers(model))
    ends = [*layers][:1] + [*layers][-1:]
    shortcuts = [name for name, layer in layers.items() if _is_shortcut(name, layer)]
    return list(dict.fromkeys(ends + shortcuts))


def _layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """All that are or can be made binary."""
    read = {
        id(layer)
        for module in model.modules()
        if isinstance(module, nn.TransformerEncoderLayer)  # when it does not train
        for layer in (module.linear1, module.linear2)
    }
    for name, layer in model.named_modules():
        if type(layer) in (*KINDS, *KINDS.values()) and id(layer) not in read:
            yield name, layer


def _is_shortcut(name: str, layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv1d | nn.Conv2d) and set(layer.kernel_size) == {1}:
        if max(layer.stride) > 1:
            return True
    return any(part in _SHORTCUTS for part in name.split("."))


def _refuse_unready(model: nn.Module, kept: set[str]) -> None:
    for name, module in model.named_modules():
        if not isinstance(module, LazyModuleMixin) or name in kept:
            continue
        if module.cls_to_become in KINDS:
            raise InvalidInput(
                f"binarize: {name} has no values yet: run the network once on a batch before"
            )


def _refuse_shared(model: nn.Module, wanted: Mapping[str, nn.Module]) -> None:
    """Refuse layers whose weight a module that stays real has too, as tied embeddings do."""
    owners = {id(layer.get_parameter("weight")): name for name, layer in wanted.items()}
    binary = {id(layer) for layer in wanted.values()}
    for name, module in model.named_modules():
        for own, param in module.named_parameters(recurse=False):
            if id(param) in owners and id(module) not in binary:
                raise InvalidInput(
                    f"binarize: {owners[id(param)]} shares its weight with {name}.{own}, which "
                    f"stays real; add {owners[id(param)]!r} to skip"
                )


def _take_out_relus(model: nn.Module, kept: set[str]) -> None:
    for prefix, module in model.named_modules(remove_duplicate=False):
        for name, child in module._modules.items():
            if isinstance(child, _ONE_SIDED) and f"{prefix}.{name}".lstrip(".") not in kept:
                module._modules[name] = nn.Identity()
