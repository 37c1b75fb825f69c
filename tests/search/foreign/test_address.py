"""A storage and a study are told apart, however people write them."""

from pathlib import Path

import pytest

from tuner.search.foreign.address import names_storage, parse


@pytest.mark.parametrize(
    ("text", "storage", "study"),
    [
        ("sqlite:///a.db::old", "sqlite:///a.db", "old"),
        ("a.db::mnist::old", "a.db", "mnist::old"),
        ("grpc://localhost:13000::old", "grpc://localhost:13000", "old"),
        ("grpc://[::1]:13000::old", "grpc://[::1]:13000", "old"),
        ("postgresql://u@[::1]:5432/optuna::a::b", "postgresql://u@[::1]:5432/optuna", "a::b"),
        ("mysql://u:p::q@host/optuna::old", "mysql://u:p::q@host/optuna", "old"),
        ("postgresql://u:p@host/optuna", "postgresql://u:p@host/optuna", None),
        ("runs.csv", "runs.csv", None),
        ("runs.csv::", "runs.csv::", None),
    ],
)
def test_storage_and_study_part_at_the_first_colons_after_the_host(
    text: str, storage: str, study: str | None
):
    found = parse(text)
    assert (found.storage, found.study) == (storage, study)


def test_a_file_that_is_there_is_a_storage_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("a::b.db", "my runs.db", "c?d.db"):
        Path(name).touch()
        assert (parse(name).storage, parse(name).study) == (name, None)
        assert (parse(f"{name}::x::y").storage, parse(f"{name}::x::y").study) == (name, "x::y")
        assert parse(f"sqlite:///{name}::x").path == Path(name)


def test_paths_are_read_off_addresses():
    assert parse("sqlite:////tmp/a.db::s").path == Path("/tmp/a.db")
    assert parse("sqlite:///a.db::s").path == Path("a.db")
    assert parse("sqlite:///file:a.db?mode=ro&uri=true::s").path == Path("a.db")
    assert parse("journal:///j.log::s").path == Path("j.log")
    assert parse("~/a.db::s").path == Path.home() / "a.db"


def test_a_password_is_never_shown():
    assert (
        parse("postgresql://u:p@ss:w/d@host/optuna::s").shown == "postgresql://u:***@host/optuna"
    )
    assert parse("postgresql://u@host/optuna::s").shown == "postgresql://u@host/optuna"


def test_the_label_is_what_is_not_the_same_in_most():
    assert parse("sqlite:///runs/a.db::s").label == "runs/a"
    assert parse("postgresql://u:p@host:5432/optuna?x=1::s").label == "optuna"


def test_a_comparison_is_called_by_a_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("digits").mkdir()
    Path("b.db").touch()
    assert not names_storage("digits") and not names_storage("b.db::new")
    assert all(map(names_storage, ("b.db", "./digits", "grpc://localhost")))


@pytest.mark.parametrize("start", ["a.db", "sqlite:///a.db"])
def test_a_studys_name_may_be_longer_than_a_files_can_be(start: str):
    found = parse(f"{start}::{'x' * 300}")
    assert (found.storage, found.study) == (start, "x" * 300)
