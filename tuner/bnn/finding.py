"""Layers of a network by name, pattern, type or function, and which weights are binary."""

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase

import torch
from torch import nn

from tuner.errors import InvalidInput, UnknownName
from tuner.optim.parameters import marked, once, own_name

Choice = str | type[nn.Module] | Callable[[nn.Module], bool]
"""A name (``layer4``), a pattern (``*.downsample.*``), a type, or a function that says yes."""

Choices = Choice | Iterable[Choice]

_WEIGHTS = ("weight", "weights")
"""What a layer that somebody wrote calls its weight."""


def each_choice(choices: Choices) -> Iterator[Choice]:
    """Several of them, or the only one."""
    if isinstance(choices, str) or callable(choices):
        yield choices
    else:
        yield from choices


def chosen(model: nn.Module, choice: Choice, asked: str) -> dict[str, nn.Module]:
    """Name -> module, of the modules that are meant and of all that lie inside them.

    Args:
        model: Any network.
        choice: Which.
        asked: Whose argument it is.

    Raises:
        InvalidInput: If there is none.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    meant = [name for name, module in modules.items() if _means(choice, name, module)]
    if not meant and isinstance(choice, str):
        raise UnknownName(f"{asked}: layer", choice, filter(None, modules))
    if not meant:
        raise InvalidInput(f"{asked}: no layer of the network is {_words(choice)}")
    return {
        name: module
        for name, module in modules.items()
        if any(not top or f"{name}.".startswith(f"{top}.") for top in meant)
    }


def weights(model: nn.Module, layers: Choices = ()) -> dict[str, nn.Parameter]:
    """Name -> weight; see ``layers.binary_parameters``."""
    found = marked(model)
    for prefix, layer in model.named_modules():
        if _has_one_bit(layer):
            found |= _weights_of(prefix, layer)
    for choice in each_choice(layers):
        inside = chosen(model, choice, "binary_parameters")
        theirs = [_weights_of(prefix, layer) for prefix, layer in inside.items()]
        if not any(theirs):
            raise InvalidInput(
                f"binary_parameters: what is {_words(choice)} has no parameter called weight or "
                "weights, of two axes or more; name the binary ones in an attribute of the "
                "layer, binary_names = ('kernel',)"
            )
        for named in theirs:
            found |= named
    return once(found)


def _means(choice: Choice, name: str, module: nn.Module) -> bool:
    if isinstance(choice, str):
        return fnmatchcase(name, choice)
    return isinstance(module, choice) if isinstance(choice, type) else choice(module)


def _words(choice: Choice) -> str:
    if isinstance(choice, str):
        return f"called {choice!r}"
    name = getattr(choice, "__name__", repr(choice))
    return f"a {name}" if isinstance(choice, type) else f"one that {name} says yes to"


def _weights_of(prefix: str, layer: nn.Module) -> dict[str, nn.Parameter]:
    """A layer's own, also where it is parametrized; no vectors, as norms have them."""
    found = {}
    for name in _WEIGHTS:
        inside = own_name(layer, name)
        try:
            param = layer.get_parameter(inside)
        except AttributeError:  # there is none, or it is something else
            continue
        if param.dim() > 1:
            found[f"{prefix}.{inside}".lstrip(".")] = param
    return found


@torch.no_grad()
def _has_one_bit(layer: nn.Module) -> bool:
    """Whether it is a layer of Brevitas's whose weights are quantised to one bit."""
    quantiser = getattr(layer, "weight_quant", None)
    if not getattr(quantiser, "is_quant_enabled", False):
        return False
    width = getattr(quantiser, "bit_width", None)
    return callable(width) and bool(width() == 1)
