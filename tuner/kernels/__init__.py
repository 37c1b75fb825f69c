"""The few operations that torch takes many passes for, as one small C++ library.

It is compiled at first use where there is a C++ compiler, kept in the cache folder, and called
through ctypes. Where there is none, callers take their twin in torch: slower, the same results up
to rounding. ``TUNER_KERNELS=off`` leaves the library out.
"""

import ctypes
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from tuner import config

_FOLDER = Path(__file__).parent
_FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
_FOR_THIS_PROCESSOR = ("-march=native", "-Wno-psabi")
_SECONDS = 120
_log = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled operations, or None where they cannot be had; then one line says why."""
    if os.environ.get("TUNER_KERNELS", "").lower() in ("off", "0", "false"):
        return None
    try:
        return ctypes.CDLL(str(_built()))
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).splitlines()
        reason = next((line for line in said if "error" in line), said[0] if said else "")
        _log.warning(
            "no compiled operations, training takes about twice as long: %s "
            "(a C++ compiler, g++ or clang++, on the PATH or in $CXX gives them)",
            reason,
        )
        os.environ["TUNER_KERNELS"] = "off"  # processes started from here need not say it again
        return None


def usable(*tensors: Tensor | None) -> bool:
    """Whether the library is there and these lie in the memory it can reach, a CPU's."""
    return all(t is None or t.device.type == "cpu" for t in tensors) and library() is not None


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """A tensor's memory as the library takes it; a null pointer for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def call(name: str, *arguments: Tensor | int | float | None) -> None:
    """Call an operation: tensors as pointers, int as int64_t, bool as int, float as float."""
    loaded = library()
    assert loaded is not None
    getattr(loaded, name)(*map(_as_c, arguments))


def suffix(dtype: torch.dtype) -> str | None:
    """How the operations on activations of this type end; None if there are none."""
    return {torch.float32: "f32", torch.bfloat16: "bf16"}.get(dtype)


def _as_c(value: Tensor | int | float | None) -> object:
    match value:
        case bool():
            return ctypes.c_int(value)
        case int():
            return ctypes.c_int64(value)
        case float():
            return ctypes.c_float(value)
    return pointer(value)


def find_compiler() -> tuple[str, str]:
    """The C++ compiler, and what it says its version is.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be started.
        subprocess.SubprocessError: If it fails.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise FileNotFoundError("no C++ compiler found")
    said = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, check=True, timeout=_SECONDS
    )
    return compiler, said.stdout


def _built() -> Path:
    """The library's file, compiled unless the same source was compiled here before."""
    compiler, version = find_compiler()
    sources = [p for p in sorted(_FOLDER.iterdir()) if p.suffix in (".cpp", ".h")]
    texts = [source.read_text(encoding="utf-8") for source in sources]
    made_of = (*texts, version, processor(), *_FLAGS)
    name = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:20]
    folder = config.cache_dir()
    target = folder / f"kernels-{name}.so"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch, target.name)
            source = str(_FOLDER / "kernels.cpp")
            command = [compiler, *_FLAGS, *_FOR_THIS_PROCESSOR, "-o", str(made), source]
            subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS)
            made.replace(target)  # at once, so that no other process loads half a file
    return target


def processor() -> str:
    """What -march=native depends on; a cache folder may be shared by several machines."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return ""
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")
