"""Filters of trials for tests."""

import math
from typing import Any

import numpy as np

from tuner.compare.trial_filters import TrialFilters

NAN = math.nan


def filters(alpha: Any, gamma: Any = None, **given: Any) -> TrialFilters:
    """Filters of constant alpha that violate nothing, unless told otherwise."""
    alpha = np.asarray(alpha, dtype=float)
    nothing = np.full(alpha.shape, NAN)
    defaults: dict[str, Any] = {
        "learning_rate": nothing,
        "weight_decay": nothing,
        "decay": ("constant",) * alpha.size,
        "violated": {},
        "flip_ratio_law": nothing,
        "flip_ratio_measured": nothing,
    }
    if gamma is None:
        gamma = np.where(np.isnan(alpha), NAN, 0.1)
    return TrialFilters(alpha=alpha, gamma=np.asarray(gamma, dtype=float), **(defaults | given))
