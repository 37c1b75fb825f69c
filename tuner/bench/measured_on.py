"""What the results were measured on, and what else ran there meanwhile."""

import os
import platform
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.bench.child import Child, Job, Slice
from tuner.kernels import find_compiler, library
from tuner.machine import cores, instruction_sets, microarchitecture, processor, versions

FLAGS = (
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_vpopcntdq",
    "avx_vnni",
    "amx_bf16",
    "amx_int8",
)

CLEAN = 0.05
"""Where others took more than this share of the machine's processors, no result is clean."""

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
PACKAGES = ("bnn-tuner", "torch", "optuna")


@dataclass(frozen=True)
class Machine:
    """Processor and software.

    Args:
        processor: The processor's name.
        microarchitecture: Its design, such as ``Zen 4``.
        cores: Cores that this process may use.
        flags: Instruction sets of interest -> whether the processor has them.
        versions: Package -> version, Python's too.
        compiler: The C++ compiler's version, None if there is none.
        kernels_seconds: How long the compiled operations took to compile, once per machine;
            None if they could not be had.
    """

    processor: str
    microarchitecture: str
    cores: int
    flags: dict[str, bool]
    versions: dict[str, str]
    compiler: str | None
    kernels_seconds: float | None

    @property
    def has_amx(self) -> bool:
        """Whether the processor multiplies matrices in hardware (Intel's AMX)."""
        return self.flags["amx_bf16"] or self.flags["amx_int8"]


class Compile(Job):
    """Compile the kernels into the cache folder, which is empty."""

    def run(self, number: int) -> Slice:  # noqa: ARG002  # there is one slice
        """See ``Job``; ``work`` is 1 if they were compiled, else 0."""
        start = time.perf_counter()
        there = library() is not None
        return Slice(float(there), time.perf_counter() - start)


def this_machine(folder: Path) -> Machine:
    """The machine in use; compiles the kernels into ``folder`` to see how long that takes.

    Args:
        folder: An empty cache folder, for all processes of this run.
    """
    with closing(Child("the compiler", Compile(), {"TUNER_CACHE_DIR": str(folder)})) as child:
        child.tell("run")
        compiled = child.answer()
    has = instruction_sets()
    return Machine(
        processor=processor(),
        microarchitecture=microarchitecture(),
        cores=cores(),
        flags={flag: flag in has for flag in FLAGS},
        versions={"python": platform.python_version(), **versions(*PACKAGES)},
        compiler=_compiler(),
        kernels_seconds=compiled.seconds if compiled is not None and compiled.work else None,
    )


def _compiler() -> str | None:
    """What the C++ compiler says its version is."""
    with suppress(OSError, ValueError, subprocess.SubprocessError):
        _, said = find_compiler()
        return said.splitlines()[0]
    return None


def load_of_others() -> Callable[[], float | None]:
    """Begin to watch what others do; call the result for their share of the processors since.

    Others are all processes but this one and those that descend from it, and other machines on the
    same processor, in [0, 1]; None where the system does not say. The processes to leave out must
    live until the end.
    """
    began, (busy, total) = _seconds_of_ours(), _processor_seconds()

    def ended() -> float | None:
        busy_now, total_now = _processor_seconds()
        ours = _seconds_of_ours()
        if total_now <= total:
            return None
        spent = sum(seconds - began.get(pid, 0.0) for pid, seconds in ours.items())
        return min(1.0, max(0.0, (busy_now - busy - spent) / (total_now - total)))

    return ended


def _processor_seconds() -> tuple[float, float]:
    """Seconds that all processors together were busy, and all that they had; 0 if unsaid."""
    try:
        first = (_PROC / "stat").read_text().splitlines()[0].split()
    except (OSError, IndexError):
        return 0.0, 0.0
    user, nice, system, idle, waiting, *rest = (int(part) / _TICKS for part in first[1:9])
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + waiting


def _seconds_of_ours() -> dict[int, float]:
    """Process id -> processor seconds, of this process and all that descend from it."""
    parents, seconds = {}, {}
    for place in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            fields = place.read_text(errors="replace").rpartition(")")[2].split()
            pid = int(place.parent.name)
            parents[pid] = int(fields[1])
            seconds[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return {pid: seconds[pid] for pid in ours if pid in seconds}
