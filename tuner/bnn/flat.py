"""All parameters of one kind in one buffer, so that an update is a few operations on it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tuner.errors import InvalidInput


class FlatParameters:
    """Parameters [K, ...] laid side by side in one parameter ``flat`` of shape [K, P].

    The network's parameters become views of ``flat``: what an optimizer writes there, the next
    forward pass reads. Call ``collect_gradients`` between backward pass and optimizer step.

    Args:
        parameters: The network's parameters, all with the same K.

    Raises:
        InvalidInput: If there are none.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        if not parameters:
            raise InvalidInput(
                "the network needs a binary layer and has none: name two widths or more, or set "
                "workload.binary_ends"
            )
        self.parameters = list(parameters)
        rows = [p.detach().flatten(1) for p in self.parameters]
        self.sizes = [row.shape[1] for row in rows]
        self.flat = nn.Parameter(torch.cat(rows, 1))
        self._view()

    @property
    def layout(self) -> list[tuple[int, int]]:
        """Per parameter: its size in one trial, and its output channels."""
        return [(size, p.shape[1]) for size, p in zip(self.sizes, self.parameters, strict=True)]

    def collect_gradients(self) -> None:
        """Move the parameters' gradients into ``flat.grad``."""
        gradients: list[Tensor] = []
        for p in self.parameters:
            gradient = torch.zeros_like(p) if p.grad is None else p.grad
            gradients.append(gradient.flatten(1))
            p.grad = None
        self.flat.grad = torch.cat(gradients, 1)

    def to(self, dtype: torch.dtype) -> None:
        """Keep the values in another number type; ``flat`` stays the same parameter."""
        self.flat.data = self.flat.data.to(dtype)
        self.flat.grad = None
        self._view()

    def select_trials(self, keep: Tensor) -> None:
        """Keep only the trials at these positions, shape [k]."""
        self.flat.data = self.flat.data[keep]
        self.flat.grad = None
        self._view()

    def _view(self) -> None:
        blocks = torch.split(self.flat.data, self.sizes, dim=1)
        for p, block in zip(self.parameters, blocks, strict=True):
            p.data = block.view(block.shape[0], *p.shape[1:])
