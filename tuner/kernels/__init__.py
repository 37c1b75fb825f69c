"""The few operations that torch takes many passes for, as one small C++ library.

It is compiled at first use where there is a C++ compiler, kept in the cache folder, and called
through ctypes. Where there is none, callers take their twin in torch: slower, the same results up
to rounding. ``TUNER_KERNELS=off`` leaves the library out.
"""

import ctypes
import hashlib
import logging
import os
import shlex
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from tuner import config
from tuner.machine import instruction_line

Argument: TypeAlias = "Tensor | array[int] | int | float | None"
"""What an operation takes."""

_FOLDER = Path(__file__).parent
_FLAGS = ("-O3", "-std=c++17", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
_FOR_THIS_PROCESSOR = ("-march=native", "-Wno-psabi")
_SECONDS = 300
_DIGEST = hashlib.sha256().digest_size
_log = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled operations, or None where they cannot be had; then one line says why."""
    if switched_off():
        return None
    try:
        return _load(_target())
    except (OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        _log.warning("no compiled operations, training takes about twice as long: %s", _why(error))
        os.environ["TUNER_KERNELS"] = "off"  # processes started from here need not say it again
        return None


def switched_off() -> bool:
    """Whether the compiled operations are left out."""
    return os.environ.get("TUNER_KERNELS", "").lower() in ("off", "0", "false")


def compiled() -> Path | None:
    """The file of the compiled operations; None as long as it is yet to be compiled.

    Raises:
        OSError: If there is no compiler to ask, or it cannot be started.
        ValueError: If $CXX is not a command.
        subprocess.SubprocessError: If the compiler fails.
    """
    target = _target()
    return target if target.exists() and _whole(target) else None


def identity() -> str:
    """What tells the library from those of other sources, compilers and processors.

    Raises:
        OSError: As ``compiled`` does.
        ValueError: As ``compiled`` does.
        subprocess.SubprocessError: As ``compiled`` does.
    """
    return _target().name


def usable(*tensors: Tensor | None) -> bool:
    """Whether the library is there and these lie in the memory it can reach, a CPU's."""
    return all(t is None or t.device.type == "cpu" for t in tensors) and library() is not None


def pointer(tensor: Tensor | None) -> ctypes.c_void_p:
    """A tensor's memory as the library takes it; a null pointer for None."""
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


def call(name: str, *arguments: Argument) -> None:
    """Call an operation.

    Tensors and arrays go as pointers, int as int64_t, bool as int, float as float.
    """
    loaded = library()
    assert loaded is not None
    getattr(loaded, name)(*map(_as_c, arguments))


def holds(name: str, *arguments: Tensor | int | float | None) -> bool:
    """Call an operation that answers yes or no; see ``call``."""
    loaded = library()
    assert loaded is not None
    return bool(getattr(loaded, name)(*map(_as_c, arguments)))


def mask_bytes(groups: int, rows: int, channels: int) -> int:
    """The size of the mask that batch norm with sign keeps: a bit for each number."""
    loaded = library()
    assert loaded is not None
    return int(loaded.tuner_mask_bytes(ctypes.c_int64(groups * rows), ctypes.c_int64(channels)))


def suffix(dtype: torch.dtype) -> str | None:
    """How the operations on activations of this type end; None if there are none."""
    return {torch.float32: "f32", torch.bfloat16: "bf16"}.get(dtype)


def _as_c(value: Argument) -> object:
    match value:
        case array():
            return ctypes.c_void_p(value.buffer_info()[0])
        case bool():
            return ctypes.c_int(value)
        case int():
            return ctypes.c_int64(value)
        case float():
            return ctypes.c_float(value)
    return pointer(value)


def find_compiler() -> tuple[list[str], str]:
    """The command of the C++ compiler, and what it says its version is.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be started.
        ValueError: If $CXX is not a command.
        subprocess.SubprocessError: If it fails.
    """
    named = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not named:
        raise FileNotFoundError(
            "no C++ compiler found; g++ or clang++ on the PATH, or one in $CXX, gives them"
        )
    command = shlex.split(named)
    return command, _run([*command, "--version"])


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=True, timeout=_SECONDS
    )
    return done.stdout


def _why(error: Exception) -> str:
    """The first line of a compiler's words that speaks of an error, or the error's own."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
    lines = (said or str(error)).splitlines()
    return next((line for line in lines if "error" in line), lines[0] if lines else "")


def _load(target: Path) -> ctypes.CDLL:
    """The library in that file, compiled unless it is there; a damaged file is compiled again."""
    if target.exists() and _whole(target):
        with suppress(OSError):
            return ctypes.CDLL(str(target))
    command, _ = find_compiler()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made = Path(scratch, target.name)
        source = str(_FOLDER / "kernels.cpp")
        _run([*command, *_FLAGS, *_FOR_THIS_PROCESSOR, "-o", str(made), source])
        built = made.read_bytes()
        made.write_bytes(built + hashlib.sha256(built).digest())
        made.replace(target)  # at once, so that no other process loads half a file
    return ctypes.CDLL(str(target))


def _whole(target: Path) -> bool:
    """Whether the digest at the file's end is its own: to load half a library ends the process."""
    content = target.read_bytes()
    return hashlib.sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]


def _target() -> Path:
    """Where the library lies: the name says source, compiler and processor."""
    _, version = find_compiler()
    sources = [p for p in sorted(_FOLDER.iterdir()) if p.suffix in (".cpp", ".h")]
    texts = [source.read_text(encoding="utf-8") for source in sources]
    made_of = (*texts, version, instruction_line(), *_FLAGS)
    name = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:20]
    return config.cache_dir().resolve() / f"kernels-{name}.so"
