"""Update rules for binary weights, as torch optimizers for any module.

They are imported when they are asked for, since ``equivalence`` and ``decay`` need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.optim.binary import Binary
    from tuner.optim.flip import Bop, FilterFlip
    from tuner.optim.latent import LatentAdam, LatentAdamW, LatentSGD
    from tuner.optim.schedules import Schedule

__all__ = ["Binary", "Bop", "FilterFlip", "LatentAdam", "LatentAdamW", "LatentSGD", "Schedule"]

_HOME = {
    "Binary": "binary",
    "Bop": "flip",
    "FilterFlip": "flip",
    "LatentAdam": "latent",
    "LatentAdamW": "latent",
    "LatentSGD": "latent",
    "Schedule": "schedules",
}


def __getattr__(name: str) -> Any:  # Any: as the language has it
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
