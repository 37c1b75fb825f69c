"""``tuner db`` as a person meets it."""

from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tuner.cli.app import app
from tuner.search.spec import ComparisonSpec
from tuner.search.store import open_store

SPEC = ComparisonSpec.model_validate(
    {
        "name": "small",
        "workload": {"epochs": 1},
        "arms": [{"name": "a", "space": "filter"}],
        "n_trials": 2,
    }
)


def run(*arguments: str, given: str | None = None):
    return CliRunner().invoke(app, ["db", *arguments], input=given)


@pytest.fixture
def url(tmp_path: Path) -> str:
    address = f"sqlite:///{tmp_path}/a.db"
    with closing(open_store(address)) as store:
        store.declare(SPEC)
    return address


def test_upgrading_makes_the_tables_once(tmp_path: Path):
    address = f"sqlite:///{tmp_path}/new.db"
    first, second = (run("upgrade", "--database", address) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert first.output != second.output
    with closing(open_store(address, must_exist=True)) as store:
        assert store.names() == []


def test_a_comparison_is_moved_through_a_file_and_through_a_pipe(url: str, tmp_path: Path):
    file, there = tmp_path / "out.jsonl", f"sqlite:///{tmp_path}/b.db"
    assert "exported: 1 comparison" in run("export", str(file), "--database", url).output
    done = run("import", str(file), "--database", there)
    assert done.output == "small: imported\n"
    again = run("import", str(file), "--database", there)
    assert (again.exit_code, again.output) == (0, "small: is there already, left alone\n")
    piped = run("export", "-", "small", "--database", url).stdout
    third = run("import", "-", "--database", f"sqlite:///{tmp_path}/c.db", given=piped)
    assert third.output == "small: imported\n"


def test_what_cannot_be_moved_is_refused_in_a_line(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"this is no export \xff\n")
    for arguments, words in (
        (("import", str(wrong), "--database", url), "line 1 of the export is damaged"),
        (("import", str(tmp_path / "absent"), "--database", url), "No such file"),
        (("export", str(tmp_path / "no" / "x"), "--database", url), "does not exist; make it"),
        (("export", "x", "nothing", "--database", url), "comparison 'nothing' is unknown"),
        (("export", "x", "--database", f"sqlite:///{tmp_path}/none.db"), "there is no file"),
    ):
        result = run(*arguments)
        assert result.exit_code in (1, 2)
        assert words in result.output, result.output
        assert result.output.count("\n") == 1
    assert not Path("x").exists()
