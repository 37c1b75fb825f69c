"""The same trials make the same bytes, whatever process makes them."""

import os
import subprocess
import sys
from filecmp import cmpfiles
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "snapshots.py"
ROOT = SCRIPT.parents[2]
CASES = ("full_5", "minimized", "equivalent")
"""Between them they have everything that a report can hold."""


@pytest.mark.slow
def test_two_processes_make_the_same_reports_to_the_byte(tmp_path: Path) -> None:
    folders = []
    for seed in ("1", "2"):  # sets and dicts of names come in another order
        folders.append(tmp_path / seed)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, SCRIPT, folders[-1], *CASES]
        subprocess.run(command, env=environment, check=True)
    assert sorted(folder.name for folder in folders[0].iterdir()) == sorted(CASES)
    for case in CASES:
        before, after = (folder / case for folder in folders)
        names = sorted(file.name for file in before.iterdir())
        assert {"report.json", "report.html", "tuning_curves.svg"} <= set(names)
        assert names == sorted(file.name for file in after.iterdir())
        same, _, _ = cmpfiles(before, after, names, shallow=False)
        assert same == names
