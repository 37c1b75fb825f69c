"""The page on clusters: its commands need a cluster, so what they say is read and not run."""

import re
import shlex

import pytest

from tests.cli.commands import tuner
from tests.documents import ROOT

PAGE = ROOT / "docs" / "clusters.md"
COMMANDS = [
    line.partition("  #")[0].strip()
    for line in re.findall(r"^    (tuner .+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_has_the_options_that_it_names(command: str):
    done = tuner(*shlex.split(command)[1:], "--help")
    assert done.exit_code == 0, done.output


def test_every_option_of_a_fleet_is_described():
    text = PAGE.read_text(encoding="utf-8")
    assert {"fleet up", "fleet status", "fleet scale", "fleet down"} <= {
        " ".join(command.split()[1:3]) for command in COMMANDS
    }
    for option in re.findall(r"(--[a-z][a-z-]+)", tuner("fleet", "up", "--help").output):
        if option != "--help":
            assert option in text, option
