"""Journals are replayed as they stand, and what was torn was never there."""

import json
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tuner.errors import DatabaseProblem
from tuner.search.foreign.address import parse
from tuner.search.foreign.storages.journal import recognises, studies_in
from tuner.search.foreign.storages.kinds import study_at


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal with the study "old" of eight trials."""
    path = tmp_path / "j.log"
    storage = JournalStorage(JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="old")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=8)
    return path


def read(path: Path) -> tuple[list[float | None], tuple[str, ...]]:
    with studies_in(path) as studies:
        record = studies["old"]
    return [trial.value for trial in record.trials], record.notes


def test_a_journal_is_read_and_nothing_is_left_of_it(journal: Path):
    before = journal.read_bytes()
    values, notes = read(journal)
    assert len(values) == 8 and None not in values and notes == ()
    assert [each.name for each in journal.parent.iterdir()] == ["j.log"]
    assert journal.read_bytes() == before


@pytest.mark.parametrize("address", ["{}", "journal:///{}", "sqlite:///{}"])
def test_a_journal_is_known_by_what_is_in_it(journal: Path, address: str):
    assert recognises(journal)
    assert len(study_at(parse(address.format(journal) + "::old")).trials) == 8


def test_a_torn_last_record_is_left_out_and_told(journal: Path):
    values, _ = read(journal)
    journal.write_bytes(journal.read_bytes()[:-10])
    torn, notes = read(journal)
    assert torn == [*values[:-1], None]
    assert len(notes) == 1 and "1 torn record is left out (line 25): its writer died" in notes[0]


def test_the_record_that_was_written_behind_a_torn_one_counts(journal: Path):
    lines = journal.read_bytes().splitlines(keepends=True)
    values, _ = read(journal)
    journal.write_bytes(b"".join([*lines[:-1], lines[-2][:20], lines[-1]]))
    again, notes = read(journal)
    assert again == values and "1 torn record is" in notes[0]


def test_a_record_of_another_version_is_refused(journal: Path):
    with journal.open("a") as file:
        file.write(json.dumps({"op_code": 99, "worker_id": "w"}) + "\n")
    with pytest.raises(DatabaseProblem, match="cannot replay its records"), studies_in(journal):
        pass


def test_a_journal_that_cannot_be_read_is_refused(tmp_path: Path):
    with pytest.raises(DatabaseProblem, match="there is no file"):
        study_at(parse(f"journal:///{tmp_path}/missing.log::old"))


def names(path: Path) -> Sequence[str]:
    with studies_in(path) as studies:
        return list(studies)


def test_all_studies_of_a_journal_are_listed(journal: Path):
    storage = JournalStorage(JournalFileBackend(str(journal)))
    optuna.create_study(storage=storage, study_name="new")
    assert names(journal) == ["new", "old"]
