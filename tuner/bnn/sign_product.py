"""Products of signs with signs on a CPU, of fully connected layers: XOR, and the ones counted."""

import logging
from functools import cache

import torch
from torch import Tensor

from tuner import kernels

FEW_OUTPUTS = 16
"""Up to so many outputs a product is faster with the samples innermost in memory."""

_MOST_FEATURES = 2**24
"""Their sums are whole numbers that float32 holds."""

_log = logging.getLogger(__name__)


@cache
def trusted() -> bool:
    """Whether the compiled operation is there and right in a small case.

    One line says so where it is wrong.
    """
    library = kernels.library()
    if library is None or not hasattr(library, "tuner_binary_product_f32_f32"):
        return False
    types = torch.float32, torch.bfloat16
    for dtype, out in (
        (a, b) for a in types for b in types if kernels.suffix(a) != "f32" or a == b
    ):
        if not _right(dtype, out):
            _log.warning(
                "the compiled product of signs is wrong on this processor and left out: %s to %s",
                *(str(each).removeprefix("torch.") for each in (dtype, out)),
            )
            return False
    return True


def sign_product(x_KNC: Tensor, weight_KOC: Tensor, dtype: torch.dtype) -> Tensor | None:
    """[K, N, C] times [K, O, C] -> [K, N, O] in a given type; None if it cannot.

    It cannot unless everything in both is +1 or -1. What it gives is exact, rounded once, and lies
    in memory as ``layers.product`` has it.

    Args:
        x_KNC: Activations.
        weight_KOC: The trials' weights.
        dtype: Float32, or the type of both.
    """
    given, wanted = kernels.suffix(x_KNC.dtype), kernels.suffix(dtype)
    if (
        given is None
        or wanted is None
        or weight_KOC.dtype != x_KNC.dtype
        or dtype not in (x_KNC.dtype, torch.float32)
        or x_KNC.dim() != 3
        or not 0 < x_KNC.shape[2] <= _MOST_FEATURES
        or weight_KOC.dim() != 3
        or weight_KOC.shape[::2] != x_KNC.shape[::2]
        or not kernels.usable(x_KNC, weight_KOC)
    ):
        return None
    swapped = weight_KOC.shape[1] <= FEW_OUTPUTS
    rows, others = (weight_KOC, x_KNC) if swapped else (x_KNC, weight_KOC)
    k, n, c = rows.shape
    out = rows.new_empty((k, n, others.shape[1]), dtype=dtype)
    name = f"tuner_binary_product_{given}_{wanted}"
    sizes = k, n, c, others.shape[1]
    if not kernels.holds(name, rows.contiguous(), others.contiguous(), *sizes, out):
        return None
    return out.transpose(1, 2) if swapped else out


def _right(dtype: torch.dtype, out: torch.dtype) -> bool:
    """Whether it is torch's product where sizes are odd, of many outputs and of few."""
    generator = torch.Generator().manual_seed(0)
    x, *weights = (
        (torch.rand(shape, generator=generator) < 0.5).to(dtype).mul_(2).sub_(1)
        for shape in ((2, 19, 557), (2, 53, 557), (2, 3, 557))
    )
    for weight in weights:
        exact = torch.bmm(x.double(), weight.double().transpose(1, 2)).to(out)
        product = sign_product(x, weight, out)
        if product is None or not torch.equal(product, exact):
            return False
    return True
