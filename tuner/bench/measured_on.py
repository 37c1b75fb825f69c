"""What the results were measured on."""

import platform
import subprocess
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tuner.bench.child import Child, Job, Slice
from tuner.kernels import find_compiler, library
from tuner.machine import cores, instruction_sets, processor, versions

FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
PACKAGES = ("bnn-tuner", "torch", "optuna")


@dataclass(frozen=True)
class Machine:
    """Processor and software.

    Args:
        processor: The processor's name.
        cores: Cores that this process may use.
        flags: Instruction sets of interest -> whether the processor has them.
        versions: Package -> version, Python's too.
        compiler: The C++ compiler's version, None if there is none.
        kernels_seconds: How long the compiled operations took to compile, once per machine;
            None if they could not be had.
    """

    processor: str
    cores: int
    flags: dict[str, bool]
    versions: dict[str, str]
    compiler: str | None
    kernels_seconds: float | None


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
