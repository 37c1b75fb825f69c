"""``tuner keys``: made and shown once, listed without secrets, revoked for good."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tuner.cli.app import app
from tuner.search.database import keys
from tuner.search.database.store import open_store


@pytest.fixture(autouse=True)
def here(database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNER_DATABASE_URL", database)


def tuner(*arguments):
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_new_key_is_alone_on_standard_output_and_opens_what_its_scopes_say(database):
    made = tuner("create", "me", "--scope", "read")
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert key.count("\n") == 0
    assert "only its hash is stored" in made.stderr
    store = open_store(database)
    found = keys.verify(store, key)
    store.close()
    assert found is not None
    assert (found.name, found.scopes) == ("me", ("read",))


def test_a_key_for_a_program_comes_as_json():
    made = json.loads(tuner("create", "ci", "--scope", "write", "--json").stdout)
    assert made["key"] == f"tuner_{made['id']}_{made['key'].split('_', 2)[2]}"
    assert (made["name"], made["scopes"], made["revoked"]) == ("ci", ["write"], None)


def test_listed_keys_show_everything_but_the_secret():
    shown = tuner("create", "me").stdout.strip()
    _, key_id, secret = shown.split("_", 2)
    tuner("create", "you", "--scope", "read")
    text, data = tuner("list").stdout, tuner("list", "--json").stdout
    assert key_id in text
    assert re.search(r"\d\d:\d\d:\d\d [+-]\d{4}", text), "a time names its zone"
    assert secret not in text + data
    assert [(key["name"], key["scopes"]) for key in json.loads(data)] == [
        ("me", ["read", "write"]),
        ("you", ["read"]),
    ]


@pytest.mark.slow
def test_a_revoked_key_stays_revoked(database):
    shown = tuner("create", "me").stdout.strip()
    key_id = shown.split("_")[1]
    assert tuner("revoke", key_id).exit_code == 0
    store = open_store(database)
    assert keys.verify(store, shown) is None
    store.close()
    again = tuner("revoke", key_id)
    assert (again.exit_code, "there is no valid key" in again.stderr) == (1, True)
    assert json.loads(tuner("list", "--json").stdout)[0]["revoked"] is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "me", "--scope", "root"), "key scope 'root' is unknown"),
        (("create", ""), "1 to 100 printable ASCII characters"),
        (("create", "a\nb"), "1 to 100 printable ASCII characters"),
    ],
)
def test_a_malformed_key_is_refused_in_one_line(arguments, words):
    refused = tuner(*arguments)
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert words in line


def test_looking_for_keys_makes_no_database():
    for command in (("list",), ("revoke", "0" * 12)):
        refused = tuner(*command, "--database", "sqlite:///missing.db")
        assert refused.exit_code == 2
        assert "there is no file missing.db" in refused.stderr
    assert not Path("missing.db").exists()


def test_every_keys_command_has_help_with_an_example():
    for command in ("create", "list", "revoke"):
        shown = tuner(command, "--help")
        assert "For example" in shown.output
        assert f"tuner keys {command}" in shown.output
