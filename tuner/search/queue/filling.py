"""From a declared comparison to Optuna studies with full queues, from any state of the database.

Whatever was interrupted is completed, and nothing is enqueued twice: a trial's place in the queue
is unique, and the trial and its place are written in one transaction. Large queues are filled in
slices, with a halt after each, so that others get their turn.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, delete, insert, select, update

from tuner.errors import Conflict
from tuner.search.database.finished import incumbent, selected
from tuner.search.database.storage.many import STUDY_ID, create_trials
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    CANCELLED,
    DELETING,
    FAILED,
    HELD,
    WAITING,
    studies,
    trials,
)
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.declared.study_spec import StudySpec
from tuner.search.queue.operations import of_comparison
from tuner.search.queue.outside import reconcile

_CHUNK = 25  # trials enqueued in one transaction; longer ones would keep workers waiting

Template = Mapping[str, Any]  # Any: create_trial's keyword arguments


def enqueue(store: Store, spec: ComparisonSpec) -> None:
    """Make the comparison's searches and fill their queues, as far as that is not done.

    Raises:
        Conflict: If a study that is not ours bears the name of one; the others are filled.
    """
    for _ in searches_in_slices(store, spec):
        pass


def searches_in_slices(store: Store, spec: ComparisonSpec) -> Iterator[None]:
    """As ``enqueue``, with a halt after every transaction."""
    budgets = store.budgets(spec.name)
    refused: Conflict | None = None
    for study in spec.studies():
        reconcile(store, study.study_name)
        try:
            yield from _fill(store, study, [{}] * budgets.get(study.study_name, 0))
        except Conflict as error:
            refused = error
    if refused is not None:
        raise refused


def selected_in_slices(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> Iterator[None]:
    """Enqueue what those of the arm's searches selected that a look is due after, or the end."""
    study = spec.selected(arm)
    if study is None or incumbent(store, spec, arm) is None:
        return
    chosen = selected(store, spec, arm)[: store.budgets(spec.name).get(study.study_name, 0)]
    due = max((n for n in (*(study.stages or ()), study.n_trials) if n <= len(chosen)), default=0)
    if due:
        reconcile(store, study.study_name)
        yield from _fill(store, study, [_again(trial) for trial in chosen[:due]])


def incumbent_in_slices(store: Store, spec: ComparisonSpec, arm: ArmSpec) -> Iterator[None]:
    """Enqueue the arm's incumbent with fresh seeds; its searches have ended."""
    if not spec.retrain_seeds:
        return
    study = spec.retraining(arm)
    seeds = store.budgets(spec.name).get(study.study_name, 0)
    if seeds and (best := incumbent(store, spec, arm)) is not None:
        reconcile(store, study.study_name)
        yield from _fill(store, study, [_again(best)] * seeds)


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
    """Enqueue trials, by position, held: each in both places, unless it is there.

    Those that have failed already never run.

    Returns:
        Whether the study wants trials: not if it is cancelled, deleted here or in Optuna, or being
        emptied.

    Raises:
        KeyError: If the study is deleted in Optuna just now; nothing was written.
    """
    study_id = store.our_study(study_name)
    if study_id is None:
        return False
    with store.transaction() as connection:
        if not _wanted(connection, comparison, study_name):
            return False
        known = select(trials.c.position).where(
            trials.c.study_name == study_name, trials.c.position.in_(templates)
        )
        there = set(connection.scalars(known))  # another process filled it meanwhile
        if there.issuperset(templates):
            return True
        if connection.scalar(STUDY_ID, {"study_name": study_name}) != study_id:
            return False  # deleted, and perhaps submitted anew and not made yet
        new = [position for position in templates if position not in there]
        given = [templates[position] for position in new]
        rows = [
            {
                "trial_id": trial_id,
                "comparison": comparison,
                "study_name": study_name,
                "position": position,
                "state": FAILED if template.state == TrialState.FAIL else HELD,
            }
            for position, template, trial_id in zip(
                new, given, create_trials(store.rdb, study_id, given), strict=True
            )
        ]
        numbers = [row["trial_id"] for row in rows]  # whose had them is gone, on SQLite
        connection.execute(delete(trials).where(trials.c.trial_id.in_(numbers)))
        connection.execute(insert(trials), rows)
    return True


def hand_out(store: Store, study_name: str) -> None:
    """Let workers take the study's trials, all of them from the same moment on."""
    with store.begin() as connection:
        connection.execute(
            update(trials)
            .where(
                trials.c.study_name == study_name,
                trials.c.state == HELD,
                trials.c.worker.is_(None),
            )
            .values(state=WAITING)
        )


def _wanted(connection: Connection, comparison: str, study_name: str) -> bool:
    """Whether the study is to have trials; it stays so until the transaction ends."""
    kept = connection.execute(
        update(studies)
        .where(studies.c.study_name == study_name, studies.c.status.not_in((CANCELLED, DELETING)))
        .values(revision=studies.c.revision)
    )
    return kept.rowcount > 0 and of_comparison(connection, comparison) is None


def _is_handed_out(store: Store, study: StudySpec) -> bool:
    """Whether no trial is held, and Optuna has the study as declared, which people can change."""
    held = select(trials.c.trial_id).where(
        trials.c.study_name == study.study_name, trials.c.state == HELD
    )
    with store.reader.connect() as connection:
        if connection.scalar(held.limit(1)) is not None:
            return False
    study_id = store.our_study(study.study_name)
    if study_id is None:
        return False
    kept = store.rdb.get_study_user_attrs(study_id)
    return bool(kept.get("spec") == study.model_dump(mode="json"))


def _fill(store: Store, study: StudySpec, given: Sequence[Template]) -> Iterator[None]:
    """Enqueue what the study's queue lacks of its first trials, each with what is given of it."""
    present = positions(store, study.study_name)
    missing = [index for index in range(len(given)) if index not in present]
    if given and not missing and _is_handed_out(store, study):
        return
    with store.transaction() as connection:
        if not _wanted(connection, study.comparison, study.study_name):
            return
        store.make_study(study)
    rest = iter(missing)
    while chunk := list(islice(rest, _CHUNK)):
        templates = {
            index: create_trial(
                user_attrs={"index": index, "seed": study.trial_seed(index)},
                **{"state": TrialState.WAITING, **given[index]},
            )
            for index in chunk
        }
        if not add(store, study.comparison, study.study_name, templates):
            return
        yield
    hand_out(store, study.study_name)
