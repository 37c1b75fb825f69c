"""Trials that have ended, as Optuna keeps them, and the best of them."""

import gc
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import takewhile
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from tuner.search.database.store import Store
from tuner.search.database.tables import (
    DONE,
    FAILED,
    comparisons,
    trials,
)
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import AnyWorkloadSpec
from tuner.search.declared.whole_trials import STORED
from tuner.workload import Objective, Workload


def incumbent(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> FrozenTrial | None:
    """The arm's trial of best validation score; one that was pruned only if all were.

    Ties go to the earlier repeat, then to the lower index. None if every trial failed.
    """
    candidates = [
        trial
        for study in spec.studies()
        if study.arm == arm
        for trial in finished_trials(store, study.study_name)
        if trial.state != TrialState.FAIL
    ]
    return max(candidates, key=_merit(spec), default=None)


def selected(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> list[FrozenTrial]:
    """What each of the arm's searches selected: its best trial, as ``incumbent``.

    Of the searches from the first on that have ended. One in which every trial failed selects its
    first, or the first of which the parameters are known.
    """
    by_repeat = {
        study.repeat: _by_position(store, study.study_name)
        for study in spec.studies()
        if study.arm == arm
    }
    searches = [
        [by_repeat[search.repeat].get(index) for index in search.trials]
        for search in spec.selections(arm)
    ]
    ended = takewhile(lambda trials: None not in trials, searches)
    return [max(filter(None, trials), key=_merit(spec)) for trials in ended]


def _merit(spec: ComparisonSpec) -> Callable[[FrozenTrial], tuple[bool, float, bool]]:
    """What orders trials, the best last."""
    sign = -1 if spec.workload.minimized else 1

    def merit(trial: FrozenTrial) -> tuple[bool, float, bool]:
        score = -math.inf if trial.value is None else sign * trial.value
        return trial.state == TrialState.COMPLETE, score, bool(trial.params)

    return merit


def minimized(connection: Connection, names: Collection[str]) -> set[str]:
    """Those of these comparisons in which a lower score is better."""
    query = select(comparisons.c.name, comparisons.c.spec).where(comparisons.c.name.in_(names))
    return {name for name, spec in connection.execute(query) if is_minimized(spec)}


@lru_cache(maxsize=1000)
def is_minimized(spec: str) -> bool:
    """Whether a lower score is better in the comparison that was declared so, as JSON."""
    workload: Workload | Objective = _WORKLOAD.validate_python(
        json.loads(spec)["workload"], context=STORED
    )
    return workload.minimized


_WORKLOAD: TypeAdapter[Workload | Objective] = TypeAdapter(AnyWorkloadSpec)


def finished_trials(store: Store, study_name: str) -> list[FrozenTrial]:
    """The study's finished trials by index; failed ones are among them. Empty if no study.

    Those that were cancelled, or retried by hand, are not.
    """
    return list(_by_position(store, study_name).values())


def run_of(trial: FrozenTrial) -> Mapping[str, Any]:  # Any: any JSON value
    """How the trial was run; nothing where it was finished from outside, or written over there."""
    run = trial.user_attrs.get("run")
    return run if isinstance(run, dict) else {}


def _by_position(store: Store, study_name: str) -> dict[int, FrozenTrial]:
    query = select(trials.c.position, trials.c.trial_id).where(
        trials.c.study_name == study_name, trials.c.state.in_((DONE, FAILED))
    )
    with store.engine.connect() as connection:
        rows = connection.execute(query.order_by(trials.c.position)).all()
    if not rows:
        return {}
    try:
        with uncollected():
            frozen = store.trials_of(study_name)
    except KeyError:  # deleted meanwhile, or from outside
        return {}
    by_id = {trial._trial_id: trial for trial in frozen}
    return {row.position: by_id[row.trial_id] for row in rows if row.trial_id in by_id}


@contextmanager
def uncollected() -> Iterator[None]:
    """Let Python's garbage collector rest.

    While many objects are made, such as Optuna's trials, it looks through them all again and again
    and finds nothing: 10,000 trials are read in less than half the time.
    """
    resting = not gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if not resting:
            gc.enable()
