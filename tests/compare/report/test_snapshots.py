"""The same trials make the same bytes, whatever process makes them."""

import os
import subprocess
import sys
from filecmp import dircmp
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "snapshots.py"
ROOT = SCRIPT.parents[2]


@pytest.mark.slow
def test_two_processes_make_the_same_reports_to_the_byte(tmp_path: Path) -> None:
    folders = []
    for seed in ("1", "2"):  # sets and dicts of names come in another order
        folders.append(tmp_path / seed)
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        subprocess.run([sys.executable, SCRIPT, folders[-1]], env=environment, check=True)
    cases = sorted(folder.name for folder in folders[0].iterdir())
    assert "full_5" in cases
    for case in cases:
        compared = dircmp(*(folder / case for folder in folders), shallow=False)
        assert not (compared.left_only or compared.right_only or compared.diff_files)
        assert {"report.json", "report.html", "tuning_curves.svg"} <= set(compared.same_files)
