"""Which code runs here: what has to be the same wherever trials of one fleet are run."""

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import tuner
from tuner import __version__
from tuner.machine import versions

_SOURCES = ("*.py", "*.cpp", "*.h")
_NOT_TRAINING = ("api", "cli")


def code_here() -> dict[str, str]:
    """Python, this software with the hash of its source, and the libraries that decide results.

    Local builds of a library (``2.14.1+cpu``, ``2.14.1+cu130``) count as the same version.
    """
    libraries = {
        name: version.partition("+")[0]
        for name, version in versions("torch", "optuna", "ray").items()
    }
    python = ".".join(platform.python_version_tuple()[:2])
    return {"bnn-tuner": __version__, "source": source_hash(), "Python": python, **libraries}


@cache
def source_hash() -> str:
    """Twelve digits that are others as soon as a source file of this package is.

    Server and command line are left out: they train nothing.
    """
    root = Path(tuner.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(path for kind in _SOURCES for path in root.rglob(kind)):
        place = path.relative_to(root)
        if place.parts[0] not in _NOT_TRAINING:
            digest.update(place.as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def differing(wanted: Mapping[str, str], there: Mapping[str, str]) -> str:
    """What is another there than is wanted, in words; empty if nothing is."""
    return "; ".join(
        f"{name} is {there.get(name, 'missing')} there, {wanted.get(name, 'missing')} here"
        for name in sorted(wanted.keys() | there.keys())
        if wanted.get(name) != there.get(name)
    )
