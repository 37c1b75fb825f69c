"""Trials that have ended, as Optuna keeps them, and the best of them."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import select

from tuner.search.database.store import Store
from tuner.search.database.tables import (
    DONE,
    FAILED,
    trials,
)
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec


def incumbent(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> FrozenTrial | None:
    """The arm's trial of best validation accuracy; one that was pruned only if all were.

    Ties go to the earlier repeat, then to the lower index. None if every trial failed.
    """
    candidates = [
        trial
        for study in spec.studies()
        if study.arm == arm
        for trial in finished_trials(store, study.study_name)
        if trial.state != TrialState.FAIL
    ]
    return max(candidates, key=_merit, default=None)


def selected(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> list[FrozenTrial]:
    """What each of the arm's searches selected: its best trial, as ``incumbent``.

    Of the searches from the first on that have ended. One in which every trial failed selects its
    first, or the first of which the parameters are known.
    """
    by_repeat = {
        study.repeat: {
            trial.user_attrs["index"]: trial for trial in finished_trials(store, study.study_name)
        }
        for study in spec.studies()
        if study.arm == arm
    }
    searches = [
        [by_repeat[search.repeat].get(index) for index in search.trials]
        for search in spec.selections(arm)
    ]
    ended = takewhile(lambda trials: None not in trials, searches)
    return [max(filter(None, trials), key=_merit) for trials in ended]


def _merit(trial: FrozenTrial) -> tuple[bool, float, bool]:
    return trial.state == TrialState.COMPLETE, trial.value or 0.0, bool(trial.params)


def finished_trials(store: Store, study_name: str) -> list[FrozenTrial]:
    """The study's finished trials by index; failed ones are among them. Empty if no study.

    Those that were cancelled, or retried by hand, are not.
    """
    query = select(trials.c.position, trials.c.trial_id).where(
        trials.c.study_name == study_name, trials.c.state.in_((DONE, FAILED))
    )
    with store.engine.connect() as connection:
        rows = connection.execute(query.order_by(trials.c.position)).all()
    if not rows:
        return []
    try:
        study_id = store.rdb.get_study_id_from_name(study_name)
        with uncollected():
            frozen = store.optuna.get_all_trials(study_id, deepcopy=False)
    except KeyError:  # deleted meanwhile, or from outside
        return []
    by_id = {trial._trial_id: trial for trial in frozen}
    return [by_id[row.trial_id] for row in rows if row.trial_id in by_id]


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
