"""The machine in use: its processor, the cores and GPUs that a process may use, its software."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
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
