from pathlib import Path

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError, OperationalError, ProgrammingError

from tuner.errors import DatabaseProblem
from tuner.search.database import patience
from tuner.search.database.patience import away, in_a_line, patiently


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patience, "_FIRST_WAIT", 0.001)


def gone(folder: Path) -> OperationalError:
    """What a database that is away says."""
    with pytest.raises(OperationalError) as said:
        create_engine(f"sqlite:///{folder}/no/such.db").connect()
    return said.value


def test_an_action_is_repeated_until_the_database_is_back(tmp_path: Path):
    attempts: list[int] = []

    def act() -> str:
        attempts.append(1)
        if len(attempts) < 4:
            raise gone(tmp_path)
        return "done"

    assert patiently(act) == "done"
    assert len(attempts) == 4


def test_patience_ends(tmp_path: Path):
    error = gone(tmp_path)

    def act() -> None:
        raise error

    with pytest.raises(OperationalError):
        patiently(act, seconds=0.01)
    with pytest.raises(OperationalError):
        patiently(act, stopping=lambda: True)


def test_other_errors_are_not_waited_for():
    attempts: list[int] = []

    def act() -> None:
        attempts.append(1)
        raise ProgrammingError("select", {}, Exception("no such table"))

    with pytest.raises(ProgrammingError):
        patiently(act)
    assert len(attempts) == 1


def test_an_error_that_optuna_or_we_wrapped_is_seen_through(tmp_path: Path):
    for kind in (StorageInternalError, DatabaseProblem):
        wrapped = kind("wrapped")
        assert not away(wrapped)
        wrapped.__cause__ = gone(tmp_path)
        assert away(wrapped)
    assert not away(ValueError("no"))


def test_words_in_a_query_do_not_make_its_error_pass():
    engine = create_engine("sqlite://")
    asked = text("select * from locked where name = :name")
    with engine.connect() as connection, pytest.raises(OperationalError) as said:
        connection.execute(asked, {"name": "the disk is busy"})
    assert not away(said.value)


def test_a_damaged_file_is_not_waited_for(tmp_path: Path):
    file = tmp_path / "damaged.db"
    engine = create_engine(f"sqlite:///{file}")
    with engine.begin() as connection:
        connection.execute(text("create table words (word text)"))
        connection.execute(text("insert into words values (:word)"), [{"word": "w" * 500}] * 100)
    engine.dispose()
    file.write_bytes(file.read_bytes()[:4096] + bytes(file.stat().st_size - 4096))
    with engine.connect() as connection, pytest.raises(DatabaseError, match="malformed") as said:
        connection.execute(text("select * from words"))
    assert not away(said.value)
    engine.dispose()


def test_what_the_database_said_is_one_line():
    engine = create_engine("sqlite://")
    with engine.connect() as connection, pytest.raises(OperationalError) as said:
        connection.execute(text("select * from absent"))
    assert in_a_line(said.value) == "no such table: absent"
    assert not away(said.value)
