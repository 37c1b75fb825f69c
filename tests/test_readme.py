"""Every command and snippet of the README is run, in the order in which a reader meets it."""

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
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


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError), urllib.request.urlopen(url) as answer:
            assert answer.status == 200
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def server():
    """What the README starts in the background, until its last command has run."""
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.terminate()
        assert process.wait(90) == 0


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for c in commands() if c not in BY_MAKE])
def test_a_command_of_the_readme_runs(command, folder, server):
    program, *arguments = shlex.split(command)
    if program == "tuner":
        arguments = [sys.executable, "-m", "tuner", *arguments]
    else:
        assert program == "curl"
        arguments = ["curl", "--fail-with-body", *arguments]
    environment = {n: v for n, v in os.environ.items() if n != "TUNER_DATABASE_URL"}
    if command.startswith("tuner serve"):
        server.append(subprocess.Popen(arguments, cwd=folder, env=environment))
        wait_for("http://127.0.0.1:8000/v1/readiness")
        return
    done = subprocess.run(
        arguments, cwd=folder, env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() or "-o" in arguments or "export" in arguments
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
