"""What is said of the machine in use."""

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from tuner import machine
from tuner.machine import cores, gpus

ARM = """processor\t: 0
Features\t: fp asimd bf16
"""
X86 = """processor\t: 0
model name\t: A Processor @ 3 GHz
flags\t\t: fpu avx2 avx512_bf16
processor\t: 1
model name\t: A Processor @ 3 GHz
flags\t\t: fpu avx2 avx512_bf16
"""


@pytest.fixture
def cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Has the system say a text of its processors."""

    def say(text: str) -> None:
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
        machine._cpuinfo.cache_clear()

    yield say
    machine._cpuinfo.cache_clear()


def test_a_processor_is_called_as_the_system_calls_it(cpuinfo):
    cpuinfo(X86)
    assert machine.processor() == "A Processor @ 3 GHz"
    assert machine.instruction_sets() == {"fpu", "avx2", "avx512_bf16"}
    assert machine.instruction_line() == "flags\t\t: fpu avx2 avx512_bf16"


def test_a_processor_without_a_name_or_lines_is_no_error(cpuinfo):
    cpuinfo(ARM)
    assert machine.processor()
    assert "bf16" in machine.instruction_sets()
    cpuinfo("")
    assert machine.instruction_line() == ""
    assert machine.instruction_sets() == frozenset()


def test_versions_are_those_of_installed_packages_alone():
    assert machine.versions("numpy", "no-such-package") == {"numpy": version("numpy")}


@pytest.mark.parametrize(
    ("visible", "found"), [("", []), ("-1", []), ("0,2", ["0", "2"]), ("GPU-ab", ["GPU-ab"])]
)
def test_gpus_are_those_that_cuda_may_see(
    monkeypatch: pytest.MonkeyPatch, visible: str, found: list[str]
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == found


def test_there_is_a_worker_for_each_core_this_process_may_use():
    assert 1 <= cores() <= len(os.sched_getaffinity(0))
