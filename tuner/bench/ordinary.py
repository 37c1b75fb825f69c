"""The baseline's mlp as a user's own network: ordinary layers of torch, one of them marked."""

from itertools import pairwise
from math import prod

from torch import Tensor, nn

from tuner.bnn import binary, sign_ste

WIDTHS = (64, 64, 64)


class Sign(nn.Module):
    """Binary activations."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return sign_ste(x)


def make(shape: tuple[int, ...], n_classes: int) -> nn.Module:
    """Linear, batch norm, sign; again; a last linear layer. The first and the last are real."""
    first = nn.Linear(prod(shape), WIDTHS[0], bias=False)
    layers = [nn.Flatten(), first, nn.BatchNorm1d(WIDTHS[0]), Sign()]
    for n_in, n_out in pairwise(WIDTHS):
        layers += [binary(nn.Linear(n_in, n_out, bias=False)), nn.BatchNorm1d(n_out), Sign()]
    return nn.Sequential(*layers, nn.Linear(WIDTHS[-1], n_classes))
