from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tuner.bnn.data.dataset import Dataset, Split, load_data
from tuner.errors import DataMissing, InvalidInput
from tuner.workload import Workload

GREY, RED = 100, (200, 10, 30)


def write(
    path: Path, colour: int | tuple[int, ...] = GREY, size: tuple[int, int] = (6, 4)
) -> Path:
    """One image of ``size`` (width, height), grey or coloured as ``colour`` is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L" if isinstance(colour, int) else "RGB", size, colour).save(path)
    return path


def write_classes(folder: Path, n: int, classes: str = "ab") -> None:
    """``n`` grey images for each class; image i of class c has the value i + 100 c."""
    for number, name in enumerate(classes):
        for i in range(n):
            write(folder / name / f"{i:03}.png", i + 100 * number)


def load_folder(folder: Path, split_seed: int = 0, size: int = 0) -> Dataset:
    return load_data(
        Workload(dataset="folder", folder=str(folder), split_seed=split_seed, size=size)
    )


def values(images: torch.Tensor) -> set[int]:
    return set(images[:, 0, 0, 0].tolist())


def test_train_and_test_folders_are_kept_and_15_percent_validate(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 20)
    write_classes(tmp_path / "test", 3)
    data = load_folder(tmp_path)
    assert (len(data.train), len(data.val), len(data.test)) == (34, 6, 6)
    assert data.shape == (1, 4, 6)
    assert data.n_classes == 2
    assert values(data.test.images) == {0, 1, 2, 100, 101, 102}
    assert torch.equal(data.train.labels, (data.train.images[:, 0, 0, 0] >= 100).long())
    assert data.val.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_val_folder_is_the_validation_split_for_every_seed(tmp_path: Path) -> None:
    for part, n in (("train", 5), ("val", 2), ("test", 1)):
        write_classes(tmp_path / part, n)
    for seed in (0, 1):
        data = load_folder(tmp_path, split_seed=seed)
        assert values(data.val.images) == {0, 1, 100, 101}
        assert len(data.train) == 10


def test_class_folders_alone_are_split_70_15_15_and_the_test_split_stays(tmp_path: Path) -> None:
    write_classes(tmp_path, 100)
    zero, one = load_folder(tmp_path, split_seed=0), load_folder(tmp_path, split_seed=1)
    assert (len(zero.train), len(zero.val), len(zero.test)) == (140, 30, 30)
    assert zero.test.labels.sum() == zero.val.labels.sum() == 15
    assert torch.equal(zero.test.images, one.test.images)
    assert values(zero.val.images) != values(one.val.images)
    splits = [values(split.images) for split in (zero.train, zero.val, zero.test)]
    assert set.union(*splits) == set(range(200))
    assert sum(map(len, splits)) == 200


def test_images_are_rgb_if_any_is_coloured(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    write(tmp_path / "b" / "red.bmp", RED)
    data = load_folder(tmp_path)
    assert data.shape == (3, 4, 6)
    images = torch.cat([data.train.images, data.val.images, data.test.images])
    pixels = {tuple(pixel) for pixel in images[:, :, 0, 0].tolist()}
    assert pixels == {RED, *((v, v, v) for v in (0, 1, 2, 100, 101, 102))}


def test_pixels_keep_their_rows_and_columns(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(write(tmp_path / "test" / "a" / "0.png"))
    image = load_folder(tmp_path).test.images[0]
    assert torch.equal(image, torch.from_numpy(pixels).permute(2, 0, 1))


def test_a_constant_channel_has_a_std_of_one(tmp_path: Path) -> None:
    for name in "ab":
        for i in range(4):
            write(tmp_path / name / f"{i}.png", RED)
    data = load_folder(tmp_path)
    torch.testing.assert_close(data.mean, torch.tensor(RED) / 255)
    assert data.std.tolist() == [1, 1, 1]


def test_files_that_are_no_images_and_hidden_files_are_passed_over(tmp_path: Path) -> None:
    write_classes(tmp_path, 4)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / "a" / ".cache.png").write_text("no image")
    (tmp_path / ".git").mkdir()
    data = load_folder(tmp_path)
    assert len(data.train) + len(data.val) + len(data.test) == 8


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"workload\.folder: there is no folder .*/nowhere;"):
        load_folder(tmp_path / "nowhere")


def test_a_train_folder_without_a_test_folder_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    with pytest.raises(InvalidInput, match=r"must have both train/ and test/.*got train/;"):
        load_folder(tmp_path)


def test_a_folder_without_class_folders_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.png")
    with pytest.raises(InvalidInput, match=r"one folder of images for each of two or more.*got 0"):
        load_folder(tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    (tmp_path / "c").mkdir()
    with pytest.raises(InvalidInput, match=r"/c: a class folder must hold images .*got none"):
        load_folder(tmp_path)


def test_a_test_class_that_train_lacks_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    write_classes(tmp_path / "test", 1, "abz")
    with pytest.raises(InvalidInput, match=r"/test/z: class 'z' must also be in train.*a, b"):
        load_folder(tmp_path)


def test_a_class_too_small_to_be_split_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    write_classes(tmp_path, 2, "c")
    with pytest.raises(InvalidInput, match=r"at least 3 images .*class 'c' has 2; add images"):
        load_folder(tmp_path)


@pytest.mark.parametrize("content", [b"no image", b"", None], ids=["text", "empty", "cut off"])
def test_a_corrupt_image_is_named(tmp_path: Path, content: bytes | None) -> None:
    write_classes(tmp_path, 5)
    noise = np.random.default_rng(0).integers(256, size=(4, 6), dtype=np.uint8)
    path = tmp_path / "b" / "002.png"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-30] if content is None else content)
    with pytest.raises(InvalidInput, match=r"/b/002\.png: must be an image that Pillow can dec"):
        load_folder(tmp_path)


def test_the_first_image_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    write(tmp_path / "b" / "001.png", size=(6, 5))
    match = r"/b/001\.png: all images .* same size, got 6x5 but 6x4 in .*/a/000\.png; set work"
    with pytest.raises(InvalidInput, match=match):
        load_folder(tmp_path)


def test_sixteen_bit_images_are_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    deep = np.full((4, 6), 40_000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "a" / "001.png")
    with pytest.raises(InvalidInput, match=r"/a/001\.png: images must have 8 bits a channel"):
        load_folder(tmp_path)


def test_a_folder_is_opened_where_the_server_checked_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the root, not in the worker's own directory; and nothing else is opened."""
    root, here = tmp_path / "root", tmp_path / "here"
    write_classes(root / "mine", 10)
    write_classes(here / "mine", 20)
    monkeypatch.chdir(here)
    monkeypatch.setenv("TUNER_FOLDER_ROOT", str(root))
    assert sum(map(len, splits_of(load_folder(Path("mine"))))) == 20
    for outside in (here / "mine", Path("..", "here", "mine")):
        with pytest.raises(InvalidInput, match="must lie below"):
            load_folder(outside)
    monkeypatch.delenv("TUNER_FOLDER_ROOT")
    assert sum(map(len, splits_of(load_folder(Path("mine"))))) == 40


def test_images_of_many_sizes_are_resized_and_cropped_as_asked(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    left, right = np.zeros((40, 80), np.uint8), 200
    left[:, 40:] = right
    Image.fromarray(left).save(tmp_path / "a" / "wide.png")
    write(tmp_path / "b" / "tall.png", 77, size=(20, 90))
    data = load_folder(tmp_path, size=8)
    images = torch.cat([split.images for split in splits_of(data)])
    assert images.shape == (8, 1, 8, 8)
    (wide,) = (image for image in images if image.unique().numel() > 2)
    assert wide[0, :, 0].eq(0).all() and wide[0, :, -1].eq(right).all()
    assert 77 in values(images)


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 3)
    write_classes(tmp_path / "test", 1)
    top = np.zeros((4, 6), np.uint8)
    top[:2] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    Image.fromarray(top).rotate(90, expand=True).save(tmp_path / "test/a/000.png", exif=exif)
    image = load_folder(tmp_path).test.images[0, 0]
    assert torch.equal(image, torch.from_numpy(top))


def test_one_image_on_its_side_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path, 3)
    write(tmp_path / "b" / "001.png", size=(4, 6))
    with pytest.raises(InvalidInput, match=r"/b/001\.png: .* got 4x6 but 6x4 in .*/a/000\.png; s"):
        load_folder(tmp_path)


def test_a_folder_that_changed_is_read_again_and_one_that_did_not_is_not(tmp_path: Path) -> None:
    write_classes(tmp_path, 10)
    first = load_folder(tmp_path)
    assert load_folder(tmp_path) is first
    write(tmp_path / "a" / "new.png")
    second = load_folder(tmp_path)
    assert sum(map(len, splits_of(second))) == 21
    (tmp_path / "a" / "new.png").unlink()
    write(tmp_path / "a" / "000.png", 99, size=(6, 4))
    third = load_folder(tmp_path)
    assert 99 in set.union(*(values(split.images) for split in splits_of(third)))
    assert len({data.counts.digest for data in (first, second, third)}) == 3


def test_copies_of_training_images_in_the_test_split_are_counted(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 20)
    write_classes(tmp_path / "test", 3)
    assert load_folder(tmp_path).counts.test_in_train == 6


def test_train_and_validation_without_test_leave_part_of_train_as_the_test_split(
    tmp_path: Path,
) -> None:
    write_classes(tmp_path / "train", 20)
    write_classes(tmp_path / "val", 5)
    zero, one = load_folder(tmp_path), load_folder(tmp_path, split_seed=1)
    assert (len(zero.train), len(zero.val), len(zero.test)) == (34, 10, 6)
    assert torch.equal(zero.test.images, one.test.images)


def splits_of(data: Dataset) -> tuple[Split, ...]:
    return data.train, data.val, data.test
