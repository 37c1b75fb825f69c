"""Settings of SGD to a gradient filter, and back: numbers for whoever shows them. No torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
from tuner.optim.equivalence.filter_record import ALPHA_DECAYS, CONSTANT
from tuner.rules import Setting

EXACT, OPEN, ROUGH = 1.0, 0.5, 0.25
"""Weights of a setting as a filter: it is that filter; it may be, if conditions hold that nobody
knows of; some do not hold."""

EXAMPLE_RATE = 0.1
"""Learning rate of the example pairs; only its product with weight decay matters."""


@dataclass(frozen=True)
class AsFilter:
    """A setting of any update rule in the filter space.

    Args:
        settings: alpha, gamma and alpha decay; ``None`` where there is no such filter.
        weight: ``EXACT``, ``OPEN`` or ``ROUGH``.
        reason: Why it is none, or not exactly; empty where it is.
    """

    settings: Mapping[str, Setting] | None
    weight: float
    reason: str


def as_filter(record: Mapping[str, Any]) -> AsFilter:
    """What a setting is in the filter space, and how exactly.

    That alpha is too small to matter in the run makes a filter no other one.

    Args:
        record: What ``describe`` said of it, as a trial stores it: a ``FilterRecord`` as a dict.
    """
    conditions = {each["name"]: each for each in record["conditions"]}
    kind, how = record["schedule"]["kind"], record["schedule"]["map"]
    if not record["real"]:
        return AsFilter(None, 0.0, str(conditions["real_filter"]["why"]))
    if conditions["stable"]["holds"] is False:
        return AsFilter(None, 0.0, str(conditions["stable"]["why"]))
    if how not in (CONSTANT, ALPHA_DECAYS):
        return AsFilter(None, 0.0, f"its schedule is none of the filter space: {how}")
    settings = {"alpha": record["alpha"], "gamma": record["gamma"], "alpha_decay": kind}
    doubts = [each for name, each in conditions.items() if name != "alpha_not_inert"]
    broken = [_said(each) for each in doubts if each["holds"] is False]
    unknown = [_said(each) for each in doubts if each["holds"] is None]
    if broken:
        return AsFilter(settings, ROUGH, "; ".join(broken))
    return AsFilter(settings, OPEN if unknown else EXACT, "; ".join(unknown))


def _said(condition: Mapping[str, Any]) -> str:
    return f"{condition['name'].replace('_', ' ')}: {condition['why']}"


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
