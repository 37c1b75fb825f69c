"""Networks and data of the user's own, as the command meets them."""

import sys
from collections.abc import Iterator

import pytest

from tests.cli.commands import SPEC, refused, tuner, write

CODE = """
import torch
from torch import nn
from tuner.bnn import binary

def make(shape, n_classes):
    return nn.Sequential(nn.Flatten(), binary(nn.Linear(64, n_classes, bias=False)))

def broken(shape, n_classes):
    width = shape[9]
"""


@pytest.fixture(autouse=True)
def mine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("TUNER_WORKLOADS", "cli_nets")
    write(CODE, "cli_nets.py")
    yield
    sys.modules.pop("cli_nets", None)


def spec(model: str) -> str:
    return write(SPEC.replace("widths = [16, 16]\nbinary_ends = true", f'model = "{model}"'))


@pytest.mark.slow
def test_what_raises_before_anything_is_trained_is_shown_with_the_users_traceback():
    done = tuner("run", spec("cli_nets:broken"))
    assert done.exit_code == 2
    line, *traceback = done.stderr.splitlines()
    assert line.startswith("tuner: workload.model: cli_nets:broken raised IndexError: tuple index")
    assert line.endswith("/cli_nets.py, line 10)")
    assert traceback[0] == "Traceback:" and "width = shape[9]" in "".join(traceback)


def test_a_module_that_is_not_allowed_is_refused_with_how_to_allow_it(monkeypatch):
    monkeypatch.setenv("TUNER_WORKLOADS", "")
    assert "TUNER_WORKLOADS=cli_nets" in refused("run", spec("cli_nets:make"))


@pytest.mark.slow
def test_one_setting_of_a_network_of_ones_own_is_trained_by_tuner_train():
    done = tuner("train", spec("cli_nets:make"), "--set", "alpha=1e-2", "--seeds", "2")
    assert done.exit_code == 0, done.output
    assert "over 2 seeds" in done.output
