"""The ``tuner`` command as a person meets it: results, help, refusals."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.commands import SPEC, refused, tuner, write
from tuner.cli.present import Outputs
from tuner.errors import InvalidInput

COMMANDS = (
    "demo",
    "plan",
    "run",
    "compare",
    "suite",
    "status",
    "train",
    *("export", "evaluate"),
    "translate",
    "claims",
    "spaces",
    "workloads",
    "bench",
    *("note", "tag", "archive", "unarchive", "notify"),
)


def test_every_command_has_help_with_an_example():
    listed = tuner("--help").output
    for command in COMMANDS:
        assert command in listed
        shown = tuner(command, "--help")
        assert shown.exit_code == 0
        assert "For example" in shown.output
        assert f"tuner {command}" in shown.output


@pytest.mark.slow
def test_train_reports_every_epoch_and_the_test_accuracy():
    write(SPEC)
    result = tuner("train", "mine.toml", "--set", "alpha=0.05", "--seeds", 3, "--json")
    document = json.loads(result.stdout)
    assert document["settings"]["alpha"] == document["filter"]["alpha"] == 0.05
    assert [len(seed["curve"]) for seed in document["seeds"]] == [2, 2, 2]
    assert "epoch   2/2" in result.stderr
    shown = tuner("train", "mine.toml", "--space", "magnitude", "--set", "scaling=true")
    assert "test " in shown.output and "alpha" in shown.output


def test_spaces_and_workloads_list_what_is_declared():
    spaces = json.loads(tuner("spaces", "--json").stdout)
    assert {"filter", "magnitude", "magnitude_narrow"} <= set(spaces)
    assert "one_minus_momentum" in tuner("spaces", "magnitude").output
    found = json.loads(tuner("workloads", "--json").stdout)
    assert found["declared"]["digits"]["workload"]["dataset"] == "digits"
    assert "digits" in tuner("workloads").output


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("n_trials = 8", "n_trials = 0", "n_trials: .*greater than or equal to 1, got 0"),
        ("n_trials = 8", "n_trials = -3", "n_trials: .*got -3"),
        ("n_trials = 8", "n_trails = 8", "'n_trails' is unknown; did you mean 'n_trials'"),
        ("n_trials = 8", "n_trials = ", "not valid TOML"),
        ("epochs = 2", "epochs = 0", "epochs: must be >= 1, got 0"),
        ("epochs = 2", "epoch = 2", "'epoch' is unknown; did you mean 'epochs'"),
        ('"digits"', '"digit"', "data set 'digit' is unknown; did you mean 'digits'"),
        ('space = "filter"', 'space = "filtre"', "'filtre' is unknown; did you mean 'filter'"),
        ('"filter", "magnitude"]', '"filter", "magnitud"]', "'magnitud' is unknown"),
        ("k = 2", "k = 9", "k: must be at most n_trials=8, got 9"),
        ("target = 0.5", "target = nan", "target: .*finite"),
        ("batch_size = 32", "batch_size = 200", "at most the 128 training samples of digits"),
        ("binary_ends = true", 'binary_ends = true\nmodel = "bireal_resnet20"', "keeps its ends"),
        (
            'space = "filter"',
            'space = {rule = "filter_flip", parameters.alpha = {low = 0.1, high = 0.01}}',
            "low must be below high, got low=0.1, high=0.01",
        ),
        (
            'space = "filter"',
            'space = {rule = "filter_flip", parameters.alpha = {low = 0.1, high = 1.5}}',
            r"alpha must be in \(0, 1\], got 1.5",
        ),
        (
            'space = "filter"',
            'space = {rule = "filter_flip", parameters.alpha = {low = nan, high = 1.0}}',
            "finite",
        ),
    ],
)
def test_a_bad_spec_is_refused_in_one_line_that_names_place_rule_and_value(old, new, words):
    import re

    assert old in SPEC
    line = refused("run", write(SPEC.replace(old, new, 1)))
    assert re.search(words, line), line


def test_what_is_not_there_is_refused_by_name():
    assert "nothing.toml: cannot be read: No such file" in refused("run", "nothing.toml")
    assert "did you mean 'digits'" in refused("run", "digit")
    assert "did you mean 'filter'" in refused("spaces", "fliter")
    assert "did you mean 'digits'" in refused("workloads", "digitz")
    assert "there is no file tuner.db" in refused("status")
    line = refused("compare", "sqlite:///gone.db::a", "sqlite:///gone.db::b")
    assert "gone.db" in line


def test_other_refusals_name_the_fix():
    write(SPEC)
    assert "--html: the folder gone does not exist" in refused(
        "run", "mine.toml", "--html", "gone/a.html"
    )
    for option in ("--html", "--picture", "--folder"):
        told = refused("run", "mine.toml", option, "-")
        assert f"{option}: only --json prints with -" in told
    assert "must end in .png" in refused("run", "mine.toml", "--picture", "a.jpeg")
    assert "workers must be at least 1, got 0" in refused("run", "mine.toml", "--workers", 0)
    assert "write NAME=VALUE" in refused("train", "mine.toml", "--set", "alpha")
    assert "must be in (0, 1], got 2" in refused("train", "mine.toml", "--set", "alpha=2")
    assert "got nan" in refused("train", "mine.toml", "--set", "alpha=nan")
    assert "cannot be used here" in refused("train", "mine.toml", "--device", "tpu9")
    assert "declares this itself" in refused("compare", "mine", "--target", "0.5")


def test_a_result_file_that_cannot_be_written_is_refused_before_anything_runs():
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        (folder / "old.html").touch(0o444)
        folder.chmod(0o555)
        with without_privileges():
            for outputs in (
                Outputs(json=str(folder / "new.json")),
                Outputs(html=folder / "old.html"),
                Outputs(picture=folder / "new.png"),
            ):
                with pytest.raises(InvalidInput, match=r"cannot be written; name another file"):
                    outputs.check()
        folder.chmod(0o755)


@contextmanager
def without_privileges():
    """Root may write anywhere, so be nobody for a while."""
    before = os.geteuid()
    os.seteuid(65534 if before == 0 else before)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_database_of_something_else_is_refused():
    Path("tuner.db").write_text("not a database at all, but long enough to be looked at" * 20)
    write(SPEC)
    line = refused("run", "mine.toml")
    assert "tuner.db" in line


def test_bad_images_are_refused_before_a_database_is_made():
    folder = SPEC.replace('dataset = "digits"', 'dataset = "folder"\nfolder = "images"')
    write(folder.replace("n_train = 128\n", ""))
    Path("images/cat").mkdir(parents=True)
    Path("images/dog").mkdir()
    assert "cat" in refused("run", "mine.toml")
    for animal in ("cat", "dog"):
        for i in range(4):
            Path(f"images/{animal}/{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    assert ".png" in refused("run", "mine.toml")


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on():
    write(SPEC.replace("n_trials = 8", "n_trials = 16").replace("epochs = 2", "epochs = 12"))
    command = [sys.executable, "-m", "tuner", "run", "mine.toml", "--json", "out.json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)
    deadline = time.monotonic() + 120
    finished = 0
    while not finished and time.monotonic() < deadline:
        time.sleep(0.2)
        if Path("tuner.db").exists():
            finished = _finished()
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "stopped; finished trials are kept" in output
    kept = _finished()
    assert finished <= kept < 52
    again = tuner(*command[3:])
    assert again.exit_code == 0, again.output
    report = json.loads(Path("out.json").read_text())
    assert [arm["n"] for arm in report["arms"]] == [16, 16]
    assert _finished() == 52


def _finished() -> int:
    status = tuner("status", "--json")
    if status.exit_code:
        return 0
    arms = json.loads(status.stdout).get("mine", {"arms": []})["arms"]
    return sum(arm["done"] + arm["retrained"] for arm in arms)


def test_what_could_not_be_compared_is_refused_before_anything_runs():
    one_arm = SPEC[: SPEC.index('[[arms]]\nname = "magnitude"')]
    assert "at least two arms" in refused("run", write(one_arm))
    again = SPEC.replace("k = 2", 'control = "magnitude"\nk = 2')
    assert "must be a third arm" in refused("run", write(again))
    for value in ('"2"', "true", "2.5"):
        line = refused("run", write(SPEC.replace("epochs = 2", f"epochs = {value}")))
        assert "epochs: must be of type int" in line
    assert "split_seed" in refused(
        "run", write(SPEC.replace("epochs = 2", "epochs = 2\nsplit_seed = -1"))
    )
