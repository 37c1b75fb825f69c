"""The kinds of binary layers that public repositories write, in words of our own.

Each is a linear layer without bias that shows its input real weights and computes with signs.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize


def through(value, gradient_of):
    """The value, with the gradient of something else (straight-through estimator)."""
    return (value - gradient_of).detach() + gradient_of


class Plain(nn.Linear):
    """The sign of a latent weight, its gradient passed on as it is."""

    def forward(self, x):
        return F.linear(x, through(self.weight.sign(), self.weight))


class Recentred(nn.Linear):
    """Weights balanced and standardised, then their sign, as where information is to be kept."""

    def forward(self, x):
        w = self.weight - self.weight.mean(1, keepdim=True)
        w = w / w.std(1, keepdim=True)
        return F.linear(x, through(w.sign(), w.tanh()))


class Clipped(nn.Linear):
    """The straight-through estimator clips the weight at +-1."""

    def forward(self, x):
        return F.linear(x, through(self.weight.sign(), self.weight.clamp(-1, 1)))


class Scaled(nn.Linear):
    """Signs times the channel's mean size, through which a gradient flows too."""

    def forward(self, x):
        size = self.weight.abs().mean(1, keepdim=True)
        return F.linear(x, size * through(self.weight.sign(), self.weight))


class SignOf(nn.Module):
    def forward(self, w):
        return through(w.sign(), w)


def parametrized(n_in, n_out, **options):
    """``torch.nn.utils.parametrize`` takes the sign."""
    layer = nn.Linear(n_in, n_out, **options)
    return parametrize.register_parametrization(layer, "weight", SignOf())


class Quantiser(nn.Module):
    """As Brevitas's: clips the weight in place to its scale, and knows its width in bits."""

    is_quant_enabled = True

    def __init__(self, bits, scale):
        super().__init__()
        self.bits, self.scale = bits, scale

    def bit_width(self):
        return torch.tensor(float(self.bits))

    def forward(self, w):
        with torch.no_grad():
            w.clamp_(-self.scale, self.scale)
        return self.scale * through(w.sign(), w)


class Proxied(nn.Linear):
    """A quantiser beside the weight makes what forward uses."""

    def __init__(self, n_in, n_out, bias=True, *, bits=1, scale=0.1):
        super().__init__(n_in, n_out, bias=bias)
        self.weight_quant = Quantiser(bits, scale)

    def forward(self, x):
        return F.linear(x, self.weight_quant(self.weight), self.bias)


class Stored(nn.Linear):
    """The weights are +1 and -1 in memory, and are used as they are; for Bop."""

    def __init__(self, n_in, n_out, bias=True):
        super().__init__(n_in, n_out, bias=bias)
        with torch.no_grad():
            self.weight.copy_(torch.where(self.weight >= 0, 1.0, -1.0))


class _Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w, bound):
        ctx.save_for_backward(w)
        ctx.bound = bound
        return w.sign()

    @staticmethod
    def backward(ctx, gradient):
        (w,) = ctx.saved_tensors
        outside = w.abs() >= 1 if ctx.bound == "up to 1" else w.abs() > 1
        return gradient.masked_fill(outside, 0.0), None


class OwnFunction(nn.Linear):
    """An autograd function of its own, whose gradient ends behind +-1."""

    def forward(self, x):
        return F.linear(x, _Sign.apply(self.weight, "with 1"))


class OwnFunctionUpToOne(nn.Linear):
    """The same, whose gradient ends at +-1 already."""

    def forward(self, x):
        return F.linear(x, _Sign.apply(self.weight, "up to 1"))


class Detached(nn.Linear):
    """The signs are taken from ``.data``, and only the bias can learn."""

    def forward(self, x):
        return F.linear(x, self.weight.data.sign(), self.bias)


class Swapped(nn.Linear):
    """Computes with what lies in the weight; the loop puts signs there, and takes them out."""
