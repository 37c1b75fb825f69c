"""Numbers over a whole database, for those who watch it."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, select, true

from tuner.search.database.store import Store
from tuner.search.database.tables import Now, comparisons, workers
from tuner.search.queue.queue import LEASE_SECONDS
from tuner.search.watch.views import STATE


@dataclass(frozen=True)
class Totals:
    """The totals of a database.

    Args:
        trials: Queue state -> how many; those that are being enqueued wait.
        comparisons: Status -> how many.
        workers: State -> how many were seen lately.
        epochs: Trial epochs trained by the workers of the last week.
        epochs_per_second: Of the workers seen lately.
    """

    trials: Mapping[str, int]
    comparisons: Mapping[str, int]
    workers: Mapping[str, int]
    epochs: int
    epochs_per_second: float


def totals(store: Store) -> Totals:
    """The totals as they are now."""
    lately = workers.c.last_seen > Now() - LEASE_SECONDS
    worked = select(
        func.coalesce(func.sum(workers.c.epochs), 0),
        func.coalesce(func.sum(case((lately, workers.c.epochs), else_=0)), 0),
        func.coalesce(func.sum(case((lately, workers.c.training_seconds), else_=0.0)), 0.0),
    )
    with store.engine.connect() as connection:
        by_state = _counts(connection, STATE, true())
        by_status = _counts(connection, comparisons.c.status, true())
        seen = _counts(connection, workers.c.state, lately)
        epochs, epochs_lately, seconds_lately = connection.execute(worked).one()
    return Totals(
        trials=by_state,
        comparisons=by_status,
        workers=seen,
        epochs=epochs,
        epochs_per_second=epochs_lately / seconds_lately if seconds_lately else 0.0,
    )


def _counts(
    connection: Connection, column: ColumnElement[str], where: ColumnElement[bool]
) -> dict[str, int]:
    """How many rows have each value of the column."""
    query = select(column, func.count()).where(where).group_by(column)
    return {row[0]: row[1] for row in connection.execute(query)}
