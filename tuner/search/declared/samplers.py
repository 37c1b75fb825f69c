"""Samplers and pruners by name, rebuilt from the spec for each trial.

A worker keeps no sampler: what is sampled depends on the study's history and on the trial's own
seed alone, so random search gives each trial the same parameters whoever runs it, and whenever.
"""

from collections.abc import Callable, Mapping

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler

from tuner.search.declared.spec import Pruner, Searching

SAMPLERS: Mapping[Searching, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed),
    "cmaes": lambda seed: CmaEsSampler(seed=seed, warn_independent_sampling=False),
    "gp": lambda seed: GPSampler(seed=seed),
}

PRUNERS: Mapping[Pruner, Callable[[int], BasePruner]] = {
    "none": lambda _epochs: NopPruner(),
    "median": lambda _epochs: MedianPruner(),
    "asha": lambda _epochs: SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    "hyperband": lambda epochs: HyperbandPruner(
        min_resource=1, max_resource=epochs, reduction_factor=3
    ),
}


def make_sampler(name: Searching, seed: int) -> BaseSampler:
    """The sampler of that name.

    Args:
        name: Which.
        seed: Below 2^32.
    """
    return SAMPLERS[name](seed)


def make_pruner(name: Pruner, epochs: int) -> BasePruner:
    """The pruner of that name.

    Args:
        name: Which.
        epochs: Length of a full trial, Hyperband's greatest resource.
    """
    return PRUNERS[name](epochs)
