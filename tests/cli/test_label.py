"""``tuner note``, ``tag``, ``archive`` and ``notify``, as a person meets them."""

from collections.abc import Iterator

import pytest
from typer.testing import CliRunner, Result

from tuner.cli.app import app
from tuner.search.database.store import Store, open_store
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.control import change_comparison

SPEC = ComparisonSpec.model_validate(
    {
        "name": "mine",
        "workload": {"epochs": 1},
        "arms": [{"name": "a", "space": "filter"}, {"name": "b", "space": "bop"}],
        "n_trials": 4,
        "retrain_seeds": 0,
    }
)


@pytest.fixture
def store(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("TUNER_DATABASE_URL", sqlite_url)
    opened = open_store(sqlite_url)
    opened.declare(SPEC)
    yield opened
    opened.close()


def tuner(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def said(*arguments: str) -> str:
    result = tuner(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.usefixtures("store")
def test_notes_are_written_and_printed():
    assert said("note", "mine") == "\n"
    assert said("note", "mine", "of the paper") == said("note", "mine") == "of the paper\n"
    assert said("note", "mine", "") == "\n"
    refused = tuner("note", "yours", "x")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "'yours' is unknown" in refused.stderr


@pytest.mark.usefixtures("store")
def test_tags_are_added_taken_away_and_printed():
    assert said("tag", "mine", "Paper", "base") == "base paper\n"
    assert said("tag", "mine", "x", "--remove", "BASE") == said("tag", "mine") == "paper x\n"
    assert "mine, active #paper #x" in said("status")
    refused = tuner("tag", "mine", "a b")
    assert refused.exit_code == 2 and "tags: must be" in refused.stderr
    assert said("tag", "mine") == "paper x\n"


def test_an_archived_comparison_is_listed_when_asked_for(store: Store):
    assert tuner("archive", "mine").exit_code == 1
    change_comparison(store, "mine", "pause")
    assert said("archive", "mine") == "mine is archived; see it with: tuner status --archived\n"
    assert said("status") == (
        "all comparisons are archived; see them with: tuner status --archived\n"
    )
    assert "mine, paused" in said("status", "--archived")
    assert "mine, paused" in said("status", "mine")
    assert said("unarchive", "mine") == "mine is in the lists again\n"
    assert said("status", "--archived") == "no comparison is archived\n"
    assert "mine, paused" in said("status")


def test_whether_people_are_told_can_be_tried(monkeypatch: pytest.MonkeyPatch):
    for name in ("TUNER_WEBHOOK_URL", "TUNER_SMTP_URL"):
        monkeypatch.delenv(name, raising=False)
    refused = tuner("notify")
    assert refused.exit_code == 2 and "nobody is told; set TUNER_WEBHOOK_URL" in refused.stderr
    monkeypatch.setenv("TUNER_WEBHOOK_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("TUNER_WEBHOOK_SECRET", "0123456789abcdef")
    failed = tuner("notify")
    assert failed.exit_code == 1
    assert failed.stdout.startswith("webhook: the webhook did not answer")
