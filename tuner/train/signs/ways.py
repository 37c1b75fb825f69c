"""How layers of signs are done: the way that is fastest on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tuner.bnn import sign_conv, sign_product
from tuner.bnn.layers import Conv2d, Linear
from tuner.bnn.sign_conv import Way
from tuner.train.signs.sizes import (
    Convolution,
    Layers,
    Product,
    layers_of,
    sign_convolutions,
    sign_products,
)
from tuner.train.signs.timing import forward_seconds, step_seconds
from tuner.workload import Workload

_GAIN = 1.25
"""So much faster must be what torch does less of: alone, a layer finds its memory in the caches.

Within a training step, layers that had gained a tenth when timed alone made it slower.
"""


_EXACT = Way.TORCH, Way.FORWARD


@dataclass(frozen=True)
class Ways:
    """How a network's layers are trained, in the order of ``sizes.Layers``."""

    convolutions: tuple[Way, ...]
    products: tuple[Way, ...]

    def in_words(self) -> dict[str, str]:
        """How the layers are done that there are, as a trial's record says it."""
        kinds = {"convolutions": self.convolutions, "products": self.products}
        return {kind: _in_words(chosen) for kind, chosen in kinds.items() if chosen}


def ways(workload: Workload, device: torch.device, dtype: torch.dtype) -> Ways:
    """How each of a workload's layers is trained.

    Gradients are rounded to int16 only if the workload's precision is ``auto``. Two layers of one
    shape are done alike.

    Args:
        workload: What is trained.
        device: Where; elsewhere than on a CPU torch does all.
        dtype: Of the activations.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    layers = _layers(workload, device, dtype)
    allowed = tuple(Way) if workload.precision == "auto" else _EXACT

    def way(layer: Convolution | Product | None) -> Way:
        return _fastest(allowed, step_seconds(layer)) if layer and _trusted(layer) else Way.TORCH

    return Ways(tuple(map(way, layers.convolutions)), tuple(map(way, layers.products)))


def forward_way(layer: Convolution | Product | None) -> Way:
    """How a layer on a CPU is done where nothing is trained; any way gives the same numbers.

    Args:
        layer: Of signs; ``None`` for one that is not.
    """
    return _fastest(_EXACT, forward_seconds(layer)) if layer and _trusted(layer) else Way.TORCH


def apply(
    network: nn.Module, workload: Workload, device: torch.device, dtype: torch.dtype
) -> None:
    """Have the layers of a workload's network done in the fastest way; see ``ways``."""
    layers, chosen = _layers(workload, device, dtype), ways(workload, device, dtype)
    modules: list[Conv2d | Linear] = [*sign_convolutions(network), *sign_products(network)]
    found = layers.convolutions + layers.products
    training = chosen.convolutions + chosen.products
    for module, layer, way in zip(modules, found, training, strict=True):
        module.way, module.way_in_eval = way, forward_way(layer)


def _trusted(layer: Convolution | Product) -> bool:
    """Whether the compiled operation of such a layer is there and right."""
    if layer.dtype not in ("float32", "bfloat16"):
        return False
    return sign_product.trusted() if isinstance(layer, Product) else sign_conv.trusted()


def _layers(workload: Workload, device: torch.device, dtype: torch.dtype) -> Layers:
    """The layers of a workload's network; on other devices than CPUs none is one of signs."""
    layers = layers_of(workload, str(dtype).removeprefix("torch."))
    if device.type == "cpu":
        return layers
    return Layers((None,) * len(layers.convolutions), (None,) * len(layers.products))


def _fastest(allowed: Sequence[Way], seconds: Mapping[Way, float]) -> Way:
    best = Way.TORCH
    for way in allowed:
        if _GAIN * seconds[way] < seconds[best]:
            best = way
    return best


def _in_words(chosen: Sequence[Way]) -> str:
    if len(set(chosen)) == 1:
        return str(chosen[0])
    numbers = {
        way: ", ".join(str(number) for number, its in enumerate(chosen, start=1) if its is way)
        for way in Way
    }
    return "; ".join(f"{which} {way}" for way, which in numbers.items() if which)
