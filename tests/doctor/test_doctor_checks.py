"""What each check says of a set-up that is well, and of one that is not."""

import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tuner.doctor import database_checks, machine_checks, server_checks
from tuner.doctor.checks import CHECKS, SERVING, examine
from tuner.doctor.setup import Finding, Setup
from tuner.errors import UnknownName
from tuner.measured import Kept
from tuner.search.database import keys
from tuner.search.database.opening import normalise
from tuner.search.database.store import open_store
from tuner.search.database.tables import VERSION_TABLE
from tuner.search.declared.spec import ComparisonSpec

SECRET = {"TUNER_SECRET": "a secret of 16 or more"}


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNER_DATA_DIR", str(tmp_path / "data"))


def finds(name: str, url: str, **environment: str) -> Finding | None:
    return examine(url, environment, [name]).get(name)


@contextmanager
def looking_at(url: str) -> Iterator[Setup]:
    setup = Setup(url, {})
    try:
        yield setup
    finally:
        setup.close()


def set_version(url: str, version: str) -> None:
    engine = create_engine(normalise(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '{version}'")
    engine.dispose()


def test_a_set_up_that_is_well_has_no_problem(database: str):
    found = examine(database, SECRET, CHECKS)
    assert {name for name, each in found.items() if each.status == "problem"} == set()
    assert found.keys() >= SERVING.keys()
    assert all(each.fix for each in found.values() if each.status != "ok")
    assert {found[name].status for name in SERVING} == {"ok"}


def test_a_database_that_is_yet_to_be_made_is_no_problem_and_is_not_made(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/new.db"
    found = examine(url, {}, SERVING)
    assert "is made by the first" in found["database"].found
    assert {each.status for each in found.values()} == {"ok"}
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_no_problem_and_gets_no_tables(empty_postgres_url: str):
    found = examine(empty_postgres_url, {}, SERVING)
    assert "no table of comparisons yet" in found["schema"].found
    with looking_at(empty_postgres_url) as setup:
        assert setup.version is None


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:////no/such/folder/t.db", "there is no file"),
        ("mysql://a@b/c", "mysql is not supported"),
        ("postgresql://me:pass@127.0.0.1:1/x", "127.0.0.1"),
        ("nonsense", "is not an address"),
    ],
)
def test_a_database_that_cannot_be_reached_is_a_problem_and_said_once(url: str, words: str):
    found = examine(url, SECRET, SERVING)
    assert found["database"].status == "problem"
    assert words in found["database"].found
    assert found["database"].fix
    assert "pass" not in str(found)
    assert "schema" not in found


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path):
    (tmp_path / "t.db").write_text("a letter " * 100)
    found = finds("database", f"sqlite:///{tmp_path}/t.db")
    assert found is not None
    assert (found.status, "not a database" in found.found) == ("problem", True)


@pytest.mark.parametrize(
    ("version", "fix"), [("0001", "tuner db upgrade"), ("9999", "use the newer software")]
)
def test_tables_of_another_version_are_a_problem(database: str, version: str, fix: str):
    set_version(database, version)
    found = examine(database, {}, SERVING)
    assert found["schema"].status == "problem"
    assert fix in found["schema"].fix
    assert f"version {version}" in found["schema"].found
    assert "keys" not in found


def test_a_database_that_cannot_be_written_is_a_problem(postgres_url: str):
    with looking_at(postgres_url) as setup:
        assert setup.readable is not None
        assert database_checks.writable(setup) == Finding("ok", "can be written")
        setup.readable.exec_driver_sql("set default_transaction_read_only = on")
        found = database_checks.writable(setup)
    assert found is not None
    assert (found.status, "read-only" in found.found) == ("problem", True)


@pytest.mark.parametrize(("seconds", "words"), [(60, "ahead of"), (-60, "behind")])
def test_a_clock_that_is_off_is_told(database: str, seconds: float, words: str):
    with looking_at(database) as setup:
        found = database_checks.clock(setup, lambda: time.time() + seconds)
    assert found is not None
    assert found.status == "warning"
    assert f"60 s {words} the database's" in found.found


def test_keys_without_a_secret_are_told_what_that_means(database: str):
    assert finds("secret", database) == Finding(
        "ok", "TUNER_SECRET is not set, and no key is there to log in with"
    )
    with closing(open_store(database)) as store:
        key = keys.create(store, "me", keys.SCOPES)
        found = finds("secret", database)
        assert found is not None
        assert found.status == "warning"
        assert "end at each restart" in found.found
        assert "do not share them" in found.found
        assert "openssl rand" in found.fix
        assert finds("secret", database, **SECRET) == Finding("ok", "TUNER_SECRET is set")
        short = finds("secret", database, TUNER_SECRET="short")
        assert short is not None
        assert (short.status, "16" in short.fix) == ("problem", True)
        assert finds("keys", database) == Finding("ok", "1 valid of 1")
        keys.revoke(store, key.split("_")[1])
    revoked = finds("keys", database)
    assert revoked is not None
    assert (revoked.status, "tuner keys create" in revoked.fix) == ("warning", True)


@pytest.mark.parametrize(
    ("given", "status"),
    [("", "ok"), ("10.0.0.1, 172.16.0.0/12,::1", "ok"), ("*", "warning"), ("proxy", "warning")],
)
def test_a_proxy_that_is_believed_is_an_address(sqlite_url: str, given: str, status: str):
    found = finds("proxy", sqlite_url, FORWARDED_ALLOW_IPS=given)
    assert found is not None
    assert found.status == status
    assert bool(found.fix) == (status == "warning")


@pytest.mark.parametrize(
    ("free", "status"), [(10**12, "ok"), (500_000_000, "warning"), (1000, "problem")]
)
def test_a_disk_that_is_full_is_told_with_its_folder(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, free: int, status: str
):
    class Usage:
        def __init__(self, _folder: Path) -> None:
            self.free = free

    monkeypatch.setattr(server_checks.shutil, "disk_usage", Usage)
    found = finds("disk", sqlite_url)
    assert found is not None
    assert (found.status, "/" in found.found) == (status, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_problem(sqlite_url: str, tmp_path: Path):
    tmp_path.chmod(0o500)
    found = finds("disk", sqlite_url)
    tmp_path.chmod(0o700)
    assert found is not None
    assert found.status == "problem"


def test_the_root_of_image_folders_has_to_be_there(sqlite_url: str, tmp_path: Path):
    here = finds("folders", sqlite_url, TUNER_FOLDER_ROOT=str(tmp_path))
    gone = finds("folders", sqlite_url, TUNER_FOLDER_ROOT=str(tmp_path / "gone"))
    assert here is not None and gone is not None
    assert (here.status, gone.status) == ("ok", "problem")


def test_without_a_compiler_training_takes_longer(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    found = finds("compiler", sqlite_url)
    assert found is not None
    assert (found.status, "g++" in found.fix) == ("warning", True)
    assert finds("kernels", sqlite_url) is None
    monkeypatch.setenv("TUNER_KERNELS", "off")
    off = finds("kernels", sqlite_url)
    assert off is not None
    assert (off.status, "unset TUNER_KERNELS" in off.fix) == ("warning", True)


def test_compiled_operations_are_looked_for_and_not_compiled(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TUNER_KERNELS", raising=False)
    found = finds("kernels", sqlite_url)
    assert found is not None
    assert "not compiled yet" in found.found
    assert not (tmp_path / "cache").exists()


def test_what_was_measured_of_batches_is_told_with_its_time(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    assert finds("batches", sqlite_url) is None
    about = {"workload": {"model": "mlp", "widths": [64, 64]}, "device": "cpu"}
    answer = {"trials": 8, "measured_at": ["2026-01-02", "2026-01-03"], "load": 1.5, "doubt": ""}
    for number in range(4):
        doubt = {"doubt": "its steps took 2.00"} if number == 3 else {}
        times = {"measured_at": [*answer["measured_at"], f"2026-02-0{number + 1}"]}
        Kept("trials-per-batch", {**about, "number": number}).write(answer | times | doubt)
    found = finds("batches", sqlite_url)
    assert found is not None
    first, *_, last = found.found.split("; ")
    assert first == (
        "mlp 64-64 on cpu: 8 trials together (measured 2026-02-04, time 3, load 1.5, to be "
        "measured again: its steps took 2.00)"
    )
    assert last == f"1 more in {tmp_path / 'cache'}"


def test_a_gpu_that_torch_cannot_use_is_told(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine_checks, "gpus", list)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert finds("gpu", sqlite_url) == Finding("ok", "none: training runs on the CPU")
    monkeypatch.setattr(machine_checks, "gpus", lambda: ["0", "1"])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    found = finds("gpu", sqlite_url)
    assert found is not None
    assert found.status == "warning"
    assert "2 are here" in found.found

    def broken() -> int:
        raise RuntimeError("CUDA error: unknown error\nmore")

    monkeypatch.setattr("torch.cuda.device_count", broken)
    found = finds("gpu", sqlite_url)
    assert found is not None
    assert (found.status, "CUDA error: unknown error" in found.found) == ("problem", True)


def test_data_sets_that_active_comparisons_need_are_told(database: str, tmp_path: Path):
    found = finds("data", database)
    assert found is not None
    assert found.status == "ok"
    assert "cifar10" in found.found.partition(" would be downloaded")[0]
    spec = {
        "name": "mine",
        "workload": {"dataset": "cifar10", "model": "cnn"},
        "arms": [{"name": "a", "space": "filter"}],
        "n_trials": 2,
    }
    with closing(open_store(database)) as store:
        store.declare(ComparisonSpec.model_validate(spec))
    found = finds("data", database)
    assert found is not None
    assert (found.status, "cifar10, which active" in found.found) == ("warning", True)
    batch = tmp_path / "data" / "cifar-10-batches-py" / "test_batch"
    batch.parent.mkdir(parents=True)
    batch.touch()
    found = finds("data", database)
    assert found is not None
    assert found.status == "ok"


def test_a_check_that_does_not_exist_is_refused(sqlite_url: str):
    with pytest.raises(UnknownName, match="check 'disc' is unknown; did you mean 'disk'"):
        examine(sqlite_url, {}, ["disc"])


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("kept", "ok", "in {}/kept"),
        ("memory://kept", "ok", "memory://kept takes files and gives them back"),
        ("nosuch://me:word@host/x", "problem", "nosuch://me:***@host/x cannot be used"),
        ("local://FILE/kept", "problem", "training cannot be kept: local://{}/file/kept/"),
    ],
)
def test_an_address_of_checkpoints_is_tried(
    address, status, words, sqlite_url, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    address = address.replace("FILE", f"{tmp_path}/file")
    address = address if "://" in address else f"{tmp_path}/{address}"
    monkeypatch.setenv("TUNER_CHECKPOINT_DIR", address)
    found = finds("checkpoints", sqlite_url)
    assert found is not None and found.status == status
    assert words.format(tmp_path) in found.found and "word" not in found.found
    assert bool(found.fix) == (status != "ok")
