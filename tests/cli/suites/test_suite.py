"""``tuner suite`` as a person meets it: run, collected, written, refused."""

import json
from pathlib import Path

import pytest

from tests.cli.commands import refused, tuner


@pytest.mark.slow
def test_a_suite_is_run_answered_and_collected_again(here):
    done = tuner("suite", "two.toml", "--workers", 1, "--folder", "out")
    assert done.exit_code == 0, done.output
    assert "OVER 2 WORKLOADS" in done.output
    assert {path.name for path in (here / "out").iterdir()} == {
        *("suite.html", "suite.json"),
        *("forest.png", "forest.svg", "profile.png", "profile.svg"),
    }
    first = json.loads((here / "out" / "suite.json").read_text("utf-8"))
    assert [each["comparison"] for each in first["workloads"]] == ["narrow", "wide"]
    again = tuner("suite", "two.toml", "--collect", "--json", "-")
    assert json.loads(again.stdout) == first
    text = Path("two.toml").read_text("utf-8")
    Path("two.toml").write_text(text + '\n[[comparisons]]\nname = "third"\n', "utf-8")
    interim = json.loads(tuner("suite", "two.toml", "--collect", "--json", "-").stdout)
    assert interim["interim"] == ["Nothing came out yet of third."]
    assert interim["answer"]["heading"].startswith("Interim, over 2 workloads")
    Path("two.toml").write_text(text.replace("target = 0.3", "target = 0.4"), "utf-8")
    assert "another one of that name" in refused("suite", "two.toml", "--collect")


def test_suites_are_listed_with_their_comparisons():
    assert "five_small" in tuner("suite", "--list").output
    shown = tuner("suite", "two.toml", "--list").output
    assert "Two tiny networks." in shown and "wide: digits" in shown


def test_what_cannot_be_answered_is_refused():
    assert "name one, or a TOML file" in refused("suite")
    assert "suite 'nothing' is unknown" in refused("suite", "nothing")
    assert "there is no file x.db" in refused(
        "suite", "two.toml", "--collect", "--database", "sqlite:///x.db"
    )
