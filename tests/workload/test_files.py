"""What a workload names and is not there is said at once, all of it."""

from pathlib import Path

import pytest

from tuner.errors import DataMissing, InvalidInput
from tuner.workload import Workload
from tuner.workload.files import check_files


def workload(**changes: object) -> Workload:
    return Workload(dataset="folder", folder="photos", teacher="net.safetensors", **changes)


def test_all_that_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissing) as refused:
        check_files(workload())
    assert str(refused.value) == (
        f"workload.folder: there is no folder {tmp_path}/photos; name one that exists; and "
        f"workload.teacher: {tmp_path}/net.safetensors cannot be read (No such file or directory)"
        "; make it by tuner export TRIAL --to FILE.safetensors, or of any torch network by "
        "tuner.export.write"
    )
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataMissing, match=r"^workload\.teacher: "):
        check_files(workload())
    (tmp_path / "net.safetensors").touch()
    check_files(workload())
    (tmp_path / "photos").rmdir()
    with pytest.raises(DataMissing, match=r"name one that exists$"):
        check_files(workload())
    check_files(Workload())


def test_what_may_not_lie_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TUNER_FOLDER_ROOT", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"^workload\.folder: must lie below"):
        check_files(Workload(dataset="folder", folder="/etc"))
