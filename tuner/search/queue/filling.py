"""From a declared comparison to Optuna studies with full queues, from any state of the database.

Whatever was interrupted is completed, and nothing is enqueued twice: a trial's place in the queue
is unique, and the trial and its place are written in one transaction.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuner.search.database.finished import incumbent, selected
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    CANCELLED,
    DONE,
    FAILED,
    HELD,
    UNFINISHED,
    WAITING,
    studies,
    trials,
)
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import StudySpec

_CHUNK = 25  # trials enqueued in one transaction; longer ones would keep workers waiting

Template = Mapping[str, Any]  # Any: create_trial's keyword arguments


def enqueue(store: Store, spec: ComparisonSpec) -> None:
    """Make the comparison's searches and fill their queues, as far as that is not done."""
    budgets = store.budgets(spec.name)
    for study in spec.studies():
        _reconcile(store, study.study_name)
        _fill(store, study, [{}] * budgets.get(study.study_name, 0))


def enqueue_selected(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> None:
    """Enqueue what those of the arm's searches selected that a look is due after, or the end."""
    study = spec.selected(arm)
    if study is None or incumbent(store, spec, arm) is None:
        return
    chosen = selected(store, spec, arm)[: store.budgets(spec.name).get(study.study_name, 0)]
    due = max((n for n in (*(study.stages or ()), study.n_trials) if n <= len(chosen)), default=0)
    if due:
        _reconcile(store, study.study_name)
        _fill(store, study, [_again(trial) for trial in chosen[:due]])


def enqueue_incumbent(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> None:
    """Enqueue the arm's incumbent with fresh seeds; its searches have ended."""
    best = incumbent(store, spec, arm)
    if not spec.retrain_seeds or best is None:
        return
    study = spec.retraining(arm)
    seeds = store.budgets(spec.name).get(study.study_name, 0)
    if seeds:
        _reconcile(store, study.study_name)
        _fill(store, study, [_again(best)] * seeds)


def _again(trial: FrozenTrial) -> Template:
    """The trial's setting, to be trained afresh; one of which nothing is known fails again."""
    if trial.state == TrialState.FAIL and not trial.params:
        return {"state": TrialState.FAIL}
    return {"params": trial.params, "distributions": trial.distributions}


def positions(store: Store, study_name: str) -> dict[int, int]:
    """Position -> trial id of every trial of the study that was ever enqueued."""
    query = select(trials.c.position, trials.c.trial_id).where(trials.c.study_name == study_name)
    with store.engine.connect() as connection:
        return {row.position: row.trial_id for row in connection.execute(query)}


def add(
    store: Store, comparison: str, study_name: str, templates: Mapping[int, FrozenTrial]
) -> bool:
    """Enqueue trials, by position, held: all of them in both places, or none.

    Those that have failed already never run.

    Returns:
        Whether they were enqueued: not if the study was cancelled or deleted.

    Raises:
        sqlalchemy.exc.IntegrityError: If a position is taken; nothing was written.
    """
    with store.transaction() as connection:
        if not _wanted(connection, study_name):
            return False
        study_id = store.rdb.get_study_id_from_name(study_name)
        for position, template in templates.items():
            trial_id = store.rdb.create_new_trial(study_id, template)
            connection.execute(
                insert(trials).values(
                    trial_id=trial_id,
                    comparison=comparison,
                    study_name=study_name,
                    position=position,
                    state=FAILED if template.state == TrialState.FAIL else HELD,
                )
            )
    return True


def hand_out(store: Store, study_name: str) -> None:
    """Let workers take the study's trials, all of them from the same moment on."""
    with store.begin() as connection:
        connection.execute(
            update(trials)
            .where(trials.c.study_name == study_name, trials.c.state == HELD)
            .values(state=WAITING)
        )


def _wanted(connection: Connection, study_name: str) -> bool:
    """Whether the study is to have trials; it stays so until the transaction ends."""
    kept = connection.execute(
        update(studies)
        .where(studies.c.study_name == study_name, studies.c.status != CANCELLED)
        .values(revision=studies.c.revision)
    )
    return kept.rowcount > 0


def _fill(store: Store, study: StudySpec, given: Sequence[Template]) -> None:
    """Enqueue what the study's queue lacks of its first trials, each with what is given of it."""
    with store.transaction() as connection:
        if not _wanted(connection, study.study_name):
            return
        store.make_study(study)
    while True:
        present = positions(store, study.study_name)
        missing = (index for index in range(len(given)) if index not in present)
        chunk = list(islice(missing, _CHUNK))
        if not chunk:
            hand_out(store, study.study_name)
            return
        templates = {
            index: create_trial(
                user_attrs={"index": index, "seed": study.trial_seed(index)},
                **{"state": TrialState.WAITING, **given[index]},
            )
            for index in chunk
        }
        try:
            if not add(store, study.comparison, study.study_name, templates):
                return
        except IntegrityError:
            continue  # another process enqueued them first: look again


def _reconcile(store: Store, study_name: str) -> None:
    """Bring the queue in line with trials that were finished or deleted from outside.

    The dashboard can do both. What was finished there counts; what was deleted is enqueued again.
    """
    place = trials.c.study_name == study_name
    with store.engine.connect() as connection:
        query = select(trials.c.trial_id, trials.c.state).where(place)
        rows = {row.trial_id: row.state for row in connection.execute(query)}
    if not rows:
        return
    exists = study_name in optuna.get_all_study_names(store.optuna)
    study_id = store.rdb.get_study_id_from_name(study_name) if exists else None
    frozen = store.optuna.get_all_trials(study_id, deepcopy=False) if study_id is not None else []
    known = {trial._trial_id: trial for trial in frozen}
    with store.begin() as connection:
        for trial_id, state in rows.items():
            row = trials.c.trial_id == trial_id
            if trial_id not in known:
                connection.execute(delete(trials).where(row))
            elif state in UNFINISHED and known[trial_id].state.is_finished():
                failed = known[trial_id].state == TrialState.FAIL
                connection.execute(
                    update(trials)
                    .where(row)
                    .values(state=FAILED if failed else DONE, value=known[trial_id].value)
                )
