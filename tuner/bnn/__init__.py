"""What is trained: layers with a trial axis, networks, data sets; any network made binary.

What users take from here is imported when it is asked for, since this room is wide.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.bnn.binarizing import binarize, usually_real
    from tuner.bnn.checking import check
    from tuner.bnn.data.streamed import streamed
    from tuner.bnn.layers import binary_parameters, real_parameters
    from tuner.bnn.normsign import sign_ste
    from tuner.bnn.own_network import binary

__all__ = [
    "binarize",
    "binary",
    "binary_parameters",
    "check",
    "real_parameters",
    "sign_ste",
    "streamed",
    "usually_real",
]

_HOMES = {
    "binarize": "binarizing",
    "binary": "own_network",
    "binary_parameters": "layers",
    "check": "checking",
    "real_parameters": "layers",
    "sign_ste": "normsign",
    "streamed": "data.streamed",
    "usually_real": "binarizing",
}


def __getattr__(name: str) -> Any:  # Any: as the language has it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
