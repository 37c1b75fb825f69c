import importlib
import json
import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.cli.commands import refused, write
from tuner.cli.app import app
from tuner.search.work.plan import REPORT_SECONDS
from tuner.trial import DataCounts

plans = importlib.import_module("tuner.cli.commands.plan")  # the package names the command so too

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


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A folder in which the command was given, what it printed, and the plan that it made."""
    made, folder = [], tmp_path_factory.mktemp("planned")
    (folder / "mine.toml").write_text(SPEC)

    def plan(spec, **how):
        made.append(make_plan(spec, **how))
        return made[-1]

    make_plan = plans.make_plan
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(plans, "make_plan", plan)
        shown = CliRunner().invoke(app, ["plan", "mine.toml", "--workers", "1"])
    assert shown.exit_code == 0, shown.output
    return folder, shown.stdout, made[0]


@pytest.mark.slow
def test_a_plan_names_arms_cost_and_what_cannot_be_shown(planned):
    folder, shown, _ = planned
    told = " ".join(shown.split())
    assert "new_tpe tpe 5 x 4 0" in told
    assert "48 trials, 96 epochs: about" in told and "with 1 worker on this machine" in told
    assert "until they train, then the arms' times. A full report (--html" in told
    assert "! 4 trials per arm give no interval of the best of 1" in told
    assert "! 5 repeats of a search can never reach p = 0.05" in told
    assert "! No incumbent is retrained" in told
    assert [path.name for path in folder.iterdir()] == ["mine.toml"]


@pytest.mark.slow
def test_a_plan_as_json_has_the_same_numbers(planned, monkeypatch):
    folder, _, made = planned
    monkeypatch.setattr(
        plans, "make_plan", lambda _, workers, **_how: replace(made, workers=workers)
    )
    path = folder / "mine.toml"
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


@pytest.mark.slow
def test_a_plan_counts_data_of_the_users_own_and_warns_of_copies(planned, monkeypatch):
    folder, _, made = planned
    counted = replace(made, data=DataCounts(3, 90, 10, 20, 2, "ab"), notes=("[a] is passed over",))
    monkeypatch.setattr(plans, "make_plan", lambda _, **_how: replace(counted, workers=1))
    command = ["plan", str(folder / "mine.toml"), "--workers", "1"]
    told = " ".join(CliRunner().invoke(app, command).stdout.split())
    assert "data: 3 classes; 90 samples to train on, 10 to validate on, 20 to test on" in told
    assert "! 2 of 20 test samples are also among those trained or validated on" in told
    assert "· [a] is passed over" in told
    printed = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert printed["notes"] == ["[a] is passed over"]
    assert printed["data"]["test_in_train"] == 2


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (
            'dataset = "folder"\nfolder = "photos"\nteacher = "net.safetensors"',
            r"workload\.folder: there is no folder .*/photos; .*; and workload\.teacher: .*/net\.",
        ),
        ('dataset = "digits"\nwidths = [16]', r"mine\.toml: workload\.widths: mlp needs a binary"),
        ('dataset = "digits"\nteacher = "."', r"workload\.teacher: /.* is a folder; it must be a"),
        (
            'dataset = "digits"\nteacher = "mine.toml"',
            r"workload\.teacher: /.*/mine\.toml is no safetensors file; it must be a packed file",
        ),
    ],
)
def test_what_is_missing_or_cannot_be_is_said_before_anything_is_measured(
    workload, words, monkeypatch
):
    monkeypatch.setattr(plans, "make_plan", None)
    write(SPEC.replace('dataset = "digits"\nwidths = [8, 8]', workload))
    said = refused("plan", "mine.toml")
    assert re.search(words, said), said
    assert "measuring" not in said
