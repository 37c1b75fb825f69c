"""``tuner doctor`` as a person and as a program meets it."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from typer.testing import CliRunner, Result

from tuner.cli.app import app
from tuner.search.database import keys
from tuner.search.database.store import open_store


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def test_each_check_is_a_line_and_the_status_says_whether_there_is_a_problem(sqlite_url: str):
    well = doctor("database", "keys", "--database", sqlite_url)
    assert well.exit_code == 0
    assert [line.split()[:2] for line in well.stdout.splitlines()] == [
        ["ok", "database"],
        ["ok", "keys"],
    ]
    ill = doctor("database", "--database", "sqlite:////no/folder/t.db")
    assert ill.exit_code == 1
    (line,) = ill.stdout.splitlines()
    assert line.startswith("problem  database")
    assert "--database or TUNER_DATABASE_URL" in line


def test_a_warning_is_no_problem_and_says_what_to_do(sqlite_url: str, monkeypatch):
    monkeypatch.delenv("TUNER_SECRET", raising=False)
    with closing(open_store(sqlite_url)) as store:
        keys.create(store, "me", keys.SCOPES)
    said = doctor("secret", "--database", sqlite_url)
    assert said.exit_code == 0
    assert said.stdout.startswith("warning  secret")
    assert "openssl rand -hex 32" in said.stdout


def test_programs_get_json(sqlite_url: str):
    said = doctor("disk", "proxy", "--json", "--database", sqlite_url)
    document = json.loads(said.stdout)
    assert document["healthy"] is (said.exit_code == 0)
    assert [row["check"] for row in document["checks"]] == ["disk", "proxy"]
    assert document["checks"][0].keys() == {"check", "status", "found", "fix"}


def test_a_name_that_is_no_check_is_refused(sqlite_url: str):
    refused = doctor("disc", "--database", sqlite_url)
    assert refused.exit_code == 2
    assert "did you mean 'disk'" in refused.stderr


def test_what_a_server_needs_is_checked_without_torch(tmp_path: Path):
    code = (
        "import sys; from tuner.doctor.checks import SERVING, examine; "
        f"examine('sqlite:///{tmp_path}/t.db', {{}}, SERVING); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
