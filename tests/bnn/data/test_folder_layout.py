"""Folders as people have them: which are splits, which are classes, and what is passed over."""

from pathlib import Path

import pytest
from PIL import Image

from tuner.bnn.data.dataset import load_data
from tuner.bnn.data.folder_layout import images_in, parts_of, stamp
from tuner.errors import InvalidInput
from tuner.workload import Workload


def write(folder: Path, *names: str, ending: str = ".png") -> None:
    """A few images in each of the class folders."""
    for number, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(8):
            Image.new("L", (4, 4), 20 * number + i).save(folder / name / f"{i}{ending}")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("train", "valid", "test"),
        ("Train", "Validation", "Test"),
        ("Training", None, "Testing"),
        ("TRAIN", "dev", "TESTING"),
        ("seg_train", None, "seg_test"),
        ("training", "val", None),
    ],
)
def test_splits_are_found_by_the_names_that_people_give_them(
    tmp_path: Path, train: str, val: str | None, test: str | None
):
    for part in filter(None, (train, val, test)):
        write(tmp_path / part, "a", "b", "c")
    parts, notes = parts_of(tmp_path)
    expected = {"train": train, "val": val, "test": test}
    assert {split: path.name for split, path in parts.items()} == {
        split: name for split, name in expected.items() if name
    }
    assert notes == ()
    data = load_data(Workload(dataset="folder", folder=str(tmp_path)))
    assert data.n_classes == 3
    assert sum(map(len, (data.train, data.val, data.test))) == 24 * len(parts)


def test_a_split_inside_a_folder_of_its_name_is_found(tmp_path: Path):
    for part in ("seg_train", "seg_test"):
        write(tmp_path / part / part, "sea", "street")
    (tmp_path / "seg_pred" / "seg_pred").mkdir(parents=True)
    parts, (note,) = parts_of(tmp_path)
    assert parts["train"] == tmp_path / "seg_train" / "seg_train"
    assert note == f"{tmp_path / 'seg_pred'}: passed over, as it is no split"


def test_a_class_called_train_is_a_class(tmp_path: Path):
    write(tmp_path, "bus", "car", "train")
    assert parts_of(tmp_path) == ({"train": tmp_path}, ())
    assert load_data(Workload(dataset="folder", folder=str(tmp_path))).n_classes == 3


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"train": "ab", "Training": "ab", "test": "ab"},
            r"Training and .*/train are both called",
        ),
        ({"test": "ab", "valid": "ab"}, r"must have both train/ and test/, .* got test/, valid/;"),
        (
            {"fold1": "ab", "fold2": "ab"},
            r"holds fold1, fold2, and each of them a, b, so it is no",
        ),
        ({"train": "ab", "test": ""}, r"/train holds folders and .*/test images, so it is not cl"),
    ],
)
def test_where_it_is_not_clear_the_fix_is_said(tmp_path: Path, parts: dict[str, str], words: str):
    for part, classes in parts.items():
        write(tmp_path / part, *(classes or [""]))
    with pytest.raises(InvalidInput, match=words):
        parts_of(tmp_path)


def test_hidden_folders_are_never_read_and_linked_ones_are(tmp_path: Path):
    write(tmp_path / "images", "a", "b")
    write(tmp_path / "images" / "a", ".ipynb_checkpoints")
    write(tmp_path / "images", ".ipynb_checkpoints")
    write(tmp_path, "elsewhere")
    (tmp_path / "images" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "a" / "round").symlink_to(tmp_path / "images" / "a")
    assert len(images_in(tmp_path / "images" / "a")) == 16
    data = load_data(Workload(dataset="folder", folder=str(tmp_path / "images")))
    assert data.n_classes == 2
    assert sum(map(len, (data.train, data.val, data.test))) == 24


def test_files_that_are_passed_over_are_told_by_their_endings(tmp_path: Path):
    write(tmp_path, "a", "b")
    (tmp_path / "a" / "1.heic").touch()
    (tmp_path / "b" / "2.HEIC").touch()
    (tmp_path / "b" / "labels").touch()
    (tmp_path / "b" / "Thumbs.db").touch()
    first, second = load_data(Workload(dataset="folder", folder=str(tmp_path))).notes
    assert first.startswith("1 file ending in nothing passed over, such as ")
    assert second.startswith("2 files ending in .heic passed over, such as ")
    assert first.split("; ")[1].startswith("images end in .bmp, ")


def test_the_stamp_of_a_folder_changes_with_its_files(tmp_path: Path):
    write(tmp_path, "a", "b")
    before = stamp(tmp_path)
    assert stamp(tmp_path) == before
    (tmp_path / "b" / "0.png").write_bytes(b"other")
    changed = stamp(tmp_path)
    (tmp_path / "b" / "0.png").unlink()
    assert len({before, changed, stamp(tmp_path)}) == 3
