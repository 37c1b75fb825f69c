"""Putting failed trials back as new ones, and forgetting what was trained afresh, in slices."""

from collections.abc import Sequence
from typing import Any

from optuna.trial import TrialState, create_trial
from sqlalchemy import ColumnElement, Connection, Row, delete, select, update

from tuner.search.database.store import Store
from tuner.search.database.tables import (
    CANCELLED,
    FAILED,
    HELD,
    TO_RETRY,
    WAITING,
    studies,
    trials,
)
from tuner.search.queue.deleting import remove_some


def mark(connection: Connection, comparison: str) -> tuple[int, list[str], list[str]]:
    """Mark the comparison's failed trials; the next slices put them back.

    Where an arm's searches are run again, what was trained afresh of it goes at once.

    Returns:
        How many trials those are, the names of their studies, and the names of those studies that
        are to be emptied.
    """
    failed = (trials.c.state == FAILED) | (trials.c.worker == TO_RETRY)
    found = connection.execute(
        select(studies.c.study_name, studies.c.arm, studies.c.retrain)
        .join(trials, studies.c.study_name == trials.c.study_name)
        .where(trials.c.comparison == comparison, failed, studies.c.status != CANCELLED)
        .distinct()
    ).all()
    arms = {study.arm for study in found if not study.retrain}
    again = [s.study_name for s in found if not (s.retrain and s.arm in arms)]
    theirs = studies.c.retrain & studies.c.arm.in_(arms) & (studies.c.status != CANCELLED)
    # Whoever fills a queue locks its study: nothing comes after this.
    locked = (
        update(studies)
        .where(studies.c.comparison == comparison, theirs)
        .values(revision=studies.c.revision)
        .returning(studies.c.study_name)
    )
    emptied = list(connection.scalars(locked))
    connection.execute(delete(trials).where(trials.c.study_name.in_(emptied)))
    marked = connection.execute(
        update(trials)
        .where(trials.c.study_name.in_(again), failed)
        .values(state=HELD, worker=TO_RETRY, failures=0, deaths=0, losses=0, value=None)
    )
    return marked.rowcount, again, emptied


def retry_some(
    store: Store,
    connection: Connection,
    comparison: str,
    data: dict[str, Any],  # Any: JSON
    n_trials: int,
) -> int | None:
    """Put so many marked trials back; once all are, empty studies, and let workers take them.

    Workers may take them together, from the same moment on: so each trains in the company that
    it would have had.

    Returns:
        How many were put back; None once nothing is left to be done.
    """
    marked = (trials.c.comparison == comparison) & (trials.c.worker == TO_RETRY)
    query = select(trials.c.trial_id, trials.c.study_name).where(marked)
    rows = connection.execute(query.order_by(trials.c.trial_id).limit(n_trials)).all()
    if rows:
        _put_back(store, connection, rows)
        return len(rows)
    if remove_some(store, data["emptied"], n_trials) is not None:
        return 0
    emptied = studies.c.study_name.in_(data["emptied"])
    changed = {"batch": None, "revision": studies.c.revision + 1}
    connection.execute(update(studies).where(emptied).values(changed))
    connection.execute(
        update(trials)
        .where(trials.c.study_name.in_(data["again"]), trials.c.state == HELD)
        .values(state=WAITING)
    )
    return None


def _put_back(store: Store, connection: Connection, rows: Sequence[Row[Any, Any]]) -> None:
    made = store.made_studies()
    for row in rows:
        _again(store, connection, row.trial_id, made.get(row.study_name))


def _again(store: Store, connection: Connection, trial_id: int, study_id: int | None) -> None:
    """Put a failed trial's successor in its place; one that is gone is enqueued as if new."""
    place: ColumnElement[bool] = trials.c.trial_id == trial_id
    if study_id is None:  # deleted from outside
        connection.execute(delete(trials).where(place))
        return
    failed = store.rdb.get_trial(trial_id)
    attributes = {name: failed.user_attrs[name] for name in ("index", "seed")}
    template = create_trial(
        state=TrialState.WAITING,
        params=failed.params,
        distributions=failed.distributions,
        user_attrs=attributes,
    )
    successor = store.rdb.create_new_trial(study_id, template)
    connection.execute(update(trials).where(place).values(trial_id=successor, worker=None))
