"""SQLite files of any Optuna are read, whole, and nothing is left of it."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.trial import create_trial

from tuner.errors import DatabaseProblem
from tuner.search.database import untouched
from tuner.search.foreign.storages.sqlite import studies_in

DAMAGED = r"malformed.* copy it afresh, .*\.recover"


@pytest.fixture
def file(optunas_sqlite: Path, tmp_path: Path) -> Iterator[Path]:
    """A file of Optuna's with the study "old" of five trials, in a folder of its own."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    shutil.copy(optunas_sqlite, folder / "plain.db")
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder}/plain.db")
    study = optuna.create_study(storage=storage, study_name="old", direction="maximize")
    study.add_trials([create_trial(value=value / 10) for value in range(5)])
    storage.remove_session()
    storage.engine.dispose()
    yield (folder / "plain.db").rename(folder / "a b%20?#.db")


def state(file: Path) -> dict[str, bytes]:
    """Every file beside it and itself."""
    return {each.name: each.read_bytes() for each in sorted(file.parent.iterdir())}


def values(file: Path) -> list[float]:
    with studies_in(file) as studies:
        return [trial.values[0] for trial in studies["old"].trials]


def test_a_file_is_read_and_nothing_is_left_of_it(file: Path):
    before = state(file)
    assert values(file) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert state(file) == before


def test_a_file_in_wal_mode_is_read_and_nothing_is_left_of_it(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = state(file)
    assert list(before) == [file.name]
    assert values(file) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert state(file) == before


def test_what_is_still_in_the_log_of_a_writer_is_read(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE trial_values SET value = 9 WHERE trial_id = 1")
        connection.commit()
        before = state(file)
        assert values(file) == [9.0, 0.1, 0.2, 0.3, 0.4]
        assert state(file) == before


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_what_a_writer_left_that_died_is_read_from_a_copy(file: Path, mode: str):
    """Its log and no index beside the file, or half of a transaction and its journal."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        for number in range(2000):
            connection.execute(
                "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, ?, ?)",
                (f"k{number}", '"' + "x" * 100 + '"'),
            )
        if mode == "WAL":
            connection.commit()
        crashed = file.with_name("crashed.db")
        for end in ("", "-wal", "-shm", "-journal"):
            if Path(f"{file}{end}").exists():
                Path(f"{crashed}{end}").write_bytes(Path(f"{file}{end}").read_bytes())
    before = state(crashed)
    with studies_in(crashed) as studies:
        assert len(studies["old"].user_attrs) == (2000 if mode == "WAL" else 0)
    assert state(crashed) == before


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_folder_that_cannot_be_written_is_read(file: Path, mode: str):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    values(file)  # all is imported
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy.db")
        copy.write_bytes(file.read_bytes())
        Path(folder).chmod(0o555)
        before = os.geteuid()
        try:
            if before == 0:
                os.seteuid(65534)  # root may write everywhere
            with pytest.raises(PermissionError):
                Path(folder, "new").touch()
            assert values(copy) == [0.0, 0.1, 0.2, 0.3, 0.4]
        finally:
            os.seteuid(before)
            Path(folder).chmod(0o755)


def as_older(file: Path) -> None:
    """Its tables as they were before v3.2.0.a: that change widened nothing but one column."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v3.0.0.d'")
        connection.commit()


def test_tables_of_an_older_optuna_are_read_from_a_copy_that_is_brought_up_to_date(file: Path):
    as_older(file)
    before = state(file)
    with studies_in(file) as studies:
        record = studies["old"]
    assert [trial.values for trial in record.trials][:2] == [[0.0], [0.1]]
    assert record.notes == (
        f"{file}: its tables are of an older Optuna (v3.0.0.d); they were read from a copy that "
        "was brought up to date",
    )
    assert state(file) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "UPDATE alembic_version SET version_num = 'v99.0.0.a'",
            "with the newer Optuna that made",
        ),
        ("DROP TABLE version_info", "holds no Optuna studies"),
    ],
)
def test_tables_that_cannot_be_read_are_refused_and_stay(file: Path, change: str, words: str):
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(change)
        connection.commit()
    before = state(file)
    with pytest.raises(DatabaseProblem, match=words), studies_in(file):
        pass
    assert state(file) == before


def test_a_file_that_mlflow_shares_is_refused_with_the_reason(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        for table in ("experiments", "runs", "metrics"):
            connection.execute(f"CREATE TABLE {table} (id INTEGER)")
        connection.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
        connection.commit()
    with pytest.raises(DatabaseProblem, match="MLflow and Optuna share it"), studies_in(file):
        pass


def test_a_damaged_file_is_refused(file: Path):
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with (
        pytest.raises(DatabaseProblem, match=DAMAGED),
        studies_in(file) as studies,
    ):
        studies["old"]


def test_a_file_that_is_damaged_where_its_trials_are_is_refused(file: Path):
    with closing(sqlite3.connect(file)) as connection:
        page = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'trials'"
        ).fetchone()[0]
    damaged = bytearray(file.read_bytes())
    damaged[(root - 1) * page : root * page] = b"\xff" * page
    file.write_bytes(damaged)
    with (
        pytest.raises(DatabaseProblem, match=DAMAGED),
        studies_in(file) as studies,
    ):
        studies["old"]


def test_a_file_that_is_written_on_and_on_is_read_as_every_reader_does(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(untouched, "_copied", lambda *_: False)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE trial_values SET value = 9 WHERE trial_id = 1")
        connection.commit()
        assert values(file) == [9.0, 0.1, 0.2, 0.3, 0.4]


def test_what_another_process_removes_while_it_is_copied_is_not_missed(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE trial_values SET value = 9 WHERE trial_id = 1")
    writer.commit()
    read = Path.read_bytes

    def after_the_writer_closed(path: Path) -> bytes:
        if path.name.endswith("-wal"):
            writer.close()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", after_the_writer_closed)
    assert values(file) == [9.0, 0.1, 0.2, 0.3, 0.4]
    assert not Path(f"{file}-wal").exists()
