"""Samplers and pruners by name, rebuilt from the spec for each trial.

A worker keeps no sampler: what is sampled depends on the study's history and on the trial's own
seed alone, so random search gives each trial the same parameters whoever runs it, and whenever.
Nor does any pruner's rule hang on the arm: under Hyperband trial i is in one bracket in all arms.
"""

from collections.abc import Callable, Mapping
from copy import copy
from types import SimpleNamespace
from typing import cast

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from tuner.search.declared.arm_spec import Pruner, Searching

_ANY_STUDY = cast(Study, SimpleNamespace(study_name="trial"))


class PairedHyperband(HyperbandPruner):
    """Hyperband with the same brackets in every arm.

    Optuna draws a trial's bracket from the study's name and the trial's number, so trial i of two
    arms may be stopped after 1 epoch here and after 9 there, and the arms are not paired. Here it
    is drawn from the trial's seed (``StudySpec.trial_seed``), which trial i has in every arm, and
    which differs between the repeats. A trial that is run again stays in its bracket.
    """

    def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
        """Optuna's draw, of the seed in place of name and number."""
        del study
        numbered = copy(trial)
        numbered.number = trial.user_attrs["seed"]
        return super()._get_bracket_id(_ANY_STUDY, numbered)


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
    "hyperband": lambda epochs: PairedHyperband(
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
