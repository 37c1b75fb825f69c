"""What there is to see in a database: rows of our own tables, a page at a time.

Lists touch our tables only, by their indices, however many trials a database holds; what Optuna
knows about a trial is read for one trial at a time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from optuna.trial import FrozenTrial
from sqlalchemy import ColumnElement, Row, Select, case, func, select

from tuner import __version__
from tuner.errors import NotFound
from tuner.search.database.finished import minimized
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    COMPLETE,
    DELETING,
    DONE,
    HELD,
    LIVE,
    STARTING,
    UNFINISHED,
    WAITING,
    Now,
    comparisons,
    studies,
    trials,
    workers,
)
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue import operations
from tuner.search.queue.queue import LEASE_SECONDS
from tuner.search.watch.counts import VERSIONED, counted
from tuner.search.watch.progress import ArmProgress, StudyProgress, arms_progress
from tuner.search.watch.searching import EVERYTHING, Sought


@dataclass(frozen=True)
class ComparisonRow:
    """A comparison without its declaration; see ``tables.comparisons``."""

    name: str
    status: str
    revision: int
    created: float
    code_version: str
    trouble: str | None = None
    notes: str = ""
    tags: tuple[str, ...] = ()
    archived: bool = False

    @property
    def hidden(self) -> bool:
        """Whether lists leave it out: whatever is active is shown."""
        return self.archived and self.status != ACTIVE


@dataclass(frozen=True)
class StudyRow:
    """A study, and its trials by state; see ``tables.studies``."""

    id: int
    study_name: str
    comparison: str
    arm: str
    repeat: int
    retrain: bool
    n_trials: int
    status: str
    revision: int
    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int
    best: float | None


@dataclass(frozen=True)
class TrialRow:
    """A trial in the queue; see ``tables.trials``."""

    trial_id: int
    study_name: str
    position: int
    state: str
    value: float | None
    worker: str | None
    attempts: int
    failures: int
    deaths: int
    losses: int


@dataclass(frozen=True)
class WorkerRow:
    """A worker; ``state`` is gone if it gave no sign of life for long. See ``tables.workers``."""

    name: str
    host: str
    pid: int
    device: str
    code_version: str
    started: float
    last_seen: float
    state: str
    study_name: str | None
    running: int
    finished: int
    epochs: int
    training_seconds: float
    message: str | None


_COMPARISON = (
    comparisons.c.name,
    comparisons.c.status,
    comparisons.c.revision,
    comparisons.c.created,
    comparisons.c.code_version,
    comparisons.c.trouble,
    comparisons.c.notes,
    comparisons.c.tags,
    comparisons.c.archived,
)
STARTING_NOTE = "workers are starting"
"""What a comparison waits for in the seconds that a worker takes to load what it needs."""

_MOST_REMEMBERED = 2000
_Key = tuple[int, str]  # trial id, study name: SQLite gives the numbers of deleted ones again
_finished: WeakKeyDictionary[Store, OrderedDict[_Key, FrozenTrial]] = WeakKeyDictionary()
_STATE = case((trials.c.state == HELD, WAITING), else_=trials.c.state).label("state")
_TRIAL = [_STATE if name == "state" else trials.c[name] for name in TrialRow.__dataclass_fields__]


def list_comparisons(
    store: Store,
    *,
    limit: int,
    before: tuple[float, str] | None = None,
    sought: Sought = EVERYTHING,
) -> list[ComparisonRow]:
    """Comparisons, newest first.

    Args:
        store: The database.
        limit: How many at most.
        before: Only those after this one (its created, its name) in this order.
        sought: Only these.
    """
    key = (comparisons.c.created, comparisons.c.name)
    query = select(*_COMPARISON).order_by(*(column.desc() for column in key)).limit(limit)
    if before is not None:
        created, name = before
        same = (key[0] == created) & (key[1] < name)
        query = query.where((key[0] < created) | same)
    return [_comparison(row) for row in _rows(store, query.where(sought.condition))]


def get_comparison(store: Store, name: str) -> ComparisonRow:
    """One comparison.

    Raises:
        NotFound: If there is none of that name.
    """
    rows = _rows(store, select(*_COMPARISON).where(comparisons.c.name == storable(name)))
    if not rows:
        raise NotFound(f"there is no comparison {name!r}")
    return _comparison(rows[0])


def list_studies(
    store: Store,
    *,
    limit: int,
    after: int = 0,
    comparison: str | None = None,
    status: str | None = None,
) -> list[StudyRow]:
    """Studies in the order of their submission, with their trials by state.

    Args:
        store: The database.
        limit: How many at most.
        after: Only those with a higher id.
        comparison: Only this comparison's.
        status: Only those in this state; a study is complete as soon as its trials are.
    """
    matching: list[StudyRow] = []
    while True:
        query = VERSIONED.where(studies.c.id > after).limit(limit)
        if comparison is not None:
            query = query.where(studies.c.comparison == storable(comparison))
        rows = _rows(store, query)
        page = _with_counts(store, rows)
        matching += [study for study in page if status in (None, study.status)]
        if len(matching) >= limit or len(rows) < limit:
            return matching[:limit]
        after = rows[-1].id


def get_study(store: Store, study_id: int) -> StudyRow:
    """One study.

    Raises:
        NotFound: If there is none of that number.
    """
    matching = _with_counts(store, _rows(store, VERSIONED.where(studies.c.id == study_id)))
    if not matching:
        raise NotFound(f"there is no study {study_id}")
    return matching[0]


def arms_of(store: Store, spec: ComparisonSpec) -> tuple[ArmProgress, ...]:
    """How far the comparison's arms are."""
    rows = _rows(store, VERSIONED.where(studies.c.comparison == spec.name))
    return arms_progress(spec, counted(store, rows))


def list_trials(
    store: Store, study_name: str, *, limit: int, after: int = -1, state: str | None = None
) -> list[TrialRow]:
    """Trials of a study by position; held ones count as waiting.

    Args:
        store: The database.
        study_name: The study.
        limit: How many at most.
        after: Only those at higher positions.
        state: Only those in this state.
    """
    this = (trials.c.study_name == study_name) & (trials.c.position > after)
    query = select(*_TRIAL).where(this).order_by(trials.c.position).limit(limit)
    if state is not None:
        query = query.where(trials.c.state.in_((WAITING, HELD) if state == WAITING else (state,)))
    return [TrialRow(**row._asdict()) for row in _rows(store, query)]


def best_trials(store: Store, study_name: str, limit: int) -> list[TrialRow]:
    """The finished trials with the best values, ties by position."""
    this = (trials.c.study_name == study_name) & (trials.c.state == DONE)
    with store.reader.connect() as connection:
        comparison = connection.scalar(select(trials.c.comparison).where(this).limit(1))
        lower = bool(comparison and minimized(connection, [comparison]))
        order = trials.c.value.asc() if lower else trials.c.value.desc()
        query = select(*_TRIAL).where(this).order_by(order, trials.c.position).limit(limit)
        return [TrialRow(**row._asdict()) for row in connection.execute(query)]


def get_trial(store: Store, trial_id: int) -> tuple[TrialRow, FrozenTrial]:
    """One trial, in the queue and in Optuna.

    Raises:
        NotFound: If there is none of that number in the queue.
    """
    rows = _rows(store, select(*_TRIAL).where(trials.c.trial_id == trial_id))
    if not rows:
        raise NotFound(f"there is no trial {trial_id}")
    known = _finished.setdefault(store, OrderedDict())
    key = (trial_id, rows[0].study_name)
    if (trial := known.get(key)) is None:
        try:
            trial = store.rdb.get_trial(trial_id)
        except KeyError as error:
            raise NotFound(f"trial {trial_id} was deleted from outside") from error
        if trial.state.is_finished():  # for good
            known[key] = trial
            if len(known) > _MOST_REMEMBERED:
                known.popitem(last=False)
    return TrialRow(**rows[0]._asdict()), trial


def list_workers(store: Store) -> list[WorkerRow]:
    """The workers of the last week, those seen last first."""
    live = workers.c.state.in_((STARTING, *LIVE))
    gone = live & (workers.c.last_seen < Now() - LEASE_SECONDS)
    state = case((gone, "gone"), else_=workers.c.state).label("state")
    columns = [c for c in workers.c if c.name != "state"]
    query = select(*columns, state).order_by(workers.c.last_seen.desc(), workers.c.name)
    return [WorkerRow(**row._asdict()) for row in _rows(store, query)]


def finished_count(store: Store, which: ColumnElement[bool]) -> int:
    """How many of these trials have ended: what was computed from them holds until it changes."""
    query = select(func.count()).where(which, trials.c.state.not_in(UNFINISHED))
    with store.engine.connect() as connection:
        return connection.scalar(query) or 0


def note(store: Store, row: ComparisonRow, arms: Sequence[ArmProgress]) -> str | None:
    """What a comparison waits for, if it is active and nobody works on it, or can, or to be gone.

    Args:
        store: The database.
        row: The comparison.
        arms: How far its arms are.
    """
    if row.status == DELETING:
        return _how_far_deleted(operations.latest(store, row.name))
    if row.status != ACTIVE or row.trouble:
        return row.trouble if row.status == ACTIVE else None
    there = _rows(
        store,
        select(workers.c.code_version, workers.c.message, workers.c.state).where(
            workers.c.last_seen > Now() - LEASE_SECONDS, workers.c.state.in_((STARTING, *LIVE))
        ),
    )
    live = [worker for worker in there if worker.state != STARTING]
    if not live and all(arm.complete for arm in arms):
        if store.comparison(row.name).undecided(store.budgets(row.name)):
            return "all trials up to a look have ended, only the look is not taken"
        return (
            "all trials have ended, only the end of the comparison is not recorded; tuner run, "
            "tuner worker and tuner serve record it"
        )
    if there and not live:
        return STARTING_NOTE
    if not live:
        return "no worker is running; start one with: tuner worker"
    versions = sorted({worker.code_version for worker in live})
    if row.code_version not in versions:
        return (
            f"waits for a worker of bnn-tuner {row.code_version}; the workers here run "
            f"{', '.join(versions)}"
        )
    if row.code_version != __version__:
        return f"it is run by bnn-tuner {row.code_version}; this server is {__version__}"
    refusals = [refusal for worker in live if (refusal := _refusal(worker.message, row.name))]
    return refusals[0] if len(refusals) == len(live) else None


def _how_far_deleted(operation: operations.Operation | None) -> str:
    if operation is None or not operation.error:
        how_far = (
            "" if operation is None else f": {operation.done:,} of {operation.total:,} trials"
        )
        return f"it is being deleted{how_far}"
    return f"deleting it failed, so delete it again: {operation.error}"


def _comparison(row: Row[Any]) -> ComparisonRow:  # Any: a row's columns
    values = row._asdict()
    tags, archived = tuple(values["tags"].split()), values["archived"] is not None
    return ComparisonRow(**{**values, "tags": tags, "archived": archived})


def _refusal(message: str | None, comparison: str) -> str:
    """Why a worker leaves the comparison's studies out, in its own words; empty if it does not."""
    words = f"; {message or ''}"
    return words[place + 2 :] if (place := words.find(f"; {comparison}/")) >= 0 else ""


def _with_counts(store: Store, rows: Sequence[Row[Any]]) -> list[StudyRow]:
    counts = counted(store, rows)
    return [_study(row, counts[row.study_name]) for row in rows]


def _study(row: Row[Any], counts: StudyProgress) -> StudyRow:
    ended = row.status == ACTIVE and 0 < row.n_trials == counts.done + counts.failed
    return StudyRow(
        id=row.id,
        study_name=row.study_name,
        comparison=row.comparison,
        arm=row.arm,
        repeat=row.repeat,
        retrain=row.retrain,
        n_trials=row.n_trials,
        status=COMPLETE if ended else row.status,
        revision=row.revision,
        waiting=counts.waiting + counts.held,
        running=counts.running,
        done=counts.done,
        failed=counts.failed,
        cancelled=counts.cancelled,
        best=counts.best,
    )


def storable(text: str) -> str:
    """The text, or another that no row has either, where PostgreSQL refuses to look for it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _rows(store: Store, query: Select[Any]) -> Sequence[Row[Any]]:  # Any: a row's columns
    with store.reader.connect() as connection:
        return connection.execute(query).all()
