"""``gpu_check.sh`` is read, not run: what it calls has to be there on the day of a GPU."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tuner.bench.contests import CONTESTS
from tuner.cli.app import app
from tuner.search.declared.spec import load

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "tests" / "gpu_check.sh"
TEXT = SCRIPT.read_text(encoding="utf-8")
STEPS = [
    line.split() for line in re.findall(r"^step (.+)$", TEXT.replace("\\\n", " "), re.MULTILINE)
]
"""Seconds, name, and the command."""


def test_the_script_is_valid_bash():
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_it_takes_at_most_eight_minutes():
    assert {name for _, name, *_ in STEPS} == {"tests", "comparison", "bench"}
    assert sum(int(seconds) + 10 for seconds, *_ in STEPS) <= 480


def test_what_it_runs_is_there():
    for _, _, python, module, name, *arguments in STEPS:
        assert (python, module) == ('"$python"', "-m")
        named = [word for word in arguments if not word.startswith(("-", '"'))]
        if name == "pytest":
            assert (ROOT / named[-1]).is_file()
            continue
        command, *named = named
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
        assert shown.exit_code == 0
        assert all(option in shown.output for option in arguments if option.startswith("--"))
        if command == "bench":
            assert named[:-1] == ["digits", "fashion_cnn", "resnet20"]
            assert set(named[:-1]) <= set(CONTESTS)
        else:
            assert load(named[0]).n_trials == 200


@pytest.mark.slow
def test_without_a_gpu_it_says_so_and_writes_nothing(tmp_path):
    environment = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [str(SCRIPT), str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "name one that can in PYTHON" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []
