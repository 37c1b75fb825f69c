"""Which trials may run next, in what order: the query that workers ask; and with which code."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, case, func, select, update

from tuner import __version__
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE, WAITING, Now, comparisons, studies, trials
from tuner.search.queue.giving_back import STRIKES


def waiting_places(
    comparison: str | None, without: Collection[str]
) -> Select[Any]:  # Any: columns
    """Where trials wait: study, first position, whether they raised, strikes, size of a batch.

    A row for each batch, and for each trial that raised. Comparisons take turns; within one, arms
    advance side by side, lowest position first; trials that raised or died before come last.

    Args:
        comparison: Look at this comparison only.
        without: Leave these studies out.
    """
    retry = trials.c.failures > 0
    first = func.min(trials.c.position)
    past = case((comparisons.c.served <= Now(), comparisons.c.served))  # if no clock was set back
    served = func.coalesce(func.min(past), 0.0)
    batch = func.coalesce(trials.c.position // studies.c.batch, 0)
    together = case((retry, trials.c.position), else_=batch)
    query = (
        select(trials.c.study_name, first, retry, STRIKES, func.min(studies.c.batch))
        .join(comparisons, comparisons.c.name == trials.c.comparison)
        .join(studies, studies.c.study_name == trials.c.study_name)
        .where(
            trials.c.state == WAITING,
            comparisons.c.status == ACTIVE,
            comparisons.c.code_version == __version__,
            studies.c.status == ACTIVE,
            studies.c.study_name.not_in(without),
        )
        .group_by(trials.c.study_name, retry, STRIKES, together)
        .order_by(served, retry, STRIKES, first, trials.c.study_name)
    )
    return query if comparison is None else query.where(trials.c.comparison == comparison)


def may_be_taken(store: Store, study_name: str) -> bool:
    """Whether trials of the study may run: it and its comparison are active."""
    query = (
        select(studies.c.study_name)
        .join(comparisons, comparisons.c.name == studies.c.comparison)
        .where(
            studies.c.study_name == study_name,
            studies.c.status == ACTIVE,
            comparisons.c.status == ACTIVE,
        )
    )
    with store.reader.connect() as connection:
        return connection.scalar(query) is not None


def own_code(store: Store, comparison: str, version: str) -> str | None:
    """The version of the user's code that a comparison's first trials ran: this one if none did.

    ``None`` if the comparison is deleted.
    """
    this = comparisons.c.name == comparison
    query = select(comparisons.c.own_code).where(this)
    with store.reader.connect() as connection:
        if (known := connection.scalar(query)) is not None:
            return str(known)
    with store.begin() as connection:
        mine = update(comparisons).where(this, comparisons.c.own_code.is_(None))
        connection.execute(mine.values(own_code=version))
        return connection.scalar(query)
