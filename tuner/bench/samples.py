"""Small data sets for contests of speed: a training split of a few batches, hardly any other.

They are image folders, which our data code reads like a user's own.
"""

from pathlib import Path

import torch
from PIL import Image

from tuner.bnn.data.dataset import Split, load_data
from tuner.workload import Workload

_VALIDATION = 100


def some_of(dataset: str, folder: Path, *, n_train: int) -> str:
    """A folder with the first images of a named data set.

    Raises:
        DataMissing: If the data set is not there.
    """
    whole = load_data(Workload(dataset=dataset))
    target = folder / f"{dataset}-{n_train}"
    return _write(target, whole.train.take(torch.arange(n_train)), whole.val)


def noise(folder: Path, *, n_train: int) -> str:
    """A folder with 32x32 colour images of noise: speed does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n_train, 3, 32, 32), generator=generator, dtype=torch.uint8)
    split = Split(pixels, torch.arange(n_train) % 10)
    return _write(folder / f"noise-{n_train}", split, split)


def _write(folder: Path, train: Split, val: Split) -> str:
    """Write the images unless they are there; returns the folder."""
    few = val.take(torch.arange(_VALIDATION))
    if not folder.exists():
        for part, split in (("train", train), ("val", few), ("test", few)):
            for label in set(split.labels.tolist()):
                (folder / part / str(label)).mkdir(parents=True)
            arrays = split.images[:].permute(0, 2, 3, 1).squeeze(-1).numpy()
            for i, (array, label) in enumerate(zip(arrays, split.labels.tolist(), strict=True)):
                Image.fromarray(array).save(folder / part / str(label) / f"{i:05}.png")
    return str(folder)
