"""Images that do not fit into memory are decoded when they are needed, to the same results."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tuner.bnn.data.dataset import Dataset, load_data
from tuner.bnn.data.streamed import Rows
from tuner.errors import InvalidInput
from tuner.search.work.trainers import Trainers
from tuner.train import TrialConfig, check, train
from tuner.workload import Workload

pytestmark = pytest.mark.slow  # torchvision takes its time to import
ON_ITS_SIDE = 6


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of a folder: images of many sizes, one on its side, two the same."""
    rng = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / "one" / "ab"[number % 2] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = (9, 13) if number % 3 else (12, 10)
        image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = ON_ITS_SIDE if number == 5 else 1
        image.save(path, exif=exif)
    for where in ("a/00.png", "b/01.png"):
        shutil.copy(tmp_path / "one" / "a" / "02.png", tmp_path / "one" / where)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    return tmp_path / "one", tmp_path / "two"


def workload(folder: Path, **more: object) -> Workload:
    named = {"dataset": "folder", "folder": str(folder), "size": 8}
    return replace(Workload(**named, widths=(8, 8), epochs=2, batch_size=8), **more)


def both(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, **more: object
) -> tuple[Dataset, Dataset]:
    held = load_data(workload(folders[0], **more))
    monkeypatch.setenv("TUNER_IMAGE_BYTES", "1000")
    streamed = load_data(workload(folders[1], **more))
    assert isinstance(held.train.images, torch.Tensor)
    assert isinstance(streamed.train.images, Rows)
    return held, streamed


@pytest.mark.parametrize("more", [{}, {"n_train": 20, "split_seed": 3}])
def test_pixels_labels_scale_and_counts_are_those_in_memory(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, more: dict[str, object]
):
    held, streamed = both(folders, monkeypatch, **more)
    for name in ("train", "val", "test"):
        ours, theirs = getattr(streamed, name), getattr(held, name)
        assert torch.equal(ours.images[:], theirs.images)
        assert torch.equal(ours.labels, theirs.labels)
    assert torch.equal(streamed.mean, held.mean) and torch.equal(streamed.std, held.std)
    assert streamed.counts == held.counts


def test_copies_among_the_images_are_seen_although_they_are_not_held(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    for folder in folders:
        for name in "ab":
            (folder / "train" / name).parent.mkdir(exist_ok=True)
            shutil.move(folder / name, folder / "train" / name)
            (folder / "test" / name).mkdir(parents=True)
            shutil.copy(folder / "train" / "a" / "02.png", folder / "test" / name)
    held, streamed = both(folders, monkeypatch)
    assert streamed.counts == held.counts and streamed.counts.test_in_train == 2


def test_training_is_the_same_to_the_last_bit(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    trials = [TrialConfig("filter_flip", {"alpha": 1e-2}, seed) for seed in (1, 2)]
    more: dict[str, object] = {"augment": "flip_crop"}
    both(folders, monkeypatch, **more)
    ours, theirs = (train(workload(each, **more), trials, test=True) for each in reversed(folders))
    for one, other in zip(ours, theirs, strict=True):
        assert [p.train_loss for p in one.curve] == [p.train_loss for p in other.curve]
        assert (one.val_accuracy, one.test_hits) == (other.val_accuracy, other.test_hits)


def test_it_is_said_once_before_anything_is_trained(
    folders: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    monkeypatch.setenv("TUNER_IMAGE_BYTES", "1000")
    with caplog.at_level(logging.WARNING):
        check(workload(folders[0]))
    said = [message for message in caplog.messages if "batch by batch" in message]
    assert len(said) == 1 and "60 images take 0.00 GB decoded" in said[0]
    assert not any("nobody looked" in message for message in caplog.messages)
    assert Trainers("cpu").notes(workload(folders[0])) == (said[0],)


def test_a_damaged_image_is_named_before_anything_is_trained(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TUNER_IMAGE_BYTES", "1000")
    broken = folders[0] / "b" / "07.png"
    broken.write_bytes(broken.read_bytes()[:90])
    with pytest.raises(InvalidInput, match=r"b/07\.png: must be an image that Pillow can decode"):
        load_data(workload(folders[0]))


def test_a_limit_that_is_no_number_is_refused(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TUNER_IMAGE_BYTES", "2 GB")
    with pytest.raises(InvalidInput, match="TUNER_IMAGE_BYTES must be a number of bytes"):
        load_data(workload(folders[0]))
