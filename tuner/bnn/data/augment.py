"""Augmentation of a whole batch at once: random flips and zero-padded random crops."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from tuner.errors import UnknownName
from tuner.workload import AUGMENTATIONS

PADDING = 8
"""A crop shifts by at most 1/8 of the side: 4 pixels of 32, the custom for CIFAR."""


def augment(images: Tensor, kind: str, *generators: torch.Generator) -> Tensor:
    """The images, each with a random flip and a random shift of its own.

    Flip and crop are one lookup: output pixel (y, x) of image i is pixel (y + dy_i, x' + dx_i)
    of the zero-padded image, where x' is x or its mirror image W - 1 - x. The draws are made where
    the generators are, so CPU generators augment alike on every device.

    Args:
        images: Shape [..., C, H, W], any dtype; zero is the padding colour.
        kind: ``none`` returns ``images`` itself, ``flip`` mirrors left-right with probability
            1/2, ``crop`` shifts by up to 1/8 of the side (at least one pixel) in each direction,
            ``flip_crop`` does both.
        generators: Sources of the draws, each for its equal part of the images: one for all, or
            one per trial.

    Returns:
        New images of the same shape, dtype and device.

    Raises:
        UnknownName: If ``kind`` is not one of ``AUGMENTATIONS``.
    """
    if kind not in AUGMENTATIONS:
        raise UnknownName("augmentation", kind, AUGMENTATIONS)
    if kind == "none":
        return images
    device = images.device
    channels, height, width = images.shape[-3:]
    images_NCHW = images.reshape(-1, channels, height, width)
    n = len(images_NCHW)
    rows_NH = torch.arange(height, device=device).expand(n, height)
    columns_NW = torch.arange(width, device=device).expand(n, width)
    if "flip" in kind:
        flipped_N = _draw(n, 2, generators, device).bool()
        columns_NW = torch.where(flipped_N[:, None], width - 1 - columns_NW, columns_NW)
    if "crop" in kind:
        pad_y, pad_x = max(1, height // PADDING), max(1, width // PADDING)
        rows_NH = rows_NH + _draw(n, 2 * pad_y + 1, generators, device)[:, None]
        columns_NW = columns_NW + _draw(n, 2 * pad_x + 1, generators, device)[:, None]
        images_NCHW = pad(images_NCHW, (pad_x, pad_x, pad_y, pad_y))
    # A gather along flattened pixels is 3 to 5 times faster than indexing with two axes.
    pixels = rows_NH[:, :, None] * images_NCHW.shape[-1] + columns_NW[:, None, :]
    pixels = pixels.view(n, 1, -1).expand(n, channels, -1)
    return images_NCHW.flatten(2).gather(2, pixels).view(images.shape)


def _draw(
    n: int, outcomes: int, generators: Sequence[torch.Generator], device: torch.device
) -> Tensor:
    """``n`` uniform draws from 0..outcomes-1, int64, on a device, without waiting for it."""
    size = (n // len(generators),)
    draws = [torch.randint(outcomes, size, generator=g, device=g.device) for g in generators]
    return torch.cat(draws).to(device, non_blocking=True)
