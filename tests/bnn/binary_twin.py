"""The compiled convolution of signs, number for number, as torch writes it."""

import torch
from torch import Tensor
from torch.nn import functional as F

MASK = 0xFFFFFFFF


def dither(places: Tensor, seed: int) -> Tensor:
    """A share in [0, 1) for each place, as ``dither`` in quantise.h."""
    mixed = (places * 0x9E3779B1 + seed) & MASK
    mixed = ((mixed ^ (mixed >> 15)) * 0x85EBCA77) & MASK
    return ((mixed ^ (mixed >> 13)) >> 8).float() * 2.0**-24


def quantise(gradient: Tensor, most: int) -> tuple[Tensor, float]:
    """Whole numbers and their unit, of a trial's [N, H, W, O], as ``quantise`` in quantise.h."""
    top = gradient.float().abs().max()
    if top < 1e-30:
        return torch.zeros(gradient.shape), 0.0
    unit = top / (most - 1)
    seed = int(top.view(torch.int32)) & MASK
    places = torch.arange(gradient.numel()).view(gradient.shape)
    exact = gradient.double() * (1 / unit).double() + dither(places, seed)  # rounded once
    return exact.float().floor(), float(unit)


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, stride: int, most: int
) -> tuple[Tensor, Tensor]:
    """What input and weight get, in float64, of the quantised gradient."""
    n_trials = len(weight)
    parts = []
    for part in gradient.chunk(n_trials, dim=1):
        whole, unit = quantise(part.permute(0, 2, 3, 1), most)
        parts.append(whole.permute(0, 3, 1, 2).double() * unit)
    x, weight = (t.detach().double().requires_grad_() for t in (x, weight))
    out = F.conv2d(x, weight.flatten(0, 1), stride=stride, padding=1, groups=n_trials)
    found: tuple[Tensor, Tensor] = torch.autograd.grad(out, (x, weight), torch.cat(parts, 1))
    return found


def product(x: Tensor, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """[K, N, C] times [K, O, C]: as many as there are, less two for each pair of other signs."""
    differ = (x[:, :, None] < 0) ^ (weight[:, None] < 0)
    return (x.shape[2] - 2 * differ.sum(3)).to(dtype)


def product_gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, most: int
) -> tuple[Tensor, Tensor]:
    """What x and weight get, in float64, of the quantised gradient [K, N, O]."""
    parts = [whole.double() * unit for whole, unit in (quantise(g, most) for g in gradient)]
    g = torch.stack(parts)
    return torch.bmm(g, weight.double()), torch.bmm(g.mT, x.double())
