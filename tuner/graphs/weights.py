"""Binary weights as signs and a constant of each output channel; as bits."""

from math import prod

import numpy as np
import torch
from torch import Tensor

from tuner.errors import InvalidInput

_ROUNDING = 1e-5
"""A straight-through estimator in a layer's forward adds and subtracts, which rounds."""


def split(weight: Tensor, called: str) -> tuple[Tensor, Tensor | None]:
    """Signs, float32 shaped as the weight, and scale [O]; ``None`` where all are 1.

    Args:
        weight: [O, ...], as a layer multiplies with it.
        called: Its name.

    Raises:
        InvalidInput: If it is not +a and -a in each output channel.
    """
    values = weight.detach().cpu()
    values = values.to(torch.promote_types(values.dtype, torch.float32))
    sizes = values.abs().flatten(1)
    scale = sizes[:, 0]
    same = torch.isclose(sizes, scale[:, None], rtol=_ROUNDING, atol=0)
    if not bool(same.all()) or not bool(torch.isfinite(scale).all()):
        raise InvalidInput(
            f"export: {called} is to be binary and holds other values than +a and -a in an output "
            "channel; export a network after an update rule of tuner.optim has trained it"
        )
    signs = torch.copysign(torch.ones_like(values), values + 0.0).to(torch.float32)
    ones = torch.isclose(scale, torch.ones_like(scale), rtol=_ROUNDING, atol=0)
    return signs, None if bool(ones.all()) else scale.clone()


def packed(signs: Tensor) -> Tensor:
    """Eight signs a byte, the first in the highest bit, 1 for +1; uint8 [ceil(n / 8)]."""
    return torch.from_numpy(np.packbits((signs > 0).flatten().numpy()))


def unpacked(bits: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The signs that ``packed`` made these bits of.

    Raises:
        ValueError: If there are more or fewer bits than the shape has places.
    """
    n = prod(shape)
    if bits.dtype != torch.uint8 or bits.dim() != 1 or len(bits) != -(-n // 8):
        raise ValueError(f"{list(bits.shape)} bytes are not the bits of shape {list(shape)}")
    signs = np.unpackbits(bits.numpy(), count=n).astype(np.float32)
    return torch.from_numpy(2 * signs - 1).reshape(shape)
