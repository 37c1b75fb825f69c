import fcntl
import gzip
import hashlib
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Semaphore, Thread
from types import ModuleType
from typing import IO

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tuner.bnn.data import sources
from tuner.bnn.data.dataset import load_data
from tuner.errors import DataMissing, InvalidInput
from tuner.workload import Workload
from tuner.workload.choices import IMAGES

IDX_NAMES = [f"{name}.gz" for name in sources.IDX_FILES]
Fetch = Callable[[str, Path], None]
NOWHERE = "http://127.0.0.1:9/"


def torchvision_datasets() -> ModuleType:
    """torchvision's; imported here, since it takes eight seconds that nobody else need pay."""
    from torchvision import datasets

    return datasets


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data directory on a machine without Debian's data sets and without a network."""
    folder = tmp_path / "data"
    monkeypatch.setenv("TUNER_DATA_DIR", str(folder))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(sources, "SYSTEM_DIR", tmp_path / "system")
    datasets = torchvision_datasets()
    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(getattr(datasets, name), "mirrors", [NOWHERE])
    monkeypatch.setattr(datasets.CIFAR10, "url", f"{NOWHERE}cifar-10-python.tar.gz")
    return folder


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes((0, 0, 8, array.ndim)) + lengths + array.tobytes()


def write_idx_set(folder: Path, n_train: int = 60, n_test: int = 20) -> None:
    """Images of 5x4; image i is filled with i, its label is i mod 10."""
    folder.mkdir(parents=True)
    for names, n in ((IDX_NAMES[:2], n_train), (IDX_NAMES[2:], n_test)):
        number = np.arange(n, dtype=np.uint8)
        images = np.broadcast_to(number[:, None, None], (n, 5, 4))
        (folder / names[0]).write_bytes(gzip.compress(idx_bytes(images)))
        (folder / names[1]).write_bytes(gzip.compress(idx_bytes(number % 10)))


def write_cifar(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CIFAR-10's seven files with 20 images in each batch; image i of each is filled with i."""
    folder.mkdir(parents=True)
    cifar = torchvision_datasets().CIFAR10
    data = np.repeat(np.arange(20, dtype=np.uint8)[:, None], 3072, axis=1)
    data[:, 1024:2048] += 100  # the green channel
    batch = {"data": data, "labels": [i % 10 for i in range(20)]}
    checksum = hashlib.md5(pickle.dumps(batch)).hexdigest()
    batches = [name for name, _ in cifar.train_list + cifar.test_list]
    for name in batches:
        (folder / name).write_bytes(pickle.dumps(batch))
    meta = pickle.dumps({"label_names": list("abcdefghij")})
    (folder / "batches.meta").write_bytes(meta)
    monkeypatch.setattr(cifar, "train_list", [[name, checksum] for name in batches[:5]])
    monkeypatch.setattr(cifar, "test_list", [[name, checksum] for name in batches[5:]])
    md5 = hashlib.md5(meta).hexdigest()
    monkeypatch.setattr(cifar, "meta", cifar.meta | {"md5": md5})


def test_mnist_is_read_from_gzipped_idx_files_in_the_data_directory(data_dir: Path) -> None:
    write_idx_set(data_dir / "mnist")
    mnist = load_data(Workload(dataset="mnist"))
    assert (len(mnist.train), len(mnist.val), len(mnist.test)) == (50, 10, 20)
    assert mnist.shape == (1, 5, 4)
    assert mnist.test.labels.tolist() == [i % 10 for i in range(20)]
    assert torch.equal(
        mnist.test.images, torch.arange(20).byte().view(20, 1, 1, 1).expand(20, 1, 5, 4)
    )
    fitted = torch.cat([mnist.train.images, mnist.val.images])[:, 0, 0, 0]
    assert sorted(fitted.tolist()) == list(range(60))
    assert mnist.val.labels.bincount().tolist() == [1] * 10


def test_torchvisions_own_folder_of_plain_files_is_read_too(data_dir: Path) -> None:
    raw = data_dir / "FashionMNIST" / "raw"
    write_idx_set(raw)
    for path in list(raw.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    assert len(load_data(Workload(dataset="fashion_mnist")).test) == 20


def test_a_folder_with_some_of_the_files_is_passed_over(data_dir: Path) -> None:
    write_idx_set(data_dir / "mnist", n_test=20)
    (data_dir / "mnist" / IDX_NAMES[3]).unlink()
    write_idx_set(data_dir / "MNIST" / "raw", n_test=30)
    assert len(load_data(Workload(dataset="mnist")).test) == 30


def test_debians_folder_is_read_when_the_data_directory_has_none(data_dir: Path) -> None:
    write_idx_set(sources.SYSTEM_DIR / "fashion-mnist")
    assert len(load_data(Workload(dataset="fashion_mnist")).test) == 20
    assert not data_dir.exists()


GOOD_IDX = idx_bytes(np.zeros((60, 5, 4), np.uint8))


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(GOOD_IDX)[:-9],
        GOOD_IDX,
        gzip.compress(GOOD_IDX[:-1]),
        gzip.compress(GOOD_IDX[:5]),
        gzip.compress(idx_bytes(np.zeros((3, 2), np.uint8))),
        gzip.compress(b""),
    ],
    ids=["cut", "no gzip", "a pixel missing", "cut header", "two axes", "empty"],
)
def test_a_damaged_idx_file_is_named(data_dir: Path, content: bytes) -> None:
    write_idx_set(data_dir / "mnist")
    (data_dir / "mnist" / IDX_NAMES[0]).write_bytes(content)
    with pytest.raises(InvalidInput, match=r"mnist/train-images-idx3-ubyte\.gz: .*replace the"):
        load_data(Workload(dataset="mnist"))


def test_labels_that_do_not_belong_to_the_images_are_refused(data_dir: Path) -> None:
    write_idx_set(data_dir / "mnist")
    path = data_dir / "mnist" / IDX_NAMES[1]
    path.write_bytes(gzip.compress(idx_bytes(np.zeros(59, np.uint8))))
    with pytest.raises(InvalidInput, match=r"train-labels.* got 59 labels for the 60 images"):
        load_data(Workload(dataset="mnist"))
    path.write_bytes(gzip.compress(idx_bytes(np.full(60, 10, np.uint8))))
    with pytest.raises(InvalidInput, match=r"train-labels.* must be in 0\.\.9, got 10"):
        load_data(Workload(dataset="mnist"))


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_missing_dataset_without_network_says_which_files_to_put_where(
    data_dir: Path, name: str
) -> None:
    with pytest.raises(DataMissing) as error:
        load_data(Workload(dataset=name))
    message = str(error.value)
    assert all(file in message for file in IDX_NAMES)
    assert str(data_dir / name) in message
    assert ("dataset-fashion-mnist" in message) == (name == "fashion_mnist")
    assert "\n" not in message
    assert list(data_dir.glob("[!.]*")) == []


def test_missing_cifar10_without_network_says_which_files_to_put_where(data_dir: Path) -> None:
    with pytest.raises(DataMissing, match=r"cifar-10-batches-py with data_batch_1\.\.5") as error:
        load_data(Workload(dataset="cifar10"))
    assert str(data_dir) in str(error.value)
    assert "\n" not in str(error.value)
    assert list(data_dir.glob("[!.]*")) == []


def test_a_data_directory_that_cannot_be_made_is_named(data_dir: Path) -> None:
    data_dir.write_text("a file is in the way")
    with pytest.raises(DataMissing, match=r"downloading failed: .*File exists.*data"):
        load_data(Workload(dataset="mnist"))


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path]]:
    """The data directory, and the folder that a local server offers as torchvision's MNIST."""
    folder = tmp_path / "server"
    write_idx_set(folder)
    mnist = torchvision_datasets().MNIST
    checksums = [
        (name, hashlib.md5((folder / name).read_bytes()).hexdigest()) for name in IDX_NAMES
    ]
    monkeypatch.setattr(mnist, "resources", checksums)
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        monkeypatch.setattr(mnist, "mirrors", [f"http://127.0.0.1:{http.server_port}/"])
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield data_dir, folder
        http.shutdown()
        thread.join()


def test_a_download_lands_in_the_data_directory_and_is_not_repeated(
    server: tuple[Path, Path],
) -> None:
    data_dir, served = server
    first = load_data(Workload(dataset="mnist"))
    assert len(first.test) == 20
    assert [path.name for path in data_dir.glob("[!.]*")] == ["MNIST"]
    for path in served.iterdir():
        path.unlink()
    again = load_data(Workload(dataset="mnist", split_seed=1))
    assert torch.equal(first.test.images, again.test.images)


def test_a_download_that_breaks_half_way_leaves_nothing_behind(
    server: tuple[Path, Path],
) -> None:
    data_dir, served = server
    (served / IDX_NAMES[2]).write_bytes(b"cut")
    with pytest.raises(DataMissing, match=r"downloading failed: .*corrupted"):
        load_data(Workload(dataset="mnist"))
    assert [path.name for path in data_dir.iterdir()] == [".MNIST.lock"]


def fetch_slowly(fetched: list[str], began: Event, go_on: Event, *, fails: bool) -> Fetch:
    def fetch(name: str, folder: Path) -> None:
        fetched.append(name)
        began.set()
        assert go_on.wait(60)
        if fails:
            raise OSError("no network")
        write_idx_set(folder / name / "raw")

    return fetch


@pytest.mark.parametrize("fails", [False, True])
def test_of_all_that_need_a_data_set_at_once_one_fetches_it_and_the_others_wait(
    fails: bool, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    began, go_on = Event(), Event()
    monkeypatch.setattr(sources, "_fetch_idx", fetch_slowly(fetched, began, go_on, fails=fails))
    flock, waiting = fcntl.flock, Semaphore(0)

    def seen(file: IO[str], operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            waiting.release()  # this one found the lock taken
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", seen)

    def ask(_number: int) -> str:
        try:
            return str(len(sources.mnist(data_dir).test))
        except DataMissing as error:
            return str(error)

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(ask, 0)]
        assert began.wait(60)
        answers += [pool.submit(ask, number) for number in (1, 2)]
        for _ in range(2):
            assert waiting.acquire(timeout=60)
        go_on.set()
        said = {answer.result() for answer in answers}
    assert fetched == ["MNIST"]
    (only,) = said
    assert only == "20" if not fails else "downloading failed: no network" in only
    if fails:  # who comes later tries again
        assert "no network" in ask(3)
        assert fetched == ["MNIST", "MNIST"]


def test_cifar10_is_read_from_torchvisions_folder(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar(data_dir / sources.CIFAR10_FOLDER, monkeypatch)
    cifar = load_data(Workload(dataset="cifar10"))
    assert (len(cifar.train), len(cifar.val), len(cifar.test)) == (90, 10, 20)
    assert cifar.shape == (3, *IMAGES["cifar10"])
    assert cifar.train.images.is_contiguous()
    assert cifar.test.labels.tolist() == [i % 10 for i in range(20)]
    assert torch.equal(cifar.test.images[:, 0, 0, 0], torch.arange(20).byte())
    assert torch.equal(cifar.test.images[:, 1], cifar.test.images[:, 0] + 100)


def test_a_damaged_cifar10_file_is_not_unpickled(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = data_dir / sources.CIFAR10_FOLDER
    write_cifar(folder, monkeypatch)
    (folder / "data_batch_3").write_bytes(b"")
    with pytest.raises(DataMissing, match="no intact copy"):
        load_data(Workload(dataset="cifar10"))


@pytest.mark.slow
@pytest.mark.skipif(
    not (sources.SYSTEM_DIR / "fashion-mnist").is_dir(),
    reason="Debian's dataset-fashion-mnist is not installed",
)
def test_the_real_fashion_mnist_has_its_known_sizes_and_moments(tmp_path: Path) -> None:
    fashion = load_data(Workload(dataset="fashion_mnist"), tmp_path)
    assert (len(fashion.train), len(fashion.val), len(fashion.test)) == (50_000, 10_000, 10_000)
    assert fashion.shape == (1, *IMAGES["fashion_mnist"])
    assert fashion.val.labels.bincount().tolist() == [1_000] * 10
    assert fashion.mean.item() == pytest.approx(0.2860, abs=2e-3)
    assert fashion.std.item() == pytest.approx(0.3530, abs=2e-3)
