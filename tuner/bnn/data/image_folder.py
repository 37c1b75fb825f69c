"""A data set from a folder of class folders of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tuner import config, machine
from tuner.bnn.data.decoding import Decoding, by_threads, decoding_of
from tuner.bnn.data.folder_layout import (
    SUFFIXES,
    class_names,
    images_in,
    parts_of,
    passed_over,
    stamp,
)
from tuner.bnn.data.looks import Looks, digest, sums
from tuner.bnn.data.splits import TEST_SEED, Source, Split, share_of, stratified_split
from tuner.bnn.data.streamed import Rows
from tuner.errors import InvalidInput
from tuner.workload.files import existing_folder

TEST_SHARE = 0.15
VAL_SHARE = 0.15
LEAST_PER_CLASS = 3
"""Images that each class needs where a split is ours to make, so that train keeps one."""


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
    they are grey if all are grey, else RGB. Transparency is ignored. Where they would not fit into
    memory they are decoded anew whenever they are needed, after each was looked at once.

    Args:
        folder: See ``folder_layout.parts_of`` for what the splits may be called.
        size: Side to which the images are resized and cropped, in pixels: the shorter side, by
            torchvision's Resize, then the middle, by its CenterCrop. 0 keeps their size, which
            must then be the same for all.

    Raises:
        DataMissing: If the folder does not exist.
        InvalidInput: If the layout breaks these rules, or an image cannot be decoded.
    """
    parts, notes = parts_of(existing_folder(folder))
    classes = class_names(parts["train"])
    files = {name: _list_images(part, classes) for name, part in parts.items()}
    if not files.keys() >= {"val", "test"}:
        _check_splittable(files["train"], classes)
    splits, more = _splits(files, size, folder)
    train, test, val_share = splits["train"], splits.get("test"), VAL_SHARE
    if test is None:
        n_test = share_of(len(train), TEST_SHARE)
        train, test = stratified_split(train, n_test, seed=TEST_SEED)
        val_share = VAL_SHARE / (1 - TEST_SHARE)
    notes += more + passed_over(list(parts.values()))
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


def _splits(
    files: Mapping[str, Sequence[_Labelled]], size: int, folder: Path
) -> tuple[dict[str, Split], tuple[str, ...]]:
    """The images of each part, in memory or to be decoded when they are needed; and a note."""
    paths = {name: [image.path for image in images] for name, images in files.items()}
    every = tuple(path for part in paths.values() for path in part)
    decoding = decoding_of(every, size)
    labels = {name: torch.tensor([i.label for i in images]) for name, images in files.items()}
    needed, room = len(every) * prod(decoding.shape), _room()
    if needed <= room:
        return {n: Split(decoding.stacked(p), labels[n]) for n, p in paths.items()}, ()
    looks = _looked_at(decoding, every, stamp(folder))

    def read(numbers: Sequence[int]) -> Tensor:
        return decoding.stacked([every[number] for number in numbers])

    starts = accumulate((len(part) for part in paths.values()), initial=0)
    sample = read([0])[0]
    return {
        name: Split(
            Rows(read, start + torch.arange(len(paths[name])), sample, apart=True, looks=looks),
            labels[name],
        )
        for name, start in zip(paths, starts, strict=False)  # the last one is the end
    }, (
        f"{folder}: {len(every):,} images take {needed / 1e9:,.2f} GB decoded, and a process here "
        f"may keep {room / 1e9:,.2f} GB (TUNER_IMAGE_BYTES), so they are decoded batch by batch, "
        "to the same results in a longer time; workload.size makes them smaller",
    )


def _room() -> int:
    """Bytes of images that a process may keep: all that train on this machine keep theirs.

    Half of what is free, for parting them makes a copy.
    """
    said = config.image_bytes()
    processes = len(machine.gpus()) or machine.cores()
    return machine.free_memory() // (2 * processes) if said is None else said


@lru_cache(maxsize=1)
def _looked_at(decoding: Decoding, paths: tuple[Path, ...], _version: str) -> Looks:
    """What is seen of all images, each decoded once; kept, for splits are made for every seed."""
    n, channels = len(paths), decoding.shape[0]
    totals, squares = (torch.empty((n, channels), dtype=torch.int64) for _ in range(2))

    def look(number: int) -> bytes:
        pixels = np.ascontiguousarray(decoding.pixels(paths[number]))
        totals[number], squares[number] = sums(torch.from_numpy(pixels)[None])
        return digest(pixels)

    return Looks(list(by_threads(look, range(n))), totals, squares)
