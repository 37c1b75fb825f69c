"""Commands that are named to be typed are named as they can be typed here."""

import sys
from pathlib import Path

import pytest

from tuner.cli.present import as_typed

LINE = "more: tuner compare digits; this tuner is paused; or with: tuner resume x"


def started(monkeypatch: pytest.MonkeyPatch, program: str, path: Path) -> None:
    monkeypatch.setattr(sys, "argv", [program, "demo"])
    monkeypatch.setenv("PATH", str(path))


@pytest.fixture
def tuner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program in an environment, here."""
    monkeypatch.chdir(tmp_path)
    program = tmp_path / ".venv" / "bin" / "tuner"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return program


def test_a_program_that_the_shell_finds_is_named_alone(tuner, monkeypatch, tmp_path):
    started(monkeypatch, str(tuner), tuner.parent)
    assert as_typed(LINE) == LINE
    started(monkeypatch, "/usr/bin/pytest", tmp_path)
    assert as_typed(LINE) == LINE


@pytest.mark.usefixtures("tuner")
def test_one_that_it_does_not_find_is_named_by_its_path(monkeypatch, tmp_path):
    started(monkeypatch, ".venv/bin/tuner", tmp_path)
    assert as_typed(LINE) == (
        "more: .venv/bin/tuner compare digits; this tuner is paused; or with: .venv/bin/tuner "
        "resume x"
    )
    assert as_typed("tuner compare a b") == ".venv/bin/tuner compare a b"
    started(monkeypatch, "/x/tuner/__main__.py", Path(sys.executable).parent)
    assert as_typed("tuner compare a b").endswith(" -m tuner compare a b")
