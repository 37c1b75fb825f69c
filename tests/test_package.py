"""What ``pip install .`` installs is complete without the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_wheel_alone_gives_a_working_command_with_the_declared_studies(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    script = f"""
import sys
sys.path[:0] = [{str(site)!r}]
import tuner
assert tuner.__file__.startswith({str(site)!r}), tuner.__file__
from tuner.cli import main
sys.argv = ["tuner", *sys.argv[1:]]
main()
"""

    def tuner(*arguments: str) -> str:
        environment = {**os.environ, "TUNER_DATABASE_URL": f"sqlite:///{tmp_path}/t.db"}
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    kernels = ROOT / "tuner" / "kernels"
    sources = {path.name for path in kernels.iterdir() if path.suffix in (".cpp", ".h")}
    assert "kernels.cpp" in sources
    assert sources <= {path.name for path in (site / "tuner" / "kernels").iterdir()}
    baseline = "from tuner.bench.plain import plain; print(plain().__file__)"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(site)!r}]; {baseline}"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.strip()
    assert Path(found).is_relative_to(site)

    declared = {path.stem for path in (ROOT / "studies").glob("*.toml")}
    assert set(json.loads(tuner("workloads", "--json"))["declared"]) == declared
    spaces = {path.stem for path in (ROOT / "studies" / "spaces").glob("*.toml")}
    assert set(json.loads(tuner("spaces", "--json"))) == spaces
    spec = tmp_path / "mine.toml"
    spec.write_text(
        "n_trials = 3\nretrain_seeds = 1\n[workload]\nepochs = 1\nn_train = 64\n"
        '[[arms]]\nname = "a"\nspace = "filter"\n[[arms]]\nname = "b"\nspace = "bop"\n'
    )
    html = tmp_path / "report.html"
    tuner("run", str(spec), "--html", str(html), "--workers", "1")  # templates and migrations
    assert "<svg" in html.read_text()
