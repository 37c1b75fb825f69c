"""How long a sampler that learns thinks about its next trial, by how many it has seen."""

import time
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from random import Random
from statistics import median

import optuna
from optuna.study import Study
from optuna.trial import TrialState

from tuner.bench.serving import declaration
from tuner.search.declared.samplers import make_sampler
from tuner.search.declared.spaces import Space, suggest

_TIMES = 5


@dataclass(frozen=True)
class Ask:
    """How long it took.

    Args:
        sampler: Its name.
        finished: Trials finished before, in memory.
        seconds: Of computing, for all settings of a trial; the median of a few.
    """

    sampler: str
    finished: int
    seconds: float


def asks(finished: Sequence[int]) -> list[Ask]:
    """Ask TPE for the settings of the magnitude space, after so many finished trials each."""
    space = declaration("asks", 2).arms[0].space
    study = optuna.create_study(direction="maximize", sampler=make_sampler("random", 0))
    measured, before, chance = [], 0, Random(0)
    for wanted in sorted(finished):
        for _ in range(before, wanted):
            trial = study.ask()
            suggest(space, trial)
            study.tell(trial, chance.random())
        before = wanted
        seconds = median(_ask(study, space, seed) for seed in range(_TIMES))
        measured.append(Ask("tpe", wanted, seconds))
    return measured


def _ask(study: Study, space: Space, seed: int) -> float:
    """Computing seconds that one trial's settings take; the trial is put aside."""
    asked = copy(study)
    asked.sampler = make_sampler("tpe", seed)
    began = time.thread_time()
    trial = asked.ask()
    suggest(space, trial)
    seconds = time.thread_time() - began
    asked.tell(trial, state=TrialState.FAIL)
    return seconds
