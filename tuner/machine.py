"""The machine in use: its processor, the cores and GPUs that a process may use, its software."""

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_GROUP = Path("/sys/fs/cgroup")
_QUOTA = _GROUP / "cpu.max"
_MEMORY = Path("/proc/meminfo")
_NVIDIA = Path("/proc/driver/nvidia/gpus")


@cache
def _cpuinfo() -> tuple[str, ...]:
    """The lines of what the system says of its processors; none where it says nothing."""
    if not _CPUINFO.exists():
        return ()
    return tuple(_CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines())


def processor() -> str:
    """The processor's name, as the system gives it."""
    lines = (line for line in _cpuinfo() if line.startswith("model name"))
    name = next(lines, "").partition(":")[2].strip()
    return name or platform.processor() or "unknown"


_MICROARCHITECTURES: Mapping[tuple[str, int], Sequence[tuple[str, Collection[int]]]] = {
    ("AuthenticAMD", 23): (
        ("Zen 2", {0x31, 0x47, *range(0x60, 0x80), *range(0x90, 0xB0)}),
        ("Zen", range(0x100)),
    ),
    ("AuthenticAMD", 25): (
        ("Zen 4", {*range(0x10, 0x20), *range(0x60, 0x80), *range(0xA0, 0xB0)}),
        ("Zen 3", range(0x100)),
    ),
    ("AuthenticAMD", 26): (("Zen 5", range(0x80)),),
    ("GenuineIntel", 6): (
        ("Haswell", {60, 63, 69, 70}),
        ("Broadwell", {61, 71, 79, 86}),
        ("Skylake", {78, 94, 142, 158, 165, 166}),
        ("Skylake-SP, Cascade Lake or Cooper Lake", {85}),
        ("Ice Lake", {106, 108, 125, 126}),
        ("Tiger Lake", {140, 141}),
        ("Rocket Lake", {167}),
        ("Alder Lake", {151, 154}),
        ("Raptor Lake", {183, 186, 191}),
        ("Sapphire Rapids", {143}),
        ("Emerald Rapids", {207}),
        ("Granite Rapids", {173, 174}),
        ("Meteor Lake", {170, 172}),
        ("Arrow Lake", {197, 198}),
    ),
}
"""Vendor and family -> the designs of that family by their model numbers, the first that fits."""

_WITH_AMX = ("Sapphire Rapids", "Emerald Rapids", "Granite Rapids")


def microarchitecture() -> str:
    """The processor's design (``Zen 4``), which decides its speed; vendor and numbers if unknown.

    Virtual machines often hide the processor's name, and two designs of one name and the same
    instruction sets may differ by a factor of two. They may give a wrong number too: what has AMX
    is none of the designs without.
    """
    said = dict(line.split(":", 1) for line in reversed(_cpuinfo()) if ":" in line)
    known = {name.strip(): value.strip() for name, value in said.items()}
    vendor = known.get("vendor_id", known.get("CPU implementer", platform.machine()))
    numbers = [known.get(name, "") for name in ("cpu family", "model")]
    if not all(number.isdigit() for number in numbers):
        return " ".join((vendor, known.get("CPU part", ""))).strip()
    family, model = map(int, numbers)
    for name, models in _MICROARCHITECTURES.get((vendor, family), ()):
        if model in models:
            amx = "amx_bf16" in instruction_sets() and name not in _WITH_AMX
            return f"{_WITH_AMX[0]} or later" if amx else name
    return f"{vendor} family {family} model {model}"


def instruction_sets() -> frozenset[str]:
    """The instruction sets that the processor has, as the system names them (``avx2``)."""
    return frozenset(instruction_line().partition(":")[2].split())


def instruction_line() -> str:
    """The system's line of instruction sets: what a program built for this processor hangs on."""
    lines = (line for line in _cpuinfo() if line.startswith(("flags", "Features")))
    return next(lines, "")


def cores() -> int:
    """The CPU cores this process may use, by its affinity and its control group's quota."""
    affinity = len(os.sched_getaffinity(0))
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(affinity, int(quota) // int(period)))
    except (OSError, ValueError):  # no control group, or no quota ("max")
        return affinity


def free_memory() -> int:
    """Bytes that processes may still take, by the system and the control group's limit."""
    said = dict(line.split(":", 1) for line in _MEMORY.read_text().splitlines())
    free = int(said["MemAvailable"].split()[0]) * 1024
    try:
        most, used = (int((_GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        parts = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
        return max(0, min(free, most - used + int(parts["inactive_file"])))
    except (OSError, ValueError, KeyError):  # no control group, or no limit ("max")
        return free


def gpus() -> list[str]:
    """The NVIDIA GPUs that a child process may use, as CUDA_VISIBLE_DEVICES names them."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [name for name in chosen.split(",") if name.strip() not in ("", "-1")]
    return [str(place) for place, _ in enumerate(_NVIDIA.iterdir())] if _NVIDIA.is_dir() else []


def versions(*packages: str) -> dict[str, str]:
    """Package -> version, of those that are installed."""
    known = {}
    for package in packages:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known
