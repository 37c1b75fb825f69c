"""Trials that their worker does not finish: put back, or ended where that happened too often.

A trial whose process dies (memory ran out, a segmentation fault) would take one worker after the
other with it. So deaths are counted, and what is tried next finds the trial that is to blame: the
whole batch again, since the death may have been none of its doing; then its halves, their halves,
and so on; at last a trial alone, which fails when it has died alone a few times. A lease that ran
out says less (a machine was switched off, a process was stopped): several count as one death.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

from optuna.trial import TrialState
from sqlalchemy import ColumnElement, Connection, Row, literal_column, null, select, update

from tuner.search.database.events import record
from tuner.search.database.patience import away
from tuner.search.database.store import Store
from tuner.search.database.tables import FAILED, RUNNING, WAITING, Now, studies, trials
from tuner.search.queue.outside import beside_others

LOSSES_PER_DEATH = 4
"""So many leases that ran out count as one death."""

_WHOLE = 2
"""A batch is tried so often as a whole."""

_ALONE = 3
"""A trial that died so often with no other beside it has failed."""

STRIKES: ColumnElement[int] = trials.c.deaths + trials.c.losses // literal_column(
    str(LOSSES_PER_DEATH)
)
"""How often trials died, or as good as that."""

Why = Literal["released", "lost", "died"]
"""Why trials are given back: their worker let go, or its lease ran out, or its process ended."""

_COUNTED: Mapping[Why, str] = {"lost": "losses", "died": "deaths"}
_log = logging.getLogger(__name__)


def suspects(batch: range, position: int, strikes: int) -> range:
    """Those of a batch that are tried together after so many deaths, a trial's among them."""
    size = math.ceil(len(batch) / 2 ** max(0, strikes - _WHOLE + 1))
    first = batch.start + (position - batch.start) // size * size
    return range(first, min(first + size, batch.stop))


def most_strikes(batch: int) -> int:
    """With so many a trial of a batch of that size has failed."""
    return _WHOLE - 1 + math.ceil(math.log2(batch)) + _ALONE


def give_back(
    store: Store,
    which: ColumnElement[bool],
    why: Why,
    *,
    how: str = "",
    lines: Sequence[str] = (),
) -> list[Row[Any]]:  # Any: a row's columns
    """Put running trials back; those that died too often have failed.

    Trials of a study about which this cannot be written are left to the next who tries.

    Args:
        store: The database.
        which: Of the running trials, these.
        why: What happened to their worker.
        how: How its process ended, in words.
        lines: The last lines that it wrote.

    Returns:
        Their rows, as they are now.
    """
    running = (trials.c.state == RUNNING) & which
    with store.engine.connect() as connection:
        names = list(connection.scalars(select(trials.c.study_name).where(running).distinct()))
    rows: list[Row[Any]] = []
    for name in names:
        act = partial(_give_back, store, running & (trials.c.study_name == name), why, how, lines)
        try:
            rows += beside_others(store, partial(list, [name]), act)
        except Exception as error:
            if away(error):
                raise
            _log.warning("trials are not put back", exc_info=True, extra={"study": name})
    return rows


def cut_leases(store: Store, seconds: float) -> None:
    """Have leases that end later than in twice so many seconds end after so many.

    None is given for longer: since those were, the database's clock was set back, and what a dead
    worker held would wait until the clock is where it was.
    """
    too_long = (trials.c.state == RUNNING) & (trials.c.lease_expires > Now() + 2 * seconds)
    query = select(trials.c.trial_id).where(too_long)
    with store.reader.connect() as connection:
        if connection.scalar(query.limit(1)) is None:
            return
    free = query.with_for_update(skip_locked=True).cte("free", nesting=True)
    with store.begin() as connection:
        these = update(trials).where(trials.c.trial_id.in_(select(free.c.trial_id)))
        connection.execute(these.values(lease_expires=Now() + seconds))


def _give_back(
    store: Store, which: ColumnElement[bool], why: Why, how: str, lines: Sequence[str]
) -> Sequence[Row[Any]]:
    back: dict[str, object] = {"state": WAITING, "worker": null(), "lease_expires": null()}
    if counted := _COUNTED.get(why):
        back[counted] = trials.c[counted] + 1
    batch = select(studies.c.batch).where(studies.c.study_name == trials.c.study_name)
    with store.transaction() as connection:
        rows = connection.execute(
            update(trials)
            .where(which)
            .values(back)
            .returning(*trials.c, STRIKES.label("strikes"), batch.scalar_subquery().label("batch"))
        ).all()
        ended = {
            row.trial_id
            for row in rows
            if why in _COUNTED and row.strikes >= most_strikes(row.batch or 1)
        }
        if ended:
            its = trials.c.trial_id.in_(ended)
            connection.execute(update(trials).where(its).values(state=FAILED))
        for row in rows:
            if row.trial_id in ended:
                error = "\n".join((*lines, _in_words(row, how)))
                store.optuna.set_trial_user_attr(row.trial_id, "error", error)
            state = TrialState.FAIL if row.trial_id in ended else TrialState.WAITING
            store.optuna.set_trial_state_values(row.trial_id, state)
        _record(connection, "failed", [row for row in rows if row.trial_id in ended])
        kind = "released" if why == "released" else "lost"
        _record(connection, kind, [row for row in rows if row.trial_id not in ended])
    return rows


def _in_words(row: Row[Any], how: str) -> str:
    """Why the trial failed."""
    parts = []
    if row.deaths:
        last = f", the last one by {how}" if how else ""
        parts.append(f"processes that trained it ended {row.deaths} times{last}")
    if row.losses:
        parts.append(f"workers that trained it fell silent {row.losses} times")
    return f"{' and '.join(parts)}; it was tried {row.attempts} times, at last alone"


def _record(connection: Connection, kind: str, rows: Sequence[Row[Any]]) -> None:
    if rows:
        name = rows[0].study_name
        record(connection, rows[0].comparison, kind, study=name, n=len(rows))
