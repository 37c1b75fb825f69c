"""A data set from a folder of class folders of images."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from tuner.bnn.splits import TEST_SEED, Source, Split, share_of, stratified_split
from tuner.errors import DataMissing, InvalidInput

TEST_SHARE = 0.15
VAL_SHARE = 0.15
LEAST_PER_CLASS = 3
"""Images that each class needs where a split is ours to make, so that train keeps one."""

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
GREY_MODES = frozenset({"1", "L", "LA"})
COLOUR_MODES = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"})
DECODING_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises on files that are no images, are cut off, or unreasonably large."""


@dataclass(frozen=True)
class _Labelled:
    """An image file and its class number."""

    path: Path
    label: int


def image_folder(folder: Path) -> Source:
    """The images of ``folder``, whose subfolders name the classes.

    Either ``folder`` holds ``train/`` and ``test/`` (and maybe ``val/``) with class folders in
    each, or the class folders themselves: then 15% are the test split, always the same ones,
    and 15% are left to validate on. Classes are numbered by their names' order. Images keep
    their size, which must be the same for all, and 8 bits a channel; they are grey if all are
    grey, else RGB. Transparency is ignored.

    Raises:
        DataMissing: If the folder does not exist.
        InvalidInput: If the layout breaks these rules, or an image cannot be decoded.
    """
    if not folder.is_dir():
        raise DataMissing(f"workload.folder: there is no folder {folder}; name one that exists")
    parts = {name: folder / name for name in ("train", "val", "test")}
    parts = {name: part for name, part in parts.items() if part.is_dir()}
    if parts and not parts.keys() >= {"train", "test"}:
        raise InvalidInput(
            f"workload.folder: {folder} must have both train/ and test/, or class folders only, "
            f"got {', '.join(parts)}/; add or rename folders"
        )
    parts = parts or {"train": folder}
    classes = _class_names(parts["train"])
    files = {name: _list_images(part, classes) for name, part in parts.items()}
    if "val" not in files:
        _check_splittable(files["train"], classes)
    splits = _decode(files)
    if "test" in splits:
        train, test = splits["train"], splits["test"]
        return Source(train, test, len(classes), splits.get("val"), VAL_SHARE)
    whole = splits["train"]
    train, test = stratified_split(whole, share_of(len(whole), TEST_SHARE), seed=TEST_SEED)
    return Source(train, test, len(classes), None, VAL_SHARE / (1 - TEST_SHARE))


def _class_names(part: Path) -> tuple[str, ...]:
    """The names of the class folders in ``part``, sorted; hidden folders do not count."""
    names = (entry.name for entry in part.iterdir() if entry.is_dir())
    return tuple(sorted(name for name in names if not name.startswith(".")))


def _list_images(part: Path, classes: Sequence[str]) -> list[_Labelled]:
    """The image files of one part, class by class and sorted, with their class numbers."""
    names = _class_names(part)
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
        paths = [
            path
            for path in sorted((part / name).rglob("*"))
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]
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


def _decode(files: dict[str, list[_Labelled]]) -> dict[str, Split]:
    """The images of each part, decoded by a pool of threads straight into one array per part."""
    paths = [image.path for images in files.values() for image in images]
    # Leaving the pool's map on an error cancels what is still queued.
    with ThreadPoolExecutor() as pool:
        headers = list(pool.map(_read_header, paths))
        width, height = headers[0][0]
        for path, (size, _) in zip(paths, headers, strict=True):
            if size != (width, height):
                raise InvalidInput(
                    f"{path}: all images of a folder must have the same size, got "
                    f"{size[0]}x{size[1]} but {width}x{height} in {paths[0]}; resize them"
                )
        coloured = any(mode in COLOUR_MODES for _, mode in headers)
        mode, channels = ("RGB", 3) if coloured else ("L", 1)
        splits = {}
        for name, images in files.items():
            pixels = np.empty((len(images), channels, height, width), np.uint8)
            list(pool.map(lambda image, out: _decode_into(out, image.path, mode), images, pixels))
            labels = torch.tensor([image.label for image in images])
            splits[name] = Split(torch.from_numpy(pixels), labels)
    return splits


def _read_header(path: Path) -> tuple[tuple[int, int], str]:
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


def _decode_into(pixels: NDArray[np.uint8], path: Path, mode: str) -> None:
    """Write the image into ``pixels`` [C, H, W]."""
    try:
        with Image.open(path) as image:
            decoded = np.asarray(image.convert(mode))
    except DECODING_ERRORS as error:
        raise _undecodable(path, error) from error
    pixels[:] = decoded.reshape(*pixels.shape[1:], -1).transpose(2, 0, 1)


def _undecodable(path: Path, error: Exception) -> InvalidInput:
    """The refusal of a file that is no image, or a damaged one."""
    reason = " ".join(str(error).split())
    return InvalidInput(
        f"{path}: must be an image that Pillow can decode ({reason}); replace or remove it"
    )
