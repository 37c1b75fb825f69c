"""Where image folders lie: for the server that accepts one and the worker that opens it."""

from pathlib import Path

import pytest

from tuner.config import folder_root, image_folder_at
from tuner.errors import InvalidInput


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Holds ``mine``, a link to it, one that leads out and two in a circle; not where we are."""
    root = tmp_path / "root"
    (root / "mine").mkdir(parents=True)
    (tmp_path / "here" / "mine").mkdir(parents=True)
    (root / "link").symlink_to(root / "mine")
    (root / "out").symlink_to(tmp_path / "here")
    (root / "circle").symlink_to(root / "round")
    (root / "round").symlink_to(root / "circle")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "here"))
    return root


def test_a_relative_folder_is_taken_from_the_root_wherever_we_are(root: Path):
    for folder in ("mine", "./mine", "link", "mine/../mine", str(root / "mine")):
        assert image_folder_at(folder, root) == root / "mine", folder
    assert image_folder_at("yet to be made", root) == root / "yet to be made"


def test_without_a_root_it_is_taken_from_where_we_are(root: Path):
    assert image_folder_at("mine", None) == root.parent / "here" / "mine"
    assert image_folder_at("~/mine", None) == root.parent / "here" / "mine"
    assert image_folder_at(str(root / "out"), None) == root.parent / "here"


@pytest.mark.parametrize(
    "folder", ["/etc", "..", "../here/mine", "out", "out/mine", "mine/../../here", "~/mine", "~"]
)
def test_what_leads_out_of_the_root_is_refused(root: Path, folder: str):
    with pytest.raises(InvalidInput, match=rf"^workload.folder: must lie below {root} \(TUNER_F"):
        image_folder_at(folder, root)


@pytest.mark.parametrize("folder", ["circle", "a\0b", "a" * 5000, "~nobody-of-this-name/x"])
def test_what_is_no_path_is_refused(root: Path, folder: str):
    with pytest.raises(InvalidInput, match=r"^workload.folder: .* is no path"):
        image_folder_at(folder, root)


def test_the_root_is_what_the_environment_says(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TUNER_FOLDER_ROOT", raising=False)
    assert folder_root() is None
    monkeypatch.setenv("TUNER_FOLDER_ROOT", "")
    assert folder_root() is None
    monkeypatch.setenv("TUNER_FOLDER_ROOT", "/images")
    assert folder_root() == Path("/images")
