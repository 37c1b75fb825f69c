"""The list of commands: complete, in agreement with the commands, and cheap to print."""

import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from tests.cli.commands import tuner
from tuner import __version__
from tuner.cli.app import COMMANDS
from tuner.cli.deferred import Deferred

HEAVY = {
    *("matplotlib", "sklearn", "scipy", "numpy", "pandas"),
    *("torch", "optuna", "alembic", "sqlalchemy", "fastapi", "pydantic"),
}
IMPORTED = """
import sys
from tuner.cli import main
sys.argv = ["tuner", *sys.argv[1:]]
try:
    main()
finally:
    print("imported:", *{name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize("place", COMMANDS)
def test_the_list_says_of_a_command_what_its_own_help_says_first(place):
    listed = Deferred(place, COMMANDS[place])
    command = listed.load()
    assert listed.help == command.help.partition("\n\n")[0]
    assert place.endswith(f":{listed.name}")
    shown = tuner(listed.name, "--help").output
    assert f"Usage: tuner {listed.name} " in shown
    assert shown.count("--help") == 1 and "--install-completion" not in shown


def test_every_command_is_listed_with_its_help():
    said = tuner("--help").output
    lines = [line.strip("│ ") for line in said.partition("Commands")[2].splitlines()]
    words = " ".join(" ".join(lines).split())
    place = 0
    for where, help in COMMANDS.items():
        place = words.index(f"{where.partition(':')[2]} {help}", place)


@pytest.mark.parametrize("arguments", [["--help"], [], ["--version"], ["translat"]])
def test_what_only_lists_imports_nothing_that_computes(arguments):
    code = [sys.executable, "-c", IMPORTED, *arguments]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    imported = done.stdout.partition("imported:")[2].split()
    assert "typer" in imported, done.stderr
    assert HEAVY.isdisjoint(imported)


@pytest.mark.slow
def test_no_command_draws_or_trains_before_it_is_asked_to_and_no_server_does():
    code = [
        "import sys",
        "from tuner.cli.app import COMMANDS",
        "from tuner.cli.deferred import Deferred",
        "for place in COMMANDS: Deferred(place, '').load()",
        "print(*sys.modules)",
        "import tuner.api.app",
        "print(*sys.modules)",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True, check=True
    )
    commands, server = (set(line.split()) for line in done.stdout.splitlines())
    assert "optuna" in commands and "fastapi" in server
    assert "fastapi" not in commands
    heavy = {"matplotlib", "sklearn", "torch", "pandas", "scipy.stats", "scipy.optimize", "boto3"}
    assert heavy.isdisjoint(server)


def test_a_command_that_does_not_exist_is_refused_with_the_nearest_that_does():
    refused = tuner("comparr")
    assert refused.exit_code == 2
    assert "No such command 'comparr'. Did you mean 'compare'?" in refused.output


def test_the_version_names_what_the_results_depend_on():
    code = [sys.executable, "-m", "tuner", "--version"]
    said = subprocess.run(code, capture_output=True, text=True, check=True).stdout
    beside = f"Python {platform.python_version()}, torch {version('torch')}"
    assert said == f"bnn-tuner {__version__} ({beside}, Optuna {version('optuna')})\n"
    assert tuner("--version").output == said
