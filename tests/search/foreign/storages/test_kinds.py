"""Which reader a storage has, and what is said of one that none can read."""

import os
import pickle
import sys
import tempfile
from pathlib import Path

import optuna
import pytest

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.storages.kinds import opened


def test_of_a_projects_folder_what_can_be_read_in_it_is_named(tmp_path: Path):
    run = tmp_path / "mlruns" / "0" / "run"
    (run / "metrics").mkdir(parents=True)
    (run / "meta.yaml").write_text("run_id: run\nstatus: 3\n", encoding="utf-8")
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'my sweep.db'}")
    (tmp_path / "notes.txt").write_text("nothing\n", encoding="utf-8")
    with pytest.raises(InvalidInput) as refused:
        opened(Address(str(tmp_path), None))
    assert f"such as {tmp_path / 'mlruns'} or '{tmp_path / 'my sweep.db'}'" in str(refused.value)
    assert "notes.txt" not in str(refused.value)
    for name in ("mlruns", "my sweep.db"):
        with opened(Address(str(tmp_path / name), None)) as studies:
            assert len(studies) == 1


def test_a_folder_with_nothing_to_read_is_refused_with_the_kinds_that_can_be(tmp_path: Path):
    with pytest.raises(InvalidInput, match="what can be: SQLite file of Optuna's"):
        opened(Address(str(tmp_path), None))


def test_a_file_that_is_packed_otherwise_is_refused_with_what_unpacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "lz4.frame", None)  # as where it is not installed
    file = tmp_path / "my study.joblib"
    for start, command in (("04224d18", "lz4 -d"), ("28b52ffd", "zstd -d")):
        file.write_bytes(bytes.fromhex(start) + bytes(100))
        with pytest.raises(InvalidInput, match=f"is packed; .*: {command} '{file}'"):
            opened(Address(str(file), None))


def test_a_study_that_is_packed_by_lz4_is_read(tmp_path: Path):
    lz4 = pytest.importorskip("lz4.frame")
    study = optuna.create_study(study_name="packed")
    study.add_trial(optuna.trial.create_trial(value=0.5))
    file = tmp_path / "study.joblib"
    file.write_bytes(lz4.compress(pickle.dumps(study)))
    with opened(Address(str(file), None)) as studies:
        assert studies["packed"].trials[0].values == [0.5]
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InvalidInput, match="is packed; unpack it first, such as with: lz4 -d"):
        opened(Address(str(file), None))


def test_a_file_that_is_missing_or_empty_is_refused_with_what_may_be_meant(tmp_path: Path):
    (tmp_path / "sweep.db").touch()
    with pytest.raises(DatabaseProblem, match=f"there is no file .* [(]but {tmp_path}/sweep[.]db"):
        opened(Address(str(tmp_path / "sweeps.db"), None))
    with pytest.raises(InvalidInput, match=r"sweep\.db: is empty; copy it afresh"):
        opened(Address(str(tmp_path / "sweep.db"), None))


def test_what_may_not_be_read_is_refused_with_what_allows_it():
    before = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "my sweep.db")
        file.touch(mode=0o000)
        Path(folder).chmod(0o755)
        try:
            if before == 0:
                os.seteuid(65534)  # root may read everything
            with pytest.raises(DatabaseProblem, match=f"you may not read .*: chmod [+]r '{file}'"):
                opened(Address(str(file), None))
        finally:
            os.seteuid(before)
