"""Trained networks taken home as files, with a card, and how good those are."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.export.evaluating import evaluate
    from tuner.export.python import load, write

__all__ = ["evaluate", "load", "write"]

_HOMES = {"evaluate": "evaluating", "load": "python", "write": "python"}


def __getattr__(name: str) -> Any:  # Any: as the language has it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
