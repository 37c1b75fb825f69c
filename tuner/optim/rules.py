"""From an update rule's name and its trials' settings to one optimizer for all of them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from tuner.errors import InvalidInput
from tuner.optim.base import BinaryOptimizer, Parameters
from tuner.optim.designed.prototypes import design_of
from tuner.optim.designed.rule import DesignedFilter
from tuner.optim.family.adaptive_threshold import SGDAT
from tuner.optim.family.bayes import BayesBiNN
from tuner.optim.family.flip_ratio import TargetFlipRatio
from tuner.optim.family.second_order import Bop2ndOrder
from tuner.optim.family.signed import LatentLion, LatentSignSGD
from tuner.optim.flip import Bop, FilterFlip
from tuner.optim.latent import LatentAdam, LatentAdamW, LatentSGD
from tuner.optim.schedules import Schedule
from tuner.rules import RULES as HYPERPARAMETERS
from tuner.rules import Number, Setting, complete

OPTIMIZERS: Mapping[str, type[BinaryOptimizer]] = MappingProxyType(
    {
        "filter_flip": FilterFlip,
        "designed_filter": DesignedFilter,
        "latent_sgd": LatentSGD,
        "latent_adam": LatentAdam,
        "latent_adamw": LatentAdamW,
        "latent_signsgd": LatentSignSGD,
        "latent_lion": LatentLion,
        "bop2nd_order": Bop2ndOrder,
        "sgdat": SGDAT,
        "bayes_binn": BayesBiNN,
        "target_flip_ratio": TargetFlipRatio,
        "bop": Bop,
    }
)
"""Update rule name -> optimizer; the names and legal values lie in ``tuner.rules``."""

_COMPOSED: Mapping[str, Callable[[Mapping[str, Setting], int], Mapping[str, Any]]] = {
    "designed_filter": lambda full, steps: design_of(full, steps)._asdict(),
}
"""Update rule -> arguments of one trial that its settings make together with the run's length."""

_OF_COMPOSED = ("memory_unit",)
"""Settings that are no arguments themselves."""

_ONE_FOR_ALL = ("coupled", "nesterov", "dampening")


def build_optimizer(
    rule: str,
    weights: Sequence[Tensor],
    trials: Sequence[Mapping[str, Setting]],
    *,
    steps: int,
) -> BinaryOptimizer:
    """One optimizer that runs K trials of a rule along the leading axis of their weights.

    Args:
        rule: A name in ``OPTIMIZERS``.
        weights: The binary weights, each of shape [K, ...]; they become signs.
        trials: The K trials' settings; what they leave out takes the rule's default.
        steps: Length of the run, for the schedules.

    Raises:
        UnknownName: If the rule or a hyperparameter does not exist.
        InvalidInput: If a value is out of range, or the trials differ in coupled, nesterov or
            dampening.
    """
    settings = [complete(rule, trial) for trial in trials]
    composed = [_composed(rule, trial, steps) for trial in settings]
    values: dict[str, Any] = {name: [each[name] for each in composed] for name in composed[0]}
    for name, kind in HYPERPARAMETERS[rule].items():
        column = [trial[name] for trial in settings]
        if name in (*values, *_OF_COMPOSED):
            continue
        if name in _ONE_FOR_ALL:
            if len(set(column)) > 1:
                raise InvalidInput(f"{rule}.{name} must be the same for all trials of a batch")
            values[name] = column[0]
        elif name.endswith("_decay") and not isinstance(kind, Number):
            decays = [str(decay) for decay in column]
            if set(decays) != {"constant"}:  # nor does a factor of 1
                device = weights[0].device if not composed[0] else "cpu"
                values["schedule"] = Schedule(decays, steps, device=device)
        else:
            wide = torch.promote_types(weights[0].dtype, torch.float32)
            dtype = wide if isinstance(kind, Number) else torch.bool
            if dtype != torch.bool or any(column):  # what no trial wants costs a step nothing
                values[name] = torch.tensor(column, dtype=dtype, device=weights[0].device)
            if f"{name}_decay" in HYPERPARAMETERS[rule]:  # as times a schedule's factors
                values[name] = values[name].double()
    return OPTIMIZERS[rule](weights, **values)


def optimizer_of(
    rule: str, parameters: Parameters, settings: Mapping[str, Setting], *, steps: int
) -> BinaryOptimizer:
    """The optimizer of one trial of a rule, for weights without a trial axis.

    Args:
        rule: A name in ``OPTIMIZERS``.
        parameters: The binary weights, or groups of them; they become signs.
        settings: The trial's settings; what they leave out takes the rule's default.
        steps: Length of the run, for the schedules.

    Raises:
        UnknownName: If the rule or a hyperparameter does not exist.
        InvalidInput: If a value is out of range.
    """
    full = complete(rule, settings)
    values = dict(_composed(rule, full, steps))
    for name, value in full.items():
        if name in (*values, *_OF_COMPOSED):
            continue
        if name.endswith("_decay") and not isinstance(HYPERPARAMETERS[rule][name], Number):
            values["schedule"] = Schedule(str(value), steps)
        else:
            values[name] = value
    return OPTIMIZERS[rule](parameters, **values)


def _composed(rule: str, full: Mapping[str, Setting], steps: int) -> Mapping[str, Any]:
    return _COMPOSED[rule](full, steps) if rule in _COMPOSED else {}
