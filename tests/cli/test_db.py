"""``tuner db upgrade``, ``export`` and ``import``, as a person meets them."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from typer.testing import CliRunner, Result

from tuner.cli.app import app
from tuner.search.database.opening import normalise
from tuner.search.database.store import open_store
from tuner.search.database.tables import VERSION_TABLE
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.work.keeper import Keeper

SPEC = ComparisonSpec.model_validate(
    {
        "name": "small",
        "workload": {"epochs": 1},
        "arms": [{"name": "a", "space": "filter"}],
        "n_trials": 2,
        "retrain_seeds": 0,
    }
)


@pytest.fixture
def url(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with two comparisons; the commands find it in their environment."""
    monkeypatch.setenv("TUNER_DATABASE_URL", sqlite_url)
    with closing(open_store(sqlite_url)) as store:
        store.declare(SPEC)
        store.declare(SPEC.model_copy(update={"name": "more"}))
        Keeper(store).tend()
    return sqlite_url


def run(*arguments: str, given: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, ["db", *arguments], input=given)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def said(*arguments: str, given: str | bytes | None = None) -> str:
    result = run(*arguments, given=given)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str, given: str | bytes | None = None) -> str:
    """The one line that a refused command prints."""
    result = run(*arguments, given=given)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


def set_version(url: str, version: str) -> None:
    engine = create_engine(normalise(url))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '{version}'")
    engine.dispose()


@pytest.mark.slow
def test_upgrading_says_what_it_did(empty_database: str):
    assert said("upgrade", "--database", empty_database) == "the tables are made: version 0003\n"
    again = said("upgrade", "--database", empty_database)
    assert again == "the tables are up to date: version 0003\n"
    with closing(open_store(empty_database)) as store, store.engine.begin() as connection:
        for name in ("studies", "workers", "keys", "requests", "events"):
            connection.exec_driver_sql(f"drop table tuner_{name}")
        connection.exec_driver_sql("drop index ix_tuner_comparisons_created")
        for column in ("status", "revision", "code_version", "served"):
            connection.exec_driver_sql(f"alter table tuner_comparisons drop column {column}")
    set_version(empty_database, "0001")
    line = refused("export", "-", "--database", empty_database)
    assert line.endswith("bring them up to date with: tuner db upgrade")
    upgraded = said("upgrade", "--database", empty_database)
    assert upgraded == "the tables are brought up to date: from version 0001 to 0003\n"
    with closing(open_store(empty_database)) as store:
        assert store.declare(SPEC)


def test_what_newer_software_made_is_refused(url: str):
    set_version(url, "9999")
    assert "use the newer software that made them" in refused("upgrade")
    assert "use the newer software that made them" in refused("export", "-")


@pytest.mark.usefixtures("url")
def test_comparisons_are_moved_through_a_file(tmp_path: Path, postgres_url: str):
    file = tmp_path / "out.jsonl"
    told = run("export", str(file))
    assert (told.stdout, told.stderr) == ("", "exported: 2 comparisons\n")
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl"]
    there = ("--database", postgres_url)
    assert said("import", str(file), *there) == "small: imported\nmore: imported\n"
    again = said("import", str(file), *there)
    assert again == "small: is there already, left alone\nmore: is there already, left alone\n"
    with closing(open_store(postgres_url)) as store:
        assert store.names() == ["small", "more"]
        assert store.comparison("small") == SPEC


@pytest.mark.usefixtures("url")
def test_comparisons_are_moved_through_a_pipe(tmp_path: Path):
    piped = said("export", "-", "small", "small")
    kinds = [json.loads(line)["kind"] for line in piped.splitlines()]
    assert kinds == ["header", "comparison", "study", "trial", "trial", "footer"]
    there = ("--database", f"sqlite:///{tmp_path}/b.db")
    assert said("import", "-", *there, given=piped) == "small: imported\n"
    assert said("export", "-", *there).splitlines()[1:-1] == piped.splitlines()[1:-1]


def test_an_empty_database_can_be_exported(tmp_path: Path):
    here = ("--database", f"sqlite:///{tmp_path}/b.db")
    said("upgrade", *here)
    assert said("import", "-", *here, given=said("export", "-", *here)) == (
        "no comparison is in it\n"
    )


@pytest.mark.usefixtures("url")
def test_what_cannot_be_exported_is_refused_and_no_file_is_touched(tmp_path: Path):
    file = tmp_path / "out.jsonl"
    file.write_text("kept")
    assert "comparison 'smal' is unknown; did you mean 'small'?" in refused(
        "export", str(file), "small", "smal"
    )
    assert file.read_text() == "kept"
    assert "does not exist; make it" in refused("export", str(tmp_path / "no" / "x"))
    address = f"sqlite:///{tmp_path}/none.db"
    assert "there is no file" in refused("export", "-", "--database", address)


def test_what_cannot_be_imported_is_refused_and_no_database_is_made(tmp_path: Path):
    there = ("--database", f"sqlite:///{tmp_path}/b.db")
    assert "No such file" in refused("import", str(tmp_path / "absent"), *there)
    assert not (tmp_path / "b.db").exists()
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"\xff\xfe is no export\n")
    line = refused("import", str(wrong), *there)
    assert line == (f"tuner: {wrong}: line 1: not a file of tuner db export; nothing was imported")
    assert refused("import", "-", *there, given=b"\xff").startswith("tuner: -: line 1: not a file")


@pytest.mark.parametrize("command", ["upgrade", "export", "import"])
def test_each_command_has_help_with_an_example(command: str):
    shown = said(command, "--help")
    assert "For example" in shown
    assert f"tuner db {command}" in shown
    if command != "upgrade":
        assert "API keys" in " ".join(shown.split())
