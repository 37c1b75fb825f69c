"""How layers of signs are done: the way that is fastest on this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tuner import kernels
from tuner.bnn import sign_conv, sign_product
from tuner.bnn.sign_conv import Way
from tuner.train.signs.sizes import layers_of, sign_convolutions, sign_products
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

    Gradients are rounded to int16 only if the workload's precision is ``auto``, and those of fully
    connected layers never. Two layers of one shape are done alike.

    Args:
        workload: What is trained.
        device: Where; elsewhere than on a CPU torch does all.
        dtype: Of the activations.

    Raises:
        InvalidInput: If data and network do not fit each other.
        DataMissing: If the data set is not there.
    """
    layers = layers_of(workload, str(dtype).removeprefix("torch."))
    ours = device.type == "cpu" and kernels.suffix(dtype) is not None
    allowed = tuple(Way) if workload.precision == "auto" else _EXACT
    return Ways(
        tuple(
            _fastest(allowed, step_seconds(layer))
            if layer and ours and sign_conv.trusted()
            else Way.TORCH
            for layer in layers.convolutions
        ),
        tuple(
            _fastest(_EXACT, forward_seconds(layer))
            if layer and ours and sign_product.trusted()
            else Way.TORCH
            for layer in layers.products
        ),
    )


def apply(network: nn.Module, chosen: Ways) -> None:
    """Have a network's layers done as ``ways`` says."""
    for convolution, way in zip(sign_convolutions(network), chosen.convolutions, strict=True):
        convolution.way = way
    for product, way in zip(sign_products(network), chosen.products, strict=True):
        product.way = way


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
