"""The scripts of findings/ are listed, pinned and free of our code; none is run here."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "findings"
HELPER = "lib.sh"
NAMES = sorted(path.name for path in FOLDER.glob("*.sh") if path.name != HELPER)


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def rows() -> list[list[str]]:
    """The cells of each row of the README's table, without its head."""
    lines = [line for line in text("README.md").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def packages(name: str) -> list[str]:
    """What a script asks the helper to install."""
    calls = re.findall(r"^\s*venv (.+)$", text(name), re.MULTILINE)
    return [package for call in calls for package in call.split()]


def test_every_script_is_in_the_table_once_and_nothing_else_is():
    listed = [row[0] for row in rows()]
    assert listed == [f"[{name}]({name})" for name in NAMES]


def test_every_row_says_what_is_expected_and_what_happens_and_links_what_exists():
    for row in rows():
        assert len(row) == 5
        assert all(row[:4]), row
        for target in re.findall(r"\]\(([^)]+)\)", " ".join(row)):
            assert (FOLDER / target).is_file(), f"{row[0]} links {target}"


def test_the_versions_in_the_table_are_those_that_the_script_installs():
    for row, name in zip(rows(), NAMES, strict=True):
        for package in row[1].split(", "):
            assert package.replace(" ", "==") in packages(name), f"{name}: {package}"


@pytest.mark.parametrize("name", [HELPER, *NAMES])
def test_a_script_is_valid_bash(name):
    checked = subprocess.run(
        ["bash", "-n", str(FOLDER / name)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", NAMES)
def test_a_script_pins_every_package_and_installs_in_no_other_way(name):
    assert packages(name), f"{name} installs nothing"
    for package in packages(name):
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", package), f"{name}: {package}"
    assert not re.search(r"\b(pip|conda|apt-get|apt|npm) ", text(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_knows_nothing_of_this_project(name):
    imports = r"^\s*(?:from|import)\s.*\b(?:tuner|api)\b"
    assert not re.search(imports, text(name), re.MULTILINE)
    assert not re.search("bnn.tuner", text(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_script_begins_with_what_is_expected_what_is_seen_and_why_it_matters(name):
    first, *lines = text(name).splitlines()
    assert first == "#!/usr/bin/env bash"
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    for word in ("# Expected: ", "# Seen (", "# Why it matters: ", "# Source: "):
        assert sum(line.startswith(word) for line in head) == 1, f"{name}: {word}"
    assert lines[len(head)] == "set -euo pipefail"


@pytest.mark.parametrize("name", NAMES)
def test_a_script_can_say_that_the_behaviour_has_changed(name):
    assert "CHANGED: " in text(name)
    assert re.search(r"sys\.exit\(|exit 1", text(name))


def test_the_wheel_holds_no_finding():
    settings = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    taken = [*wheel["packages"], *wheel.get("force-include", {})]
    assert taken
    assert not any(path.startswith("findings") for path in taken)
