"""What there is to see in a database: rows of our own tables, a page at a time.

Lists touch our tables only, by their indices, however many trials a database holds; what Optuna
knows about a trial is read for one trial at a time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from optuna.trial import FrozenTrial
from sqlalchemy import ColumnElement, Row, Select, bindparam, case, func, select

from tuner import __version__
from tuner.errors import NotFound
from tuner.search.database.finished import is_minimized
from tuner.search.database.storage.rows import trial_of_rows
from tuner.search.database.store import DECLARED, Store
from tuner.search.database.tables import (
    ACTIVE,
    COMPLETE,
    DONE,
    HELD,
    LIVE,
    PAUSED,
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
    """A study, and its ``n_trials`` trials by state; see ``tables.studies``.

    Those that are not enqueued yet wait, unless the study has ended: then they are cancelled.
    """

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


class TrialRow(NamedTuple):
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
_MOST_REMEMBERED = 2000
_Key = tuple[int, str]  # trial id, study name: SQLite gives the numbers of deleted ones again
_finished: WeakKeyDictionary[Store, OrderedDict[_Key, FrozenTrial]] = WeakKeyDictionary()
STATE = case((trials.c.state == HELD, WAITING), else_=trials.c.state).label("state")
"""A trial's state as people see it: what is being enqueued waits."""

_TRIAL = [STATE if name == "state" else trials.c[name] for name in TrialRow._fields]

# What is asked again and again: making a query of its parts takes longer than answering it.
_NEWEST = select(*_COMPARISON).order_by(comparisons.c.created.desc(), comparisons.c.name.desc())
_ALL_NEWEST = _NEWEST.where(EVERYTHING.condition).limit(bindparam("limit"))
_OF_NAME = select(*_COMPARISON).where(comparisons.c.name == bindparam("name"))
_STUDIES = VERSIONED.where(studies.c.id > bindparam("after")).limit(bindparam("limit"))
_STUDY = VERSIONED.where(studies.c.id == bindparam("study_id"))
_STUDIES_OF = VERSIONED.where(studies.c.comparison == bindparam("comparison"))
_TRIALS = (
    select(*_TRIAL)
    .where(trials.c.study_name == bindparam("study_name"), trials.c.position > bindparam("after"))
    .order_by(trials.c.position)
    .limit(bindparam("limit"))
)
_BEST = (
    select(*_TRIAL)
    .where(trials.c.study_name == bindparam("study_name"), trials.c.state == DONE)
    .limit(bindparam("limit"))
)
_LOWEST = _BEST.order_by(trials.c.value.asc(), trials.c.position)
_HIGHEST = _BEST.order_by(trials.c.value.desc(), trials.c.position)
_ONE_TRIAL = select(*_TRIAL).where(trials.c.trial_id == bindparam("trial_id"))
_WORKERS = select(
    *(column for column in workers.c if column.name != "state"),
    case(
        (
            workers.c.state.in_((STARTING, *LIVE)) & (workers.c.last_seen < Now() - LEASE_SECONDS),
            "gone",
        ),
        else_=workers.c.state,
    ).label("state"),
).order_by(workers.c.last_seen.desc(), workers.c.name)


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
    if before is None and sought == EVERYTHING:
        return [_comparison(row) for row in _rows(store, _ALL_NEWEST, limit=limit)]
    query = _NEWEST.where(sought.condition).limit(limit)
    if before is not None:
        created, name = before
        same = (comparisons.c.created == created) & (comparisons.c.name < name)
        query = query.where((comparisons.c.created < created) | same)
    return [_comparison(row) for row in _rows(store, query)]


def get_comparison(store: Store, name: str) -> ComparisonRow:
    """One comparison.

    Raises:
        NotFound: If there is none of that name.
    """
    rows = _rows(store, _OF_NAME, name=storable(name))
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
        query = _STUDIES
        if comparison is not None:
            query = query.where(studies.c.comparison == storable(comparison))
        rows = _rows(store, query, after=after, limit=limit)
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
    matching = _with_counts(store, _rows(store, _STUDY, study_id=study_id))
    if not matching:
        raise NotFound(f"there is no study {study_id}")
    return matching[0]


def arms_of(store: Store, spec: ComparisonSpec) -> tuple[ArmProgress, ...]:
    """How far the comparison's arms are."""
    return arms_progress(spec, counted(store, _rows(store, _STUDIES_OF, comparison=spec.name)))


def just_accepted(spec: ComparisonSpec, created: float) -> ComparisonRow:
    """The comparison as it was accepted at this time."""
    return ComparisonRow(spec.name, ACTIVE, 1, created, __version__)


def arms_at_first(spec: ComparisonSpec) -> tuple[ArmProgress, ...]:
    """How far the arms are of a comparison that was just accepted."""
    budgets = spec.first_budgets.items()
    return arms_progress(spec, {name: StudyProgress(n_trials=n) for name, n in budgets})


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
    query = _TRIALS
    if state is not None:
        query = query.where(trials.c.state.in_((WAITING, HELD) if state == WAITING else (state,)))
    rows = _rows(store, query, study_name=study_name, after=after, limit=limit)
    return [TrialRow._make(row) for row in rows]


def best_trials(store: Store, study_name: str, limit: int) -> list[TrialRow]:
    """The finished trials with the best values, ties by position."""
    this = {"study_name": study_name}
    with store.reader.connect() as connection:
        spec = connection.scalar(DECLARED, this)
        query = _LOWEST if spec is not None and is_minimized(spec) else _HIGHEST
        return [TrialRow._make(row) for row in connection.execute(query, {**this, "limit": limit})]


def get_trial(store: Store, trial_id: int) -> tuple[TrialRow, FrozenTrial]:
    """One trial, in the queue and in Optuna.

    Raises:
        NotFound: If there is none of that number in the queue.
    """
    rows = _rows(store, _ONE_TRIAL, trial_id=trial_id)
    if not rows:
        raise NotFound(f"there is no trial {trial_id}")
    row = TrialRow._make(rows[0])
    return row, in_optuna(store, row)


def in_optuna(store: Store, row: TrialRow) -> FrozenTrial:
    """What Optuna knows of the trial.

    Raises:
        NotFound: If it was deleted there.
    """
    known = _finished.setdefault(store, OrderedDict())
    key = (row.trial_id, row.study_name)
    if (trial := known.get(key)) is None:
        with store.reader.connect() as connection:
            trial = trial_of_rows(connection, row.trial_id)
        if trial is None:
            raise NotFound(f"trial {row.trial_id} was deleted from outside")
        if trial.state.is_finished():  # for good
            known[key] = trial
            if len(known) > _MOST_REMEMBERED:
                known.popitem(last=False)
    return trial


def list_workers(store: Store) -> list[WorkerRow]:
    """The workers of the last week, those seen last first."""
    return [WorkerRow(**row._asdict()) for row in _rows(store, _WORKERS)]


def finished_count(store: Store, which: ColumnElement[bool]) -> int:
    """How many of these trials have ended: what was computed from them holds until it changes."""
    query = select(func.count()).where(which, trials.c.state.not_in(UNFINISHED))
    with store.engine.connect() as connection:
        return connection.scalar(query) or 0


def _comparison(row: Row[Any]) -> ComparisonRow:  # Any: a row's columns
    values = row._asdict()
    tags, archived = tuple(values["tags"].split()), values["archived"] is not None
    return ComparisonRow(**{**values, "tags": tags, "archived": archived})


def _with_counts(store: Store, rows: Sequence[Row[Any]]) -> list[StudyRow]:
    counts = counted(store, rows)
    return [_study(row, counts[row.study_name]) for row in rows]


def _study(row: Row[Any], counts: StudyProgress) -> StudyRow:
    ended = row.status == ACTIVE and 0 < row.n_trials == counts.done + counts.failed
    status = COMPLETE if ended else row.status
    others = row.n_trials - counts.running - counts.done - counts.failed
    cancelled = counts.cancelled if status in (ACTIVE, PAUSED) else others
    return StudyRow(
        id=row.id,
        study_name=row.study_name,
        comparison=row.comparison,
        arm=row.arm,
        repeat=row.repeat,
        retrain=row.retrain,
        n_trials=row.n_trials,
        status=status,
        revision=row.revision,
        waiting=others - cancelled,
        running=counts.running,
        done=counts.done,
        failed=counts.failed,
        cancelled=cancelled,
        best=counts.best,
    )


def storable(text: str) -> str:
    """The text, or another that no row has either, where PostgreSQL refuses to look for it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _rows(
    store: Store, query: Select[Any], **values: object
) -> Sequence[Row[Any]]:  # Any: a row's columns
    with store.reader.connect() as connection:
        return connection.execute(query, values).all()
