"""What a workload names and is not there is said at once, all of it."""

from pathlib import Path

import pytest

from tuner.errors import DataMissing, InvalidInput
from tuner.workload import Workload
from tuner.workload.files import check_files

PACKED = (
    "it must be a packed file, which tuner export TRIAL --to FILE.safetensors makes of a trial, "
    "and tuner.export.write of any torch network"
)


def workload(**changes: object) -> Workload:
    return Workload(dataset="folder", folder="photos", teacher="net.safetensors", **changes)


def test_all_that_is_missing_is_named_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataMissing) as refused:
        check_files(workload())
    assert str(refused.value) == (
        f"workload.folder: there is no folder {tmp_path}/photos; name one that exists; and "
        f"workload.teacher: {tmp_path}/net.safetensors cannot be read (No such file or directory)"
        f"; {PACKED}"
    )
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataMissing, match=r"^workload\.teacher: "):
        check_files(workload())
    (tmp_path / "net.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    check_files(workload())
    (tmp_path / "photos").rmdir()
    with pytest.raises(DataMissing, match=r"name one that exists$"):
        check_files(workload())
    check_files(Workload())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("net.onnx", b"\x08\x08\x12\x07pytorch\x1a\x05", "is no safetensors file; {}, not ONNX"),
        ("net.pt", b"PK\x03\x04" + b"\0" * 9, "is no safetensors file; {}"),
        ("empty.safetensors", b"", "is no safetensors file; {}"),
        ("folder", None, "is a folder; {}"),
    ],
)
def test_what_cannot_be_a_teacher_is_told_what_one_must_be(
    tmp_path: Path, name: str, content: bytes | None, words: str
):
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput) as refused:
        check_files(Workload(teacher=str(tmp_path / name)))
    assert str(refused.value) == f"workload.teacher: {tmp_path}/{name} {words.format(PACKED)}"


def test_what_may_not_lie_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TUNER_FOLDER_ROOT", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"^workload\.folder: must lie below"):
        check_files(Workload(dataset="folder", folder="/etc"))
