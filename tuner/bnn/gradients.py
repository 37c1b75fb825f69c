"""Gradients of what has a gradient, without all that torch imports for that."""

from collections.abc import Sequence

import torch
from torch import Tensor


def gradients(out: Tensor, inputs: Sequence[Tensor], gradient: Tensor) -> tuple[Tensor, ...]:
    """As ``torch.autograd.grad(out, inputs, gradient)``.

    Torch's own (2.14) compares the two shapes by way of sympy, which it imports for that: half a
    second of computing or more, and 80 MB, for each process of a crew.

    Args:
        out: What is differentiated, of any shape; used for nothing else afterwards.
        inputs: By what.
        gradient: Of ``out``, of its shape and dtype.

    Returns:
        The gradient of each input.
    """
    out.register_hook(lambda _of_the_sum: gradient)  # type: ignore[no-untyped-call]
    return torch.autograd.grad(out.sum(), inputs)
