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


@pytest.mark.parametrize(
    ("vendor", "family", "model", "name"),
    [
        ("AuthenticAMD", 25, 0x11, "Zen 4"),
        ("AuthenticAMD", 25, 0x01, "Zen 3"),
        ("AuthenticAMD", 26, 0x02, "Zen 5"),
        ("GenuineIntel", 6, 143, "Sapphire Rapids"),
        ("GenuineIntel", 6, 9999, "GenuineIntel family 6 model 9999"),
    ],
)
def test_the_design_is_known_by_its_numbers_where_the_name_says_nothing(
    cpuinfo, vendor: str, family: int, model: int, name: str
):
    numbers = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
    cpuinfo(f"processor\t: 0\n{numbers}model name\t: AMD EPYC\n")
    assert machine.microarchitecture() == name


def test_where_the_system_names_no_design_the_maker_is_named(cpuinfo):
    cpuinfo("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n")
    assert machine.microarchitecture() == "0x41 0xd40"


def test_a_virtual_machine_that_gives_a_wrong_number_is_not_believed(cpuinfo):
    numbers = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 167\n"
    cpuinfo(f"{numbers}flags\t\t: avx2\n")
    assert machine.microarchitecture() == "Rocket Lake"
    cpuinfo(f"{numbers}flags\t\t: avx2 amx_bf16\n")
    assert machine.microarchitecture() == "Sapphire Rapids or later"


def test_free_memory_is_what_system_and_control_group_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(machine, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    assert machine.free_memory() == 5000 * 1024
    (tmp_path / "memory.current").write_text("3000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 500\n")
    for most, free in (("max", 5000 * 1024), ("4000", 1500), ("2000", 0)):
        (tmp_path / "memory.max").write_text(f"{most}\n")
        assert machine.free_memory() == free
