"""A data set from a folder of class folders of images."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tuner.bnn.data.folder_layout import SUFFIXES, class_names, images_in, parts_of, passed_over
from tuner.bnn.data.splits import TEST_SEED, Source, Split, share_of, stratified_split
from tuner.errors import DataMissing, InvalidInput

TEST_SHARE = 0.15
VAL_SHARE = 0.15
LEAST_PER_CLASS = 3
"""Images that each class needs where a split is ours to make, so that train keeps one."""

GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
DECODING_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises on files that are no images, are cut off, or unreasonably large."""

Crop = Callable[[Image.Image], Image.Image]
Size = tuple[int, int]
"""Width and height."""


@dataclass(frozen=True)
class _Labelled:
    """An image file and its class number."""

    path: Path
    label: int


def image_folder(folder: Path, size: int) -> Source:
    """The images of ``folder``, whose subfolders name the classes.

    Either ``folder`` holds the splits, ``train/`` with ``test/``, ``val/`` or both, and class
    folders in each; or the class folders themselves. Where there is no test split, 15% of train
    are it, always the same ones, and 15% are left to validate on. Classes are numbered by their
    names' order. Images are turned upright, as their EXIF data say, and have 8 bits a channel;
    they are grey if all are grey, else RGB. Transparency is ignored.

    Args:
        folder: See ``folder_layout.parts_of`` for what the splits may be called.
        size: Side to which the images are resized and cropped, in pixels: the shorter side, by
            torchvision's Resize, then the middle, by its CenterCrop. 0 keeps their size, which
            must then be the same for all.

    Raises:
        DataMissing: If the folder does not exist.
        InvalidInput: If the layout breaks these rules, or an image cannot be decoded.
    """
    if not folder.is_dir():
        raise DataMissing(f"workload.folder: there is no folder {folder}; name one that exists")
    parts, notes = parts_of(folder)
    classes = class_names(parts["train"])
    files = {name: _list_images(part, classes) for name, part in parts.items()}
    if not files.keys() >= {"val", "test"}:
        _check_splittable(files["train"], classes)
    splits = _decode(files, size)
    train, test, val_share = splits["train"], splits.get("test"), VAL_SHARE
    if test is None:
        n_test = share_of(len(train), TEST_SHARE)
        train, test = stratified_split(train, n_test, seed=TEST_SEED)
        val_share = VAL_SHARE / (1 - TEST_SHARE)
    notes += passed_over(list(parts.values()))
    return Source(train, test, len(classes), splits.get("val"), val_share, notes)


def _list_images(part: Path, classes: Sequence[str]) -> list[_Labelled]:
    """The image files of one part, class by class and sorted, with their class numbers."""
    names = class_names(part)
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise InvalidInput(
            f"{part / unknown[0]}: class {unknown[0]!r} must also be in train, "
            f"which has {', '.join(classes)}; add it there or remove this folder"
        )
    if len(classes) < 2 or not names:
        raise InvalidInput(
            f"{part}: must hold one folder of images for each of two or more classes, "
            f"got {len(names)}; make one folder per class"
        )
    images = []
    for name in names:
        paths = images_in(part / name)
        if not paths:
            raise InvalidInput(
                f"{part / name}: a class folder must hold images ({', '.join(SUFFIXES)}), "
                "got none; add some or remove the folder"
            )
        images += [_Labelled(path, classes.index(name)) for path in paths]
    return images


def _check_splittable(images: Sequence[_Labelled], classes: Sequence[str]) -> None:
    """Refuse classes with too few images to be split."""
    counts = np.bincount([image.label for image in images], minlength=len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < LEAST_PER_CLASS:
        raise InvalidInput(
            f"workload.folder: each class must have at least {LEAST_PER_CLASS} images to be "
            f"split, class {classes[rarest]!r} has {counts[rarest]}; add images"
        )


def _decode(files: dict[str, list[_Labelled]], size: int) -> dict[str, Split]:
    """The images of each part, decoded by a pool of threads straight into one array per part."""
    paths = [image.path for images in files.values() for image in images]
    # Leaving the pool's map on an error cancels what is still queued.
    with ThreadPoolExecutor() as pool:
        headers = list(pool.map(_read_header, paths))
        coloured = any(mode in COLOUR_MODES for _, mode in headers)
        mode, channels = ("RGB", 3) if coloured else ("L", 1)
        crop = _cropped(size) if size else _as_it_is
        if not size:
            _check_sizes(paths, [header[0] for header in headers])
        first = _pixels(paths[0], mode, crop)
        splits = {}
        for name, images in files.items():
            pixels = np.empty((len(images), channels, *first.shape[1:]), np.uint8)
            decode = partial(_decode_into, mode=mode, crop=crop, first=paths[0])
            list(pool.map(decode, pixels, [image.path for image in images]))
            labels = torch.tensor([image.label for image in images])
            splits[name] = Split(torch.from_numpy(pixels), labels)
    return splits


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


def _as_it_is(image: Image.Image) -> Image.Image:
    return image


def _cropped(size: int) -> Crop:
    """Resizes the shorter side and crops the middle."""
    from torchvision.transforms import v2  # a second to import

    both: Crop = v2.Compose([v2.Resize(size), v2.CenterCrop(size)])
    return both


def _pixels(path: Path, mode: str, crop: Crop) -> NDArray[np.uint8]:
    """An image upright, [C, H, W]."""
    try:
        with Image.open(path) as image:
            ImageOps.exif_transpose(image, in_place=True)
            decoded = np.asarray(crop(image.convert(mode)))
    except DECODING_ERRORS as error:
        raise _undecodable(path, error) from error
    return decoded.reshape(*decoded.shape[:2], -1).transpose(2, 0, 1)


def _decode_into(
    pixels: NDArray[np.uint8], path: Path, *, mode: str, crop: Crop, first: Path
) -> None:
    """Write the image into ``pixels`` [C, H, W]."""
    decoded = _pixels(path, mode, crop)
    if decoded.shape != pixels.shape:
        (_, height, width), (_, *others) = decoded.shape, pixels.shape
        raise _other_size(path, (width, height), first, (others[1], others[0]))
    pixels[:] = decoded


def _undecodable(path: Path, error: Exception) -> InvalidInput:
    """The refusal of a file that is no image, or a damaged one."""
    reason = " ".join(str(error).split())
    return InvalidInput(
        f"{path}: must be an image that Pillow can decode ({reason}); replace or remove it"
    )
