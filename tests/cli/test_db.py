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
from tuner.search.database.tables import SCHEMA, VERSION_TABLE
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import control
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


TABLES = (
    *("studies", "workers", "sessions", "keys", "requests", "events", "operations"),
    *("notices", "marks", "fleets"),
)
COLUMNS = (
    *("status", "revision", "code_version", "served", "trouble"),
    *("notes", "tags", "archived", "own_code"),
)
"""What tables of version 0001 do not have."""


@pytest.mark.slow
def test_upgrading_says_what_it_did(empty_database: str):
    made = said("upgrade", "--database", empty_database)
    assert made == f"the tables are made: version {SCHEMA}\n"
    again = said("upgrade", "--database", empty_database)
    assert again == f"the tables are up to date: version {SCHEMA}\n"
    with closing(open_store(empty_database)) as store, store.engine.begin() as connection:
        for name in TABLES:
            connection.exec_driver_sql(f"drop table tuner_{name}")
        connection.exec_driver_sql("drop index ix_tuner_comparisons_created")
        for column in COLUMNS:
            connection.exec_driver_sql(f"alter table tuner_comparisons drop column {column}")
        for column in ("deaths", "losses"):
            connection.exec_driver_sql(f"alter table tuner_trials drop column {column}")
    set_version(empty_database, "0001")
    line = refused("export", "-", "--database", empty_database)
    assert line.endswith("bring them up to date with: tuner db upgrade")
    upgraded = said("upgrade", "--database", empty_database)
    assert upgraded == f"the tables are brought up to date: from version 0001 to {SCHEMA}\n"
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
    unreadable = "/proc/self/mem"  # can be opened, and not be read from its beginning
    assert refused("import", unreadable, *there) == f"tuner: {unreadable}: Input/output error"


def make_old(url: str) -> None:
    with closing(open_store(url)) as store:
        control.change_comparison(store, "more", "cancel")
        with store.begin() as connection:
            for table in ("tuner_events", "tuner_comparisons"):
                connection.exec_driver_sql(f"update {table} set created = created - 8640000")


def test_pruning_says_what_goes_and_wants_a_yes(url: str):
    make_old(url)
    would = "3 events, 0 workers, 0 fleets, 0 answers, 0 sessions, comparison more"
    asked = ("prune", "--older-than", "90d", "--cancelled")
    assert f"would remove {would} for good; add --yes" in refused(*asked)
    assert said(*asked, "--dry-run") == f"would be removed: {would}\n"
    assert said(*asked, "--dry-run", "--yes") == f"would be removed: {would}\n"
    with closing(open_store(url)) as store:
        assert store.names() == ["small", "more"]
    assert said(*asked, "--yes").startswith("removed: ")
    with closing(open_store(url)) as store:
        assert store.names() == ["small"]
    again = said("prune", "--older-than", "12w", "--comparison", "small", "--yes")
    assert again == "removed: 0 events, 0 workers, 0 fleets, 0 answers, 0 sessions\n"


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("age", ["90", "d", "0d", "-1d", "1.5d", "1y", "", "9999999d"])
def test_an_age_that_is_none_is_refused(age: str):
    line = refused("prune", "--older-than", age, "--yes")
    assert "--older-than: must be such as 90d, 12w or 48h" in line


@pytest.mark.usefixtures("url")
def test_what_cannot_be_pruned_is_refused():
    assert "at least a day" in refused("prune", "--older-than", "1h", "--yes")
    asked = ("prune", "--older-than", "90d", "--yes", "--comparison", "smal")
    assert "did you mean 'small'" in refused(*asked)


def test_an_export_that_breaks_off_leaves_the_file_before(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "out.jsonl"
    said("export", str(file))
    whole = file.read_text()

    def broken(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("tuner.search.database.transfer._trial", broken)
        CliRunner().invoke(app, ["db", "export", str(file)])
    assert file.read_text() == whole
    assert sorted(path.name for path in tmp_path.glob("*out*")) == ["out.jsonl"]
    there = ("--database", f"sqlite:///{tmp_path}/b.db")
    cut = "".join(whole.splitlines(keepends=True)[:-1])
    assert "the file is cut off" in refused("import", "-", *there, given=cut)
    assert said("import", str(file), *there) == "small: imported\nmore: imported\n"
    assert url


@pytest.mark.parametrize("command", ["upgrade", "export", "import", "prune"])
def test_each_command_has_help_with_an_example(command: str):
    shown = said(command, "--help")
    assert "For example" in shown
    assert f"tuner db {command}" in shown
    if command != "upgrade":
        assert "API keys" in " ".join(shown.split())
