import json

import pytest
from typer.testing import CliRunner

from tuner.cli.app import app
from tuner.search.work.plan import REPORT_SECONDS

SPEC = """
n_trials = 4
retrain_seeds = 0
[workload]
dataset = "digits"
widths = [8, 8]
epochs = 2
[[arms]]
name = "new"
space = "filter"
[[arms]]
name = "old"
space = "magnitude"
[[arms]]
name = "new_tpe"
space = "filter"
sampler = "tpe"
repeats = 5
[[arms]]
name = "old_tpe"
space = "magnitude"
sampler = "tpe"
repeats = 5
[verdict]
k = 1
repeated = ["new_tpe", "old_tpe"]
"""


def test_a_plan_names_arms_cost_and_what_cannot_be_shown(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(SPEC)
    shown = CliRunner().invoke(app, ["plan", "mine.toml", "--workers", "1"])
    assert shown.exit_code == 0, shown.output
    told = " ".join(shown.stdout.split())
    assert "new_tpe tpe 5 x 4 0" in told
    assert "48 trials, 96 epochs: about" in told and "with 1 worker on this machine" in told
    assert "until they train, then the arms' times. A full report (--html" in told
    assert "! 4 trials per arm give no interval of the best of 1" in told
    assert "! 5 repeats of a search can never reach p = 0.05" in told
    assert "! No incumbent is retrained" in told
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


def test_a_plan_as_json_has_the_same_numbers(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(SPEC)
    printed = CliRunner().invoke(app, ["plan", str(path), "--workers", "1", "--json"])
    assert printed.exit_code == 0, printed.output
    found = json.loads(printed.stdout)
    assert (found["n_trials"], found["epochs"], found["workers"]) == (48, 96, 1)
    assert [arm["repeats"] for arm in found["arms"]] == [1, 1, 5, 5]
    assert any(one["warns"] for one in found["outlook"])
    assert found["seconds"] > found["start_seconds"]
    parts = sum(arm["seconds"] for arm in found["arms"]) / found["workers"]
    assert found["seconds"] == pytest.approx(found["start_seconds"] + parts)
    assert found["report_seconds"] == 2 * REPORT_SECONDS  # of the arms that search once
