"""What people do to studies past the queue: in the dashboard, or with Optuna's own functions.

They delete studies and finish trials while workers hold them. What was finished counts as it was
finished; what was deleted is enqueued again, by whoever fills the queue. So is what somebody's own
``optimize`` took while it waited: Optuna hands it to whoever asks, and its value is not ours.
"""

import logging
from collections.abc import Callable, Collection
from typing import TypeVar

from optuna.trial import TrialState
from sqlalchemy import Connection, delete, select, update

from tuner.search.database.events import record
from tuner.search.database.patience import away
from tuner.search.database.storage.rows import states_of, trial_of_rows
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    DONE,
    FAILED,
    HELD,
    RUNNING,
    TO_RETRY,
    UNFINISHED,
    WAITING,
    trials,
)

Result = TypeVar("Result")

_CHUNK = 500
_log = logging.getLogger(__name__)


def reconcile(store: Store, study_name: str) -> bool:
    """Bring the queue in line with trials that were finished, taken or deleted from outside.

    Returns:
        Whether there were any.
    """
    this = trials.c.study_name == study_name
    with store.engine.connect() as connection:
        query = select(trials.c.trial_id, trials.c.state, trials.c.comparison).where(
            this, trials.c.worker.is_distinct_from(TO_RETRY)
        )
        rows = connection.execute(query).all()
    if not rows:
        return False
    known = _states(store, study_name)  # after the rows: both are written at once
    gone = [row.trial_id for row in rows if row.trial_id not in known]
    finished = [
        row
        for row in rows
        if row.state in UNFINISHED and row.trial_id in known and known[row.trial_id].is_finished()
    ]
    ended = [row.trial_id for row in finished if row.state == RUNNING]
    taken = [row.trial_id for row in finished if row.state != RUNNING]
    if not gone and not finished:
        return False
    with store.transaction() as connection:
        if gone:
            store.keep_numbers(above=max(gone))
        n_gone = sum(
            connection.execute(delete(trials).where(trials.c.trial_id.in_(chunk))).rowcount
            for chunk in (gone[i : i + _CHUNK] for i in range(0, len(gone), _CHUNK))
        )
        waiting = trials.c.state.in_((HELD, WAITING))  # still: it may have been ours a moment ago
        n_gone += sum(
            connection.execute(delete(trials).where(trials.c.trial_id == one, waiting)).rowcount
            for one in taken
        )
        n_ended = sum(_end(connection, trial_id) for trial_id in ended)
        for kind, n in (("lost", n_gone), ("finished", n_ended)):
            if n:
                record(connection, rows[0].comparison, kind, study=study_name, n=n)
    if n_gone or n_ended:
        _log.warning(
            "%d trials were deleted or run from outside and %d were finished",
            n_gone,
            n_ended,
            extra={"study": study_name},
        )
    return bool(n_gone or n_ended)


def beside_others(
    store: Store, study_names: Callable[[], Collection[str]], action: Callable[[], Result]
) -> Result:
    """Do something to trials that people may have changed, or may change at the same moment.

    Args:
        store: The database.
        study_names: Says whose trials they are, where that has to be known.
        action: One transaction. If it fails and a study is found to be changed from outside, the
            queue is brought in line with it, and the action is taken again. On SQLite a study
            that is gone is found before: its trials' numbers may be somebody else's by now.
    """
    if store.gives_numbers_again:
        for name in study_names():
            if store.our_study(name) is None:
                reconcile(store, name)
    try:
        return action()
    except Exception as error:
        if away(error):
            raise
        changed = [reconcile(store, name) for name in study_names()]
        if not any(changed):
            raise
    return action()


def _states(store: Store, study_name: str) -> dict[int, TrialState]:
    """Trial id -> state in Optuna, past all caches: they remember what was deleted."""
    study_id = store.our_study(study_name)
    if study_id is None:
        return {}
    with store.engine.connect() as connection:
        return states_of(connection, study_id)


def _end(connection: Connection, trial_id: int) -> int:
    """Note that the trial has ended, if that is not noted yet; how many notes that makes."""
    trial = trial_of_rows(connection, trial_id)
    if trial is None:  # deleted just now
        return 0
    noted = connection.execute(
        update(trials)
        .where(trials.c.trial_id == trial_id, trials.c.state.in_(UNFINISHED))
        .values(
            state=FAILED if trial.state == TrialState.FAIL else DONE,
            value=trial.values[0] if trial.values else None,
            worker=None,
            lease_expires=None,
        )
    )
    return noted.rowcount
