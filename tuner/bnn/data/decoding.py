"""Image files decoded: upright, grey or RGB, resized and cropped, of one shape."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from tuner.errors import InvalidInput

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
DECODING_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises on files that are no images, are cut off, or unreasonably large."""

_AT_ONCE = 4096
"""So many files are given to the threads at once: a million of them would take a gigabyte."""

Crop = Callable[[Image.Image], Image.Image]
Size = tuple[int, int]
"""Width and height."""

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Decoding:
    """How the images of a folder are decoded.

    Args:
        mode: Pillow's, ``"L"`` or ``"RGB"``.
        size: Side to which they are resized and cropped, in pixels; 0 as they are.
        shape: Of one, (C, H, W).
        first: The image that has this shape, for errors about others.
    """

    mode: str
    size: int
    shape: tuple[int, ...]
    first: Path

    def pixels(self, path: Path) -> NDArray[np.uint8]:
        """An image, uint8 [C, H, W].

        Raises:
            InvalidInput: If it cannot be decoded, or has another shape.
        """
        decoded = _pixels(path, self.mode, self.size)
        if decoded.shape != self.shape:
            (_, height, width), (_, *others) = decoded.shape, self.shape
            raise _other_size(path, (width, height), self.first, (others[1], others[0]))
        return decoded

    def stacked(self, paths: Sequence[Path]) -> Tensor:
        """Images, uint8 [n, C, H, W], decoded by several threads straight into their places.

        Raises:
            InvalidInput: If one cannot be decoded, or has another shape.
        """
        stack = np.empty((len(paths), *self.shape), np.uint8)

        def put(number: int) -> None:
            stack[number] = self.pixels(paths[number])

        for _ in by_threads(put, range(len(paths))):
            pass
        return torch.from_numpy(stack)


def decoding_of(paths: Sequence[Path], size: int) -> Decoding:
    """How these images are to be decoded: grey if all are grey, else RGB.

    Args:
        paths: One or more.
        size: See ``Decoding``.

    Raises:
        InvalidInput: If one is no image, or they are of many sizes and are to stay as they are.
    """
    headers = list(by_threads(_read_header, paths))
    mode = "RGB" if any(mode in COLOUR_MODES for _, mode in headers) else "L"
    if not size:
        _check_sizes(paths, [header[0] for header in headers])
    return Decoding(mode, size, _pixels(paths[0], mode, size).shape, paths[0])


def by_threads(make: Callable[[_Given], _Made], given: Iterable[_Given]) -> Iterator[_Made]:
    """What is made of each, in order, by a pool of threads; an error cancels what is queued."""
    left = iter(given)
    with ThreadPoolExecutor() as pool:
        while some := list(islice(left, _AT_ONCE)):
            yield from pool.map(make, some)


def _check_sizes(paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> None:
    """Refuse images of several sizes, before they are all decoded; one may lie on its side."""
    for path, size in zip(paths, sizes, strict=True):
        if sorted(size) != sorted(sizes[0]):
            raise _other_size(path, size, paths[0], sizes[0])


def _other_size(path: Path, size: Size, first: Path, of_first: Size) -> InvalidInput:
    """The refusal of the first image of another size."""
    return InvalidInput(
        f"{path}: all images of a folder must have the same size, got "
        f"{size[0]}x{size[1]} but {of_first[0]}x{of_first[1]} in {first}; set workload.size to "
        "have them resized and cropped"
    )


def _read_header(path: Path) -> tuple[Size, str]:
    """The (width, height) and the Pillow mode of an image file."""
    try:
        with Image.open(path) as image:
            size, mode = image.size, image.mode
    except DECODING_ERRORS as error:
        raise _undecodable(path, error) from error
    if mode not in GREY_MODES | COLOUR_MODES:
        raise InvalidInput(
            f"{path}: images must have 8 bits a channel, got Pillow mode {mode}; convert it"
        )
    return size, mode


@cache
def _cropped(size: int) -> Crop:
    """Resizes the shorter side and crops the middle."""
    from torchvision.transforms import v2  # a second to import

    both: Crop = v2.Compose([v2.Resize(size), v2.CenterCrop(size)])
    return both


def _pixels(path: Path, mode: str, size: int) -> NDArray[np.uint8]:
    """An image upright, [C, H, W]."""
    try:
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            whole = image.convert(mode)
            decoded = np.asarray(_cropped(size)(whole) if size else whole)
    except DECODING_ERRORS as error:
        raise _undecodable(path, error) from error
    return decoded.reshape(*decoded.shape[:2], -1).transpose(2, 0, 1)


def _undecodable(path: Path, error: Exception) -> InvalidInput:
    """The refusal of a file that is no image, or a damaged one."""
    reason = " ".join(str(error).split())
    return InvalidInput(
        f"{path}: must be an image that Pillow can decode ({reason}); replace or remove it"
    )
