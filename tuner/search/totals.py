"""Numbers over a whole database, for those who watch it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, select, true

from tuner.search.queue import LEASE_SECONDS
from tuner.search.store import Store
from tuner.search.tables import FAILED, Now, comparisons, trials, workers


@dataclass(frozen=True)
class Totals:
    """The totals of a database.

    Args:
        trials: Queue state -> how many.
        comparisons: Status -> how many.
        workers: State -> how many were seen lately.
        events: finished, failed, retried -> how often that happened to a trial; repeated is how
            often one was taken again after its worker was lost or stopped.
        epochs: Trial epochs trained by the workers remembered.
        training_seconds: How long they trained.
        epochs_per_second: Of the workers seen lately.
    """

    trials: Mapping[str, int]
    comparisons: Mapping[str, int]
    workers: Mapping[str, int]
    events: Mapping[str, int]
    epochs: int
    training_seconds: float
    epochs_per_second: float


def read(store: Store) -> Totals:
    """The totals as they are now."""
    lately = workers.c.last_seen > Now() - LEASE_SECONDS
    retried = func.coalesce(func.sum(trials.c.failures), 0)
    ended = func.coalesce(func.sum(case((trials.c.value.is_not(None), 1), else_=0)), 0)
    failed = func.coalesce(func.sum(case((trials.c.state == FAILED, 1), else_=0)), 0)
    again = func.coalesce(
        func.sum(case((trials.c.attempts > 1, trials.c.attempts - 1), else_=0)), 0
    )
    worked = select(
        func.coalesce(func.sum(workers.c.epochs), 0),
        func.coalesce(func.sum(workers.c.training_seconds), 0.0),
        func.coalesce(func.sum(case((lately, workers.c.epochs), else_=0)), 0),
        func.coalesce(func.sum(case((lately, workers.c.training_seconds), else_=0.0)), 0.0),
    )
    with store.engine.connect() as connection:
        by_state = _counts(connection, trials.c.state, true())
        by_status = _counts(connection, comparisons.c.status, true())
        seen = _counts(connection, workers.c.state, lately)
        counts = connection.execute(select(ended, failed, retried, again)).one()
        epochs, seconds, epochs_lately, seconds_lately = connection.execute(worked).one()
    return Totals(
        trials=by_state,
        comparisons=by_status,
        workers=seen,
        events={
            "finished": counts[0],
            "failed": counts[1],
            "raised": counts[2],
            "repeated": counts[3],
        },
        epochs=epochs,
        training_seconds=seconds,
        epochs_per_second=epochs_lately / seconds_lately if seconds_lately else 0.0,
    )


def _counts(
    connection: Connection, column: ColumnElement[str], where: ColumnElement[bool]
) -> dict[str, int]:
    """How many rows have each value of the column."""
    query = select(column, func.count()).where(where).group_by(column)
    return {row[0]: row[1] for row in connection.execute(query)}
