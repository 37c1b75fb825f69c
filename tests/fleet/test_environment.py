"""Runtime environments that Ray would ignore, or fail of on every node."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import tuner
from tuner.fleet.environment import check_environment, modules_of, not_importable

pytestmark = pytest.mark.usefixtures("ray")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"py_module": ["mine"]}', "Ray has no field 'py_module'; choose from conda, "),
        ('{"py_modules": ["./mine"]}', "py_modules: there is no './mine' here ("),
        ('{"working_dir": "nowhere"}', "working_dir: there is no 'nowhere' here ("),
        ('{"py_modules": "mine"}', "`py_modules` must be a list of strings"),
        ('{"env_vars": {"MINE": 1}}', "env_vars: MINE must be text in quotes, got 1"),
        ('{"env_vars": ["MINE"]}', "env_vars must be an object of names and texts, got ['MINE']"),
        ('{"pip": ["a"], "uv": ["a"]}', "cannot be specified at the same time"),
        ('{"pip": "requirements.txt"}', "requirements.txt is not a valid file"),
    ],
)
def test_it_is_refused_before_a_cluster_is_asked(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = tuner("fleet", "up", "--workers", 1, "--runtime-env-json", given)
    words = " ".join(done.stderr.split())
    assert done.exit_code == 2 and "runtime environment: " in words and said in words


def test_a_path_is_taken_from_where_the_command_runs(tmp_path: Path, monkeypatch: Any):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    check_environment(
        {
            "py_modules": ["./mine", "s3://bucket/theirs.zip"],
            "working_dir": ".",
            "env_vars": {"TUNER_WORKLOADS": "mine, theirs"},
            "config": {"setup_timeout_seconds": 5},
        }
    )


def test_modules_that_it_allows_are_imported(tmp_path: Path, monkeypatch: Any):
    assert modules_of({"env_vars": {"TUNER_WORKLOADS": "mine, theirs"}}) == ["mine", "theirs"]
    assert modules_of({}) == modules_of({"env_vars": {"A": "b"}}) == []
    (tmp_path / "breaks_at_import.py").write_text("raise RuntimeError('not\\nhere')")
    monkeypatch.syspath_prepend(tmp_path)
    assert not_importable(["json"]) == ""
    assert not_importable(["json", "breaks_at_import"]) == (
        "breaks_at_import: RuntimeError: not here"
    )
    assert "breaks_at_import" not in sys.modules
