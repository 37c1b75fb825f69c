"""Noting in Optuna that cancelled trials have ended, a few at a time, by whoever comes to it."""

import logging
import time
from collections.abc import Callable, Mapping
from math import inf

from sqlalchemy import func, select, update

from tuner.search.database.patience import away
from tuner.search.database.storage.many import end_as_failed
from tuner.search.database.store import Store
from tuner.search.database.tables import CANCELLED, trials

TO_END = "-"
"""In the place of a cancelled trial's worker: Optuna does not know yet that it has ended."""

_CHUNK = 50
_TO_BE_ENDED = (trials.c.state == CANCELLED) & (trials.c.worker == TO_END)
_log = logging.getLogger(__name__)


def count_cancelled(store: Store) -> int:
    """How many cancelled trials are yet to be noted as ended in Optuna."""
    query = select(func.count()).where(_TO_BE_ENDED)
    with store.engine.connect() as connection:
        return connection.scalar(query) or 0


def end_cancelled(
    store: Store,
    *,
    within_seconds: float = inf,
    on_progress: Callable[[int], None] = lambda _n: None,
) -> bool:
    """Note in Optuna that cancelled trials have ended: FAIL, and marked so.

    What is deleted or finished there meanwhile is let be.

    Args:
        store: The database.
        within_seconds: What is left after so long is left to the keepers.
        on_progress: Called with how many more were noted.

    Returns:
        Whether some are left.
    """
    query = select(trials.c.trial_id, trials.c.study_name).where(_TO_BE_ENDED).limit(_CHUNK)
    deadline = time.monotonic() + within_seconds
    while True:
        with store.engine.connect() as connection:
            study_of = {row.trial_id: row.study_name for row in connection.execute(query)}
        if not study_of or time.monotonic() > deadline:
            return bool(study_of)
        try:
            _end(store, study_of)
        except Exception as error:
            if away(error):
                raise
            for trial_id, study_name in study_of.items():
                _end_one(store, trial_id, study_name)
        on_progress(len(study_of))


def _end(store: Store, study_of: Mapping[int, str]) -> None:
    found = {store.our_study(name) for name in set(study_of.values())}
    ours = [study_id for study_id in found if study_id is not None]
    with store.transaction() as connection:
        noted = update(trials).where(_TO_BE_ENDED, trials.c.trial_id.in_(study_of))
        mine = connection.scalars(noted.values(worker=None).returning(trials.c.trial_id)).all()
        end_as_failed(store.rdb, ours, mine, "cancelled")  # people can end and delete trials too


def _end_one(store: Store, trial_id: int, study_name: str) -> None:
    """The same for one trial; if it cannot be, nobody tries again."""
    try:
        _end(store, {trial_id: study_name})
    except Exception as error:
        if away(error):
            raise
        _log.warning("a trial cannot be ended", exc_info=True, extra={"trial": trial_id})
        with store.begin() as connection:
            this = trials.c.trial_id == trial_id
            connection.execute(update(trials).where(_TO_BE_ENDED, this).values(worker=None))
