"""Settings of SGD to a gradient filter, and back: numbers for whoever shows them. No torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from tuner.optim.equivalence import (
    AlphaGamma,
    FilterRecord,
    Magnitude,
    Sgd,
    canonical,
    coupled_from_filter,
    decoupled_from_filter,
    describe,
)
from tuner.rules import Setting

EXAMPLE_RATE = 0.1
"""Learning rate of the example pairs; only its product with weight decay matters."""


def filter_of_sgd(
    settings: Mapping[str, Setting], steps: int | None, *, gradient_max: float | None = None
) -> tuple[FilterRecord, dict[str, Any]]:
    """The filter of SGD on latent weights, and the settings in full.

    Args:
        settings: Hyperparameters of ``latent_sgd``.
        steps: Length of the run, if it is known.
        gradient_max: The largest absolute gradient, if it is known.

    Returns:
        The filter, and the settings as given and in the member of their class with weight decay
        1; infinity is None.

    Raises:
        InvalidInput: If a setting is out of range.
    """
    record = describe("latent_sgd", settings, steps, gradient_max=gradient_max)
    magnitude = Magnitude.from_settings(settings)
    full = {
        name: {key: None if value == math.inf else value for key, value in asdict(one).items()}
        for name, one in (("settings", magnitude), ("canonical", canonical(magnitude)))
    }
    return record, full


def sgd_of_filter(
    alpha: float, gamma: float, *, schedule: str, steps: int | None
) -> tuple[FilterRecord, dict[str, Any]]:
    """The filter described, and both kinds of SGD that are this filter.

    Args:
        alpha: In (0, 1].
        gamma: In (0, 1].
        schedule: How alpha decays.
        steps: Length of the run, if it is known.

    Raises:
        InvalidInput: If a setting is out of range.
    """
    filter_ = AlphaGamma(alpha, gamma)
    record = describe("filter_flip", {**asdict(filter_), "alpha_decay": schedule}, steps)
    sgd = {
        "decoupled": _pair(decoupled_from_filter(filter_)),
        "coupled": _pair(coupled_from_filter(filter_)),
    }
    return record, sgd


def _pair(sgd: Sgd) -> dict[str, float]:
    """One example of its settings."""
    return {
        "momentum": sgd.momentum,
        "product": sgd.product,
        "learning_rate": EXAMPLE_RATE,
        "weight_decay": sgd.product / EXAMPLE_RATE,
    }
