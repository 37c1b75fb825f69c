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
    assert printed.endswith("\nUnconfirmed: new scores higher\n")
    code = (ROOT / "examples" / "compare_two_studies.py").read_text("utf-8")
    assert len(re.findall(r"compare_(?:studies|scores)\(", code)) == 2


def searched(name: str, folder: Path) -> str:
    """What ``tuner run`` prints of an example's study with fewer trials, in one line."""
    examples = ROOT / "examples"
    declared = (examples / f"{name}.toml").read_text("utf-8")
    assert declared.count("n_trials = 20\n") == 1
    few = folder / f"{name}.toml"
    few.write_text(declared.replace("n_trials = 20\n", "n_trials = 4\n"), "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tuner", "run", few.name],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(examples)]),
            "TUNER_WORKLOADS": name,
            "COLUMNS": "80",
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.replace("│", " ").split())


@pytest.mark.slow
def test_a_loop_of_ones_own_runs_by_itself_and_searched_by_the_service(tmp_path):
    (accuracy,) = re.findall(r"^accuracy ([\d.]+)%$", run("own_loop.py", tmp_path), re.MULTILINE)
    assert float(accuracy) > 90
    printed = searched("own_loop", tmp_path)
    assert "on own_loop:objective, noise 0.2, at most 20 epochs" in printed
    assert "settings selected, trained afresh 2 2" in printed
    code = (ROOT / "examples" / "own_loop.py").read_text("utf-8").split("def objective")[1]
    assert len(code.splitlines()) <= 60


@pytest.mark.slow
def test_numbers_that_are_read_when_needed_are_predicted_and_scored_by_ones_own_error(tmp_path):
    told = run("own_regression.py", tmp_path)
    (error,) = re.findall(r"^mean error of a test wave: ([\d.]+) turns of 1 to 5$", told, re.M)
    assert float(error) < 0.5, "of whoever says 3 to every wave it is 1"
    printed = searched("own_regression", tmp_path)
    assert "data: 510 samples to train on, 90 to validate on, 200 to test on" in printed
    assert "loss mse, scored by own_regression:error, 10 epochs" in printed
    assert "trials that reach 0.25 " in printed and "their median on test 0." in printed


@pytest.mark.slow
def test_a_network_and_data_of_ones_own_are_searched_in_forty_lines(tmp_path):
    (accuracy,) = re.findall(r"^test accuracy ([\d.]+)%$", run("own_network.py", tmp_path), re.M)
    assert float(accuracy) > 85
    printed = searched("own_network", tmp_path)
    assert "data: 2 classes; 765 samples to train on, 135 to validate on, 300 to test" in printed
    assert "on own_network:load, noise 0.2, own_network:make, width 64, 20 epochs" in printed
    assert "settings selected, trained afresh 2 2" in printed
    code = (ROOT / "examples" / "own_network.py").read_text("utf-8")
    theirs = code.split("import torch\n", 1)[1].split("if __name__", 1)[0]
    assert len(theirs.splitlines()) <= 40
