"""Files are written whole, read whole and swept, in a folder as at an address."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest

from tuner.errors import InvalidInput
from tuner.kept import at
from tuner.kept.place import OURS, Place
from tuner.kept.remote import Remote

NAME = f"{'0123456789abcdef' * 4}.pt"
PACKED = f"{'0123456789abcdef' * 2}.zip"


def names(place: Place) -> list[str]:
    if isinstance(place, Remote):
        return sorted(each.rpartition("/")[2] for each in place.system.find(place.root))
    return sorted(path.name for path in Path(place.shown("x")).parent.iterdir())


def test_a_file_is_what_was_written_last(where):
    place = at(where)
    assert place.read(NAME) is None
    place.remove(NAME)
    for content in (b"first", b"", bytes(100_000)):
        place.write(NAME, memoryview(content))
        assert place.read(NAME) == content
    place.below("objectives").write(PACKED, b"another")
    assert at(f"{where}/objectives").read(PACKED) == b"another"
    assert place.read(NAME) == bytes(100_000)
    place.remove(NAME)
    assert place.read(NAME) is None
    place.below("objectives").remove(PACKED)
    assert names(place) in ([], ["objectives"])


def test_a_sweep_removes_old_files_of_ours_and_no_others(where, monkeypatch):
    place = at(where)
    others = [f"x{NAME}", "model.pt"]
    for name in (NAME, PACKED, *others):
        place.write(name, b"0")
    place.sweep()
    assert names(place) == sorted((NAME, PACKED, *others))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 24 * 3600)
    place.sweep(days=9)
    assert names(place) == sorted((NAME, PACKED, *others))
    place.sweep()
    assert names(place) == sorted(others)


def test_the_first_file_that_a_process_writes_sweeps_the_place(where, monkeypatch):
    at(f"{where}/earlier").write(NAME, b"0")
    place, later = at(where).below("earlier"), f"{'f' * 64}.pt"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 8 * 24 * 3600)
    place.write(later, b"0")
    assert names(place) == sorted((NAME, later))  # this process has written there before
    place.sweep()
    assert names(place) == []


@pytest.mark.parametrize(
    "written",
    [
        {"mtime": 1.0},
        {"LastModified": datetime.fromtimestamp(1, UTC)},
        {"updated": "1970-01-01T00:00:01.000Z"},
        {"created": datetime.now(UTC) - timedelta(days=8)},
    ],
)
def test_when_a_file_was_written_is_read_as_each_file_system_says_it(written):
    removed = []

    class Listed:
        def ls(self, root: str, *, detail: bool, refresh: bool) -> list[dict[str, object]]:
            assert detail and refresh
            silent = {"name": f"{root}/{PACKED}"}
            return [{"name": f"{root}/{NAME}", **written}, silent]

        def rm_file(self, path: str) -> None:
            removed.append(path)

    Remote("x://there", Listed(), "there").sweep()
    assert removed == [f"there/{NAME}"]  # one of which nobody knows how old it is stays


@pytest.mark.parametrize("name", [NAME, PACKED, f"{NAME[:-3]}.12ab.part", f"{PACKED}.12ab.part"])
def test_the_names_that_are_swept(name):
    assert OURS.fullmatch(name)
    assert not OURS.fullmatch(f"x{name}") and not OURS.fullmatch(f"{name}.x")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nosuch://me:word@host/x", r"nosuch://me:\*\*\*@host/x cannot be used .*not known"),
        ("s3://", "names no folder or bucket; write s3://NAME"),
        ("gs://bucket/x", r'gs://bucket/x needs a library .* pip install "bnn-tuner\[gs\]"'),
        ("sftp://me:word@host/x", r"sftp://me:\*\*\*@host/x needs a library .* fsspec says: .*"),
    ],
)
def test_an_address_that_cannot_be_opened_is_refused_without_its_password(
    address, words, monkeypatch
):
    for library in ("gcsfs", "paramiko"):
        monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InvalidInput, match=f"^TUNER_CHECKPOINT_DIR: .*{words}") as refused:
        at(address)
    assert "word" not in str(refused.value)


def test_without_fsspec_an_address_names_the_extra_and_a_folder_works(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(InvalidInput, match=r's3://bucket/x .* pip install "bnn-tuner\[s3\]"'):
        at("s3://bucket/x")
    for where in (tmp_path, str(tmp_path), f"file://{tmp_path}"):
        at(where).write(NAME, b"0")
        assert (tmp_path / NAME).read_bytes() == b"0"


@pytest.mark.slow
def test_folders_import_no_fsspec(tmp_path):
    code = f"import sys; from tuner.kept import at; at({str(tmp_path)!r}).write({NAME!r}, b'0')"
    code += "; assert 'fsspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_goes_wrong_is_an_oserror_that_names_the_file_and_no_password():
    class Broken:
        def __getattr__(self, _name: str) -> object:
            def broken(*_: object, **__: object) -> None:
                raise RuntimeError("no answer from x://me:word@host\nat all")

            return broken

    place = Remote("x://me:word@host/kept", Broken(), "kept")
    for action in (
        lambda: place.read(NAME),
        lambda: place.write(NAME, b"0"),
        lambda: place.remove(NAME),
        place.sweep,
    ):
        with pytest.raises(OSError, match=r"x://me:\*\*\*@host/kept/.*no answer") as told:
            action()
        assert "word" not in str(told.value) and "\n" not in str(told.value)


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said_by_name(s3_server):
    assert s3_server
    with pytest.raises(OSError, match=f"s3://nosuch/x/{NAME}: .*bucket"):
        at("s3://nosuch/x").write(NAME, b"0")


def test_a_write_that_fails_leaves_what_was_there_and_nothing_half_written(tmp_path, monkeypatch):
    place = at(f"local://{tmp_path}/kept")
    place.write(NAME, b"old")
    system = type(fsspec.filesystem("local"))
    monkeypatch.setattr(system, "mv", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        place.write(NAME, b"new")
    assert (place.read(NAME), names(place)) == (b"old", [NAME])
