"""Update rules for binary weights, as torch optimizers for any module."""

from tuner.optim.flip import Bop, FilterFlip
from tuner.optim.latent import LatentAdam, LatentAdamW, LatentSGD
from tuner.optim.schedules import Schedule

__all__ = ["Bop", "FilterFlip", "LatentAdam", "LatentAdamW", "LatentSGD", "Schedule"]
