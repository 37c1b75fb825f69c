"""Where the images of a folder lie: which of its folders are splits, which are classes."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tuner.errors import InvalidInput

_JPEG, _OTHERS = (".jfif", ".jpe", ".jpeg", ".jpg"), (".pgm", ".png", ".ppm", ".tif", ".tiff")
SUFFIXES = (".bmp", ".gif", *_JPEG, *_OTHERS, ".webp")

SPLITS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("train", "training"),
        "val": ("val", "valid", "validation", "dev"),
        "test": ("test", "testing"),
    }
)
"""Split -> what its folder may be called, in any case, and with ``seg_`` before it."""

_OFTEN_THERE = ("thumbs.db", "desktop.ini")
_FIX = "name the folders of the splits train, val and test, and those of the classes otherwise"


def parts_of(folder: Path) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The folders of the splits, ``train`` alone where the classes lie in ``folder`` itself.

    A folder called like a split is one if it holds class folders, and a class if it holds images.

    Returns:
        Split -> its folder; and what was passed over, in words.

    Raises:
        InvalidInput: If it is not clear which folders are splits.
    """
    inside = _folders(folder)
    named = [(split, part) for part in inside if (split := _split_called(part.name))]
    splits = [(split, part) for split, part in named if not _has_images(part)]
    if not splits:
        _refuse_hidden_splits(folder, inside)
        return {"train": folder}, ()
    if classes := [part for _, part in named if _has_images(part)]:
        raise InvalidInput(
            f"workload.folder: {splits[0][1]} holds folders and {classes[0]} images, so it is not "
            f"clear which of them are splits and which classes; {_FIX}"
        )
    parts: dict[str, Path] = {}
    for split, part in splits:
        if split in parts:
            raise InvalidInput(
                f"workload.folder: {parts[split]} and {part} are both called like the {split} "
                "split; rename or merge them"
            )
        parts[split] = _inner(part, split)
    if "train" not in parts or len(parts) == 1:
        there = ", ".join(f"{part.name}/" for _, part in splits)
        raise InvalidInput(
            f"workload.folder: {folder} must have both train/ and test/, or train/ and val/, or "
            f"class folders only, got {there}; add or rename folders"
        )
    beside = [part.name for part in inside if not _split_called(part.name)]
    left = tuple(f"{folder / name}: passed over, as it is no split" for name in beside)
    return parts, left


def class_names(part: Path) -> tuple[str, ...]:
    """The names of the class folders in ``part``, sorted; hidden folders do not count."""
    return tuple(path.name for path in _folders(part))


def images_in(folder: Path) -> list[Path]:
    """The image files in a class folder, at any depth, sorted."""
    return sorted(path for path in _files(folder) if path.suffix.lower() in SUFFIXES)


def passed_over(parts: Sequence[Path]) -> tuple[str, ...]:
    """What the class folders hold beside images, in words."""
    endings: Counter[str] = Counter()
    example: dict[str, Path] = {}
    for part in parts:
        for folder in _folders(part):
            for path in _files(folder):
                ending = path.suffix.lower()
                if ending not in SUFFIXES and path.name.lower() not in _OFTEN_THERE:
                    endings[ending] += 1
                    example.setdefault(ending, path)
    return tuple(
        f"{n:,} file{'s' * (n > 1)} ending in {ending or 'nothing'} passed over, such as "
        f"{example[ending]}; images end in {', '.join(SUFFIXES)}"
        for ending, n in sorted(endings.items())
    )


def stamp(folder: Path) -> str:
    """A digest that changes with the folder's files: their names, sizes and times of change."""
    known = hashlib.sha256()
    for where, names in _walk(folder):  # plain text: paths as objects take three times as long
        known.update(os.fsencode(f"{where}\0"))
        for name in sorted(names):
            try:
                about = os.stat(f"{where}/{name}")
            except OSError:  # gone meanwhile, or a broken link
                continue
            text = f"{name}\0{about.st_size}\0{about.st_mtime_ns}\0"
            known.update(os.fsencode(text))
    return known.hexdigest()


def _split_called(name: str) -> str | None:
    """Which split a folder of that name is."""
    word = re.sub(r"^seg[_-]", "", name.lower())
    return next((split for split, names in SPLITS.items() if word in names), None)


def _inner(part: Path, split: str) -> Path:
    """The folder, or the one that an archive was unpacked into: ``seg_train/seg_train``."""
    inside = _folders(part)
    if len(inside) == 1 and _split_called(inside[0].name) == split and not _has_images(inside[0]):
        return _inner(inside[0], split)
    return part


def _refuse_hidden_splits(folder: Path, inside: Sequence[Path]) -> None:
    """Refuse folders that would be classes, but that all hold the same folders of images."""
    if len(inside) < 2 or any(map(_has_images, inside)):
        return
    names = {class_names(part) for part in inside}
    if len(names) == 1 and len(next(iter(names))) > 1:
        raise InvalidInput(
            f"workload.folder: {folder} holds {', '.join(part.name for part in inside)}, and each "
            f"of them {', '.join(next(iter(names)))}, so it is not clear which are classes; "
            f"{_FIX}, or put the images of each class right into its folder"
        )


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, links among them, sorted; not the hidden ones."""
    return sorted(
        path for path in folder.iterdir() if not path.name.startswith(".") and path.is_dir()
    )


def _has_images(folder: Path) -> bool:
    """Whether images lie in the folder itself."""
    return any(
        path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        for path in folder.iterdir()
        if path.is_file()
    )


def _files(folder: Path) -> Iterator[Path]:
    """All files at any depth; see ``_walk``."""
    for where, names in _walk(folder):
        yield from (Path(where, name) for name in names)


def _walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders at any depth and the files in each, links followed, none twice; nothing hidden."""
    seen = set()
    for where, folders, names in os.walk(folder, followlinks=True):
        here = os.path.realpath(where)
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield where, [name for name in names if not name.startswith(".")]
