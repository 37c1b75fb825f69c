"""Update rules for binary weights, as torch optimizers for any module.

They are imported when they are asked for, since ``equivalence`` and ``decay`` need no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuner.optim.binary import Binary
    from tuner.optim.designed.rule import DesignedFilter
    from tuner.optim.family.adaptive_threshold import SGDAT
    from tuner.optim.family.bayes import BayesBiNN
    from tuner.optim.family.flip_ratio import TargetFlipRatio
    from tuner.optim.family.second_order import Bop2ndOrder
    from tuner.optim.family.signed import LatentLion, LatentSignSGD
    from tuner.optim.flip import Bop, FilterFlip
    from tuner.optim.latent import LatentAdam, LatentAdamW, LatentSGD
    from tuner.optim.schedules import Schedule

__all__ = [
    "SGDAT",
    "BayesBiNN",
    "Binary",
    "Bop",
    "Bop2ndOrder",
    "DesignedFilter",
    "FilterFlip",
    "LatentAdam",
    "LatentAdamW",
    "LatentLion",
    "LatentSGD",
    "LatentSignSGD",
    "Schedule",
    "TargetFlipRatio",
]

_HOME = {
    "SGDAT": "family.adaptive_threshold",
    "BayesBiNN": "family.bayes",
    "Binary": "binary",
    "Bop": "flip",
    "Bop2ndOrder": "family.second_order",
    "DesignedFilter": "designed.rule",
    "FilterFlip": "flip",
    "LatentAdam": "latent",
    "LatentAdamW": "latent",
    "LatentLion": "family.signed",
    "LatentSGD": "latent",
    "LatentSignSGD": "family.signed",
    "Schedule": "schedules",
    "TargetFlipRatio": "family.flip_ratio",
}


def __getattr__(name: str) -> Any:  # Any: as the language has it
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
