"""What ``pip install .`` installs is complete without the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

INSTALLED = """
import json, sys
site, commands = json.loads(sys.argv[1])
sys.path.insert(0, site)
import tuner
from tuner.bench.plain import plain
from tuner.cli import main

for module in (tuner, plain()):
    assert module.__file__.startswith(site), module.__file__
for command in commands:
    sys.argv = ["tuner", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
    print("end of", command[0])
"""


@pytest.mark.slow
def test_the_wheel_alone_gives_a_working_command_with_the_declared_studies(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    kernels = ROOT / "tuner" / "kernels"
    sources = {path.name for path in kernels.iterdir() if path.suffix in (".cpp", ".h")}
    assert "kernels.cpp" in sources
    assert sources <= {path.name for path in (site / "tuner" / "kernels").iterdir()}

    spec = tmp_path / "mine.toml"
    spec.write_text(
        "n_trials = 3\nretrain_seeds = 1\n[workload]\nepochs = 1\nn_train = 64\n"
        '[[arms]]\nname = "a"\nspace = "filter"\n[[arms]]\nname = "b"\nspace = "bop"\n'
    )
    html = tmp_path / "report.html"
    commands = [
        ["workloads", "--json"],
        ["spaces", "--json"],
        ["run", str(spec), "--html", str(html), "--workers", "1"],  # templates and migrations
    ]
    done = subprocess.run(
        [sys.executable, "-c", INSTALLED, json.dumps([str(site), commands])],
        cwd=tmp_path,
        env={**os.environ, "TUNER_DATABASE_URL": f"sqlite:///{tmp_path}/t.db"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    workloads, _, rest = done.stdout.partition("end of workloads\n")
    spaces, _, _ = rest.partition("end of spaces\n")
    declared = {path.stem for path in (ROOT / "studies").glob("*.toml")}
    assert set(json.loads(workloads)["declared"]) == declared
    assert set(json.loads(spaces)) == {path.stem for path in ROOT.glob("studies/spaces/*.toml")}
    assert "<svg" in html.read_text()
