"""Each example runs as its docstring says, and prints what it promises."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(name: str, folder: Path) -> str:
    """What an example prints, run in an empty folder, in one thread."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not any(folder.iterdir()), "an example leaves nothing behind"
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_it_is_run_and_is_run_here(path):
    text = path.read_text(encoding="utf-8")
    assert f"\n    python examples/{path.name}\n" in str(ast.get_docstring(ast.parse(text), False))
    assert f'run("{path.name}", ' in Path(__file__).read_text(encoding="utf-8")


@pytest.mark.slow
def test_in_a_plain_loop_both_rules_learn_and_keep_the_weights_binary(tmp_path):
    lines = run("plain_loop.py", tmp_path).splitlines()
    assert [line.split()[0] for line in lines] == ["FilterFlip", "LatentSGD"]
    for line in lines:
        (accuracy,) = re.findall(r"test accuracy ([\d.]+)%", line)
        assert float(accuracy) > 90
        assert "weights [-1.0, 1.0]" in line


@pytest.mark.slow
def test_a_whole_run_ends_with_the_tuning_curves_and_a_verdict(tmp_path):
    printed = run("whole_run.py", tmp_path)
    rows = re.findall(r"^ +(\d+) +([\d.]+)% \[.+?\] +([\d.]+)% \[.+?\]$", printed, re.MULTILINE)
    assert [int(k) for k, _, _ in rows] == [1, 2, 3, 5, 10, 20, 30]
    new, old = (sorted(float(row[column]) for row in rows) for column in (1, 2))
    assert [float(row[1]) for row in rows] == new and [float(row[2]) for row in rows] == old
    assert new[-1] > 90 and old[-1] > 90
    assert new[0] - old[0] > 5, "a random setting is worse in the magnitude space"
    assert "\nUnconfirmed: filter scores higher\n" in printed
    assert len((ROOT / "examples" / "whole_run.py").read_text("utf-8").splitlines()) <= 150


@pytest.mark.slow
def test_two_studies_compared_from_python_give_a_verdict(tmp_path):
    printed = run("compare_two_studies.py", tmp_path)
    assert re.search(r"^ +narrow +wide$", printed, re.MULTILINE)
    assert re.search(r"^trials +60 +60$", printed, re.MULTILINE)
    (first, second) = re.findall(r"^expected best of 1 +([\d.]+)% +([\d.]+)%$", printed, re.M)[0]
    assert float(first) > float(second) + 10
    assert "UNCONFIRMED: NARROW SCORES HIGHER" in printed
