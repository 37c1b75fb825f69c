"""Every command and snippet of the README is run, in the order in which a reader meets it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tuner.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BY_MAKE = ("make demo", "make test")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [
        line.partition(" #")[0].strip() for block in blocks("sh") for line in block.split("\n")
    ]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A reader's working directory, with the study that the README has them save."""
    folder = tmp_path_factory.mktemp("reader")
    (study,) = blocks("toml")
    (folder / "mine.toml").write_text(study, encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if c not in BY_MAKE])
def test_a_command_of_the_readme_runs(command, folder):
    program, *arguments = shlex.split(command)
    assert program == "tuner"
    environment = {n: v for n, v in os.environ.items() if n != "TUNER_DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "tuner.cli", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    for written in re.findall(r"--(?:html|json|picture) (\S+)", command):
        assert (folder / written).stat().st_size > 1000


def test_the_two_commands_of_the_first_screen_are_run_by_ci():
    assert [c for c in commands() if c in BY_MAKE] == list(BY_MAKE)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").split("\n")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for command in BY_MAKE:
        assert command in ci
        assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)


def test_the_python_of_the_readme_trains_a_network():
    (snippet,) = blocks("python")
    names: dict[str, object] = {}
    exec(compile(snippet, "README.md", "exec"), names)
    binary, loss = names["binary"], names["loss"]
    assert set(binary[0].unique().tolist()) == {-1.0, 1.0}
    assert loss.item() < 0.4


def test_the_translation_that_the_readme_names_is_the_one_printed():
    command = next(c for c in commands() if "--learning-rate" in c)
    shown = CliRunner().invoke(app, shlex.split(command)[1:]).output
    ((alpha, gamma),) = re.findall(r"alpha (\S+), gamma (\S+),", README)
    assert re.search(rf"alpha\s+{re.escape(alpha)}", shown)
    assert re.search(rf"gamma\s+{re.escape(gamma)}", shown)


def test_the_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
