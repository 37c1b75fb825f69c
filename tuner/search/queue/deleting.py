"""Deleting a comparison with its studies and trials, here and in Optuna, a slice at a time."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, delete, select, update

from tuner.search.database.events import record
from tuner.search.database.joined import AT_ONCE, REMOVED
from tuner.search.database.storage.hanging import remove_files
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    CANCELLED,
    DELETING,
    RUNNING,
    comparisons,
    studies,
    trials,
)

_PLACES_A_TRIAL = 40
"""A place in the queue is one row, a trial in Optuna dozens."""


def let_nobody_in(store: Store, connection: Connection, comparison: str) -> None:
    """Close the comparison: nothing of it is run, filled or changed from here on."""
    its = studies.c.comparison == comparison
    # Whoever fills a queue locks its study: nothing comes after this.
    connection.execute(
        update(studies).where(its).values(status=DELETING, revision=studies.c.revision + 1)
    )
    connection.execute(
        update(trials)
        .where(trials.c.comparison == comparison, trials.c.state == RUNNING)
        .values(state=CANCELLED, worker=None, lease_expires=None)
    )
    store.keep_numbers()


def delete_some(
    store: Store,
    connection: Connection,
    comparison: str,
    _data: dict[str, Any],  # Any: JSON
    n_trials: int,
) -> int | None:
    """Delete some of its trials: files and places in the queue, then themselves, then the rest.

    Whoever is about to write about a trial holds its place; so nobody writes about one that is
    deleted in Optuna.

    Returns:
        How many trials were deleted; None once nothing is left.
    """
    its = trials.c.comparison == comparison
    of_it = studies.c.comparison == comparison
    names = list(connection.scalars(select(studies.c.study_name).where(of_it)))
    made = store.made_studies()
    places = select(trials.c.trial_id).where(its).limit(n_trials * _PLACES_A_TRIAL)
    freed = delete(trials).where(trials.c.trial_id.in_(places)).returning(trials.c.trial_id)
    of_these = connection.scalars(freed).all()
    remove_files(connection, [made[name] for name in names if name in made], of_these)
    if of_these:
        return 0
    removed = remove_some(store, names, n_trials)
    if removed is not None:
        return removed
    connection.execute(delete(studies).where(of_it))
    connection.execute(delete(comparisons).where(comparisons.c.name == comparison))
    record(connection, comparison, "deleted")
    return None


def remove_some(store: Store, names: Collection[str], n_trials: int) -> int | None:
    """Remove so many trials of one of these studies in Optuna, within a transaction.

    Optuna removes a study whole, however large, and asks six queries for each trial; so its
    request is carried out for a part of what depends on the study, as long as there is more.

    Returns:
        About how many were removed; None if none of these studies is there.
    """
    made = store.made_studies()
    study_id = next((made[name] for name in names if name in made), None)
    if study_id is None:
        return None
    session = store.rdb.scoped_session()
    session.info[AT_ONCE] = n_trials
    store.optuna.delete_study(study_id)
    return int(session.info[REMOVED])
