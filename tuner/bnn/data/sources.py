"""The named data sets: where their files lie, how they are read, how they are fetched.

torchvision is imported by the functions that use it: it costs a second of start-up that the other
data sets need not pay.
"""

import fcntl
import gzip
import os
import socket
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from importlib.metadata import distribution
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tuner.bnn.data.splits import TEST_SEED, Source, Split, share_of, stratified_split
from tuner.errors import DataMissing, InvalidInput

SYSTEM_DIR = Path("/usr/share/datasets")
"""Where Debian's dataset packages put their files."""

DOWNLOAD_TIMEOUT_SECONDS = 30.0
"""A silent server is given up after this long; torchvision alone would wait for minutes."""

IDX_FILES = tuple(
    f"{part}-{content}-ubyte"
    for part in ("train", "t10k")
    for content in ("images-idx3", "labels-idx1")
)
CIFAR10_FOLDER = "cifar-10-batches-py"


def digits() -> Source:
    """scikit-learn's 1,797 handwritten digits of 8x8, grey; a quarter is the test split.

    They are the test set of UCI's digits, by 13 people; the training set, by 30 others, is left
    out by scikit-learn. Who wrote which image is not said, and the splits are random: so each of
    the 13 is in all of them.

    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI.
    """
    # sklearn.datasets reads it so too, after a second of imports that each worker would pay.
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    rows = np.loadtxt(str(file), delimiter=",")
    images = torch.from_numpy(np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8))
    whole = Split(images.reshape(-1, 1, 8, 8), torch.from_numpy(rows[:, -1]).long())
    train, test = stratified_split(whole, share_of(len(whole), 1 / 4), seed=TEST_SEED)
    return Source(train, test, n_classes=10, val=None, val_share=1 / 3)


def mnist(data_dir: Path) -> Source:
    """MNIST: 60,000 + 10,000 handwritten digits of 28x28, grey.

    No writer is in both. Source: Y. LeCun, C. Cortes and C. Burges, the MNIST database's page.
    """
    return _idx_source(data_dir, name="mnist", torchvision_name="MNIST")


def fashion_mnist(data_dir: Path) -> Source:
    """Fashion-MNIST: 60,000 + 10,000 articles of clothing of 28x28, grey."""
    return _idx_source(data_dir, name="fashion_mnist", torchvision_name="FashionMNIST")


def cifar10(data_dir: Path) -> Source:
    """CIFAR-10: 50,000 + 10,000 photographs of 32x32, colour, read by torchvision.

    The test split is 1,000 of each class at random. Source: A. Krizhevsky, the CIFAR-10 page.
    torchvision checks the checksum of every file before it unpickles it.
    """
    import torchvision

    def read(*, train: bool) -> Split:
        data = torchvision.datasets.CIFAR10(data_dir, train=train)
        images = torch.from_numpy(data.data).permute(0, 3, 1, 2).contiguous()
        return Split(images, torch.tensor(data.targets))

    def intact() -> tuple[Split, Split] | None:
        try:
            return read(train=True), read(train=False)
        except RuntimeError:  # torchvision's word for files that are missing or damaged
            return None

    found = intact()
    if found is None:
        _download(
            data_dir,
            CIFAR10_FOLDER,
            lambda: intact() is not None,
            lambda folder: torchvision.datasets.CIFAR10(folder, download=True),
            remedy=f"cifar10: unpack cifar-10-python.tar.gz into {data_dir}, which makes "
            f"{data_dir / CIFAR10_FOLDER} with data_batch_1..5, test_batch and batches.meta",
        )
        found = read(train=True), read(train=False)
    train, test = found
    return Source(train, test, n_classes=10, val=None, val_share=1 / 10)


def on_this_machine(data_dir: Path) -> dict[str, bool]:
    """Name of a data set that is not an image folder -> whether its files are here."""
    idx = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}
    return {
        "digits": True,  # it came with scikit-learn
        **{
            name: _find_idx(_idx_places(data_dir, name, fetched)) is not None
            for name, fetched in idx.items()
        },
        "cifar10": (data_dir / CIFAR10_FOLDER / "test_batch").is_file(),
    }


def _idx_places(data_dir: Path, name: str, torchvision_name: str) -> tuple[Path, ...]:
    """Where the four files may lie."""
    fetched = data_dir / torchvision_name / "raw"
    return data_dir / name, fetched, SYSTEM_DIR / name.replace("_", "-")


def _idx_source(data_dir: Path, *, name: str, torchvision_name: str) -> Source:
    """A data set in MNIST's four files, plain or gzipped."""
    fetched = Path(torchvision_name) / "raw"
    places = _idx_places(data_dir, name, torchvision_name)
    files = _find_idx(places)
    if files is None:
        debian = " or install Debian's package dataset-fashion-mnist"
        _download(
            data_dir,
            fetched,
            lambda: _find_idx(places) is not None,
            lambda folder: _fetch_idx(torchvision_name, folder),
            remedy=f"{name}: put {', '.join(f'{file}.gz' for file in IDX_FILES)} into "
            f"{data_dir / name}{debian if name == 'fashion_mnist' else ''}",
        )
        files = _find_idx(places) or [data_dir / fetched / file for file in IDX_FILES]
    train, test = _read_idx_pair(*files[:2]), _read_idx_pair(*files[2:])
    return Source(train, test, n_classes=10, val=None, val_share=1 / 6)


def _find_idx(places: tuple[Path, ...]) -> list[Path] | None:
    """The four files in the first place that has all of them, in the order of ``IDX_FILES``."""
    for place in places:
        paths = [
            path
            for file in IDX_FILES
            for path in (place / file, place / f"{file}.gz")
            if path.is_file()
        ]
        names = [path.name.removesuffix(".gz") for path in paths]
        if set(names) == set(IDX_FILES):
            return [paths[names.index(file)] for file in IDX_FILES]
    return None


def _read_idx_pair(images_path: Path, labels_path: Path) -> Split:
    """One split from its two files; refuses files that do not belong together."""
    images, labels = _read_idx(images_path, axes=3), _read_idx(labels_path, axes=1)
    if len(images) != len(labels) or not len(labels):
        raise InvalidInput(
            f"{labels_path}: must hold one label for each image, got {len(labels)} labels "
            f"for the {len(images)} images of {images_path.name}; replace both files"
        )
    if labels.max() > 9:
        raise InvalidInput(
            f"{labels_path}: labels must be in 0..9, got {labels.max()}; replace the file"
        )
    return Split(torch.from_numpy(images)[:, None], torch.from_numpy(labels).long())


def _read_idx(path: Path, *, axes: int) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes, plain or gzipped.

    The header is 0, 0, 8 (unsigned byte), the number of axes, then each length in four bytes,
    big-endian. Source: Y. LeCun's MNIST page.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".gz":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path}: cannot be read ({error}); replace the file") from error
    start = 4 + 4 * axes
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) != start + prod(shape):
        raise InvalidInput(
            f"{path}: must be a complete idx file of unsigned bytes with {axes} axes, "
            "is damaged or of another kind; replace the file"
        )
    return np.frombuffer(bytearray(content), np.uint8, offset=start).reshape(shape)


def _fetch_idx(torchvision_name: str, folder: Path) -> None:
    """Have torchvision download one of MNIST's kind into ``folder``."""
    import torchvision

    getattr(torchvision.datasets, torchvision_name)(folder, download=True)


def _download(
    data_dir: Path,
    subfolder: str | Path,
    there: Callable[[], bool],
    fetch: Callable[[Path], object],
    *,
    remedy: str,
) -> None:
    """Fetch into a temporary folder, then move each finished file into place.

    An interrupted download leaves nothing behind. Of all processes that share the folder one
    downloads, and the others wait for it.

    Args:
        data_dir: The folder.
        subfolder: Where the files come to lie in it.
        there: Whether they are there, asked when it is this process's turn.
        fetch: Fetches them into that subfolder of a folder, and compares their checksums.
        remedy: What the user can do instead.

    Raises:
        DataMissing: If the download fails; ``remedy`` tells the user what to do instead.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with (
            _turn(data_dir / f".{Path(subfolder).parts[0]}.lock") as just_failed,
            tempfile.TemporaryDirectory(dir=data_dir, prefix=".download-") as temporary,
            _socket_timeout(DOWNLOAD_TIMEOUT_SECONDS),
        ):
            if there():
                return
            if just_failed:
                raise OSError(just_failed)
            fetch(Path(temporary))
            (data_dir / subfolder).mkdir(parents=True, exist_ok=True)
            for file in (Path(temporary) / subfolder).iterdir():
                os.replace(file, data_dir / subfolder / file.name)
    except (OSError, RuntimeError, HTTPException) as error:
        reason = " ".join(str(error).split())
        raise DataMissing(
            f"{remedy} (no intact copy was found, and downloading failed: {reason})"
        ) from error


@contextmanager
def _turn(file: Path) -> Iterator[str]:
    """One process at a time, of all machines that share the file; a killed one's turn has ended.

    Where a disk has no locks, all have their turns at once: then each downloads for itself.

    Yields:
        How the one failed that was waited for, as those need not who waited; empty if none did.
    """
    with file.open("a+", encoding="utf-8") as lock:
        waited = False
        with suppress(OSError):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = True
                fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        before = lock.read()
        lock.truncate(0)
        try:
            yield before if waited else ""
        except Exception as error:
            lock.write(str(error))
            lock.flush()
            raise


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """New sockets of this process give up after ``seconds`` of silence."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
