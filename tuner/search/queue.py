"""The queue: which trial may run, who runs it, and until when.

Each step of a trial's life, however many trials take it together, is one transaction over Optuna's
tables and ours, so a crash at any point leaves both agreeing: trials are enqueued, claimed,
finished or put back in both or in neither. A claim is one atomic statement, exact on SQLite and on
PostgreSQL. Whatever a worker writes about trials begins with an update that only the holder of
their leases can make (the fence); it leaves out those that were lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, case, func, insert, null, select, update

from tuner.search.store import Store
from tuner.search.tables import DONE, FAILED, HELD, RUNNING, WAITING, Now, trials

LEASE_SECONDS = 60.0
"""How long a claim lasts without a sign of life from its worker."""

MAX_FAILURES = 2
"""A trial that raised this many exceptions is FAIL: the first failure is retried."""


@dataclass(frozen=True)
class NextUp:
    """Where trials wait: the study, the first position, and whether they failed before."""

    study_name: str
    position: int
    retry: bool


@dataclass(frozen=True)
class Claim:
    """Trials of one study that one worker holds; parallel tuples."""

    study_name: str
    trial_ids: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """How a trial ended.

    Args:
        state: COMPLETE or PRUNED.
        value: Validation accuracy at the last epoch trained.
        attributes: What goes into the trial's user attributes, JSON-able.
        intermediate: Epoch -> validation accuracy not reported yet.
    """

    state: TrialState
    value: float
    attributes: Mapping[str, Any] = field(default_factory=dict)  # Any: any JSON value
    intermediate: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StudyProgress:
    """How far a study is: numbers of trials, and the best validation accuracy so far."""

    waiting: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0
    best: float | None = None

    @property
    def total(self) -> int:
        """Trials in the queue so far."""
        return self.waiting + self.running + self.finished

    @property
    def finished(self) -> int:
        """Trials that will not run again."""
        return self.done + self.failed


class Queue:
    """The queue of a store's trials.

    Args:
        store: Where it lies.
        lease_seconds: How long a claim lasts without a sign of life.
    """

    def __init__(self, store: Store, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.store = store
        self.lease_seconds = lease_seconds

    def add(self, comparison: str, study_name: str, templates: Mapping[int, FrozenTrial]) -> None:
        """Enqueue trials, by position, held: all of them in both places, or none.

        Raises:
            sqlalchemy.exc.IntegrityError: If a position is taken; nothing was written.
        """
        storage = self.store.rdb
        study_id = storage.get_study_id_from_name(study_name)
        with self.store.transaction() as connection:
            for position, template in templates.items():
                trial_id = storage.create_new_trial(study_id, template)
                connection.execute(
                    insert(trials).values(
                        trial_id=trial_id,
                        comparison=comparison,
                        study_name=study_name,
                        position=position,
                    )
                )

    def open(self, study_name: str) -> None:
        """Let workers take the study's trials, all of them from the same moment on."""
        with self.store.engine.begin() as connection:
            connection.execute(
                update(trials)
                .where(trials.c.study_name == study_name, trials.c.state == HELD)
                .values(state=WAITING)
            )

    def positions(self, study_name: str) -> dict[int, int]:
        """Position -> trial id of every trial of the study that was ever enqueued."""
        query = select(trials.c.position, trials.c.trial_id).where(
            trials.c.study_name == study_name
        )
        with self.store.engine.connect() as connection:
            return {row.position: row.trial_id for row in connection.execute(query)}

    def next_up(self, comparison: str | None = None) -> NextUp | None:
        """The study to take trials from; None if nothing waits.

        Arms advance side by side, lowest position first. Trials that failed before come last.

        Args:
            comparison: Look at this comparison only.
        """
        retry = trials.c.failures > 0
        first = func.min(trials.c.position)
        query = (
            select(trials.c.study_name, first, retry)
            .where(trials.c.state == WAITING)
            .group_by(trials.c.study_name, retry)
            .order_by(retry, first, trials.c.study_name)
            .limit(1)
        )
        if comparison is not None:
            query = query.where(trials.c.comparison == comparison)
        with self.store.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else NextUp(row[0], row[1], bool(row[2]))

    def claim(self, study_name: str, worker: str, positions: range) -> Claim:
        """Take the trials that wait at these positions, each exactly once among all workers.

        Args:
            study_name: The study.
            worker: Who takes them; a name that no other process ever has.
            positions: From where to where, in steps of one.
        """
        picked = (
            select(trials.c.trial_id)
            .where(
                trials.c.study_name == study_name,
                trials.c.state == WAITING,
                trials.c.position >= positions.start,
                trials.c.position < positions.stop,
            )
            .with_for_update(skip_locked=True)  # SQLite has one writer at a time and needs none
            .cte("picked")
        )
        take = (
            update(trials)
            .where(trials.c.trial_id.in_(select(picked.c.trial_id)))
            .values(
                state=RUNNING,
                worker=worker,
                lease_expires=Now() + self.lease_seconds,
                attempts=trials.c.attempts + 1,
            )
            .returning(trials.c.position, trials.c.trial_id)
        )
        with self.store.transaction() as connection:
            rows = sorted((row.position, row.trial_id) for row in connection.execute(take))
            for _, trial_id in rows:
                self.store.optuna.set_trial_state_values(trial_id, TrialState.RUNNING)
        return Claim(study_name, tuple(row[1] for row in rows), tuple(row[0] for row in rows))

    def renew(self, worker: str) -> None:
        """Extend the leases of everything the worker holds."""
        with self.store.engine.begin() as connection:
            connection.execute(
                update(trials)
                .where(trials.c.worker == worker, trials.c.state == RUNNING)
                .values(lease_expires=Now() + self.lease_seconds)
            )

    def report(self, worker: str, epoch: int, values: Mapping[int, float]) -> set[int]:
        """Write an epoch's validation accuracies down, for the trials the worker still holds.

        Args:
            worker: Who reports.
            epoch: From 1.
            values: Trial id -> validation accuracy.

        Returns:
            The trial ids it still holds; the others are someone else's by now.
        """
        expires = Now() + self.lease_seconds
        with self.store.transaction() as connection:
            held = _fence(connection, worker, values, lease_expires=expires)
            for trial_id in held:
                self.store.optuna.set_trial_intermediate_value(trial_id, epoch, values[trial_id])
        return set(held)

    def finish(self, worker: str, outcomes: Mapping[int, Outcome]) -> set[int]:
        """End trials: their attributes, values and states, here and in Optuna, all at once.

        Args:
            worker: Who ran them.
            outcomes: Trial id -> how it ended, at least one.

        Returns:
            The trial ids it still held; about the others nothing was written.
        """
        storage = self.store.optuna
        values = {trial_id: outcome.value for trial_id, outcome in outcomes.items()}
        value = case(values, value=trials.c.trial_id)
        with self.store.transaction() as connection:
            held = _fence(connection, worker, outcomes, state=DONE, value=value)
            for trial_id in held:
                outcome = outcomes[trial_id]
                for key, attribute in outcome.attributes.items():
                    storage.set_trial_user_attr(trial_id, key, attribute)
                for epoch, accuracy in outcome.intermediate.items():
                    storage.set_trial_intermediate_value(trial_id, epoch, accuracy)
                storage.set_trial_state_values(trial_id, outcome.state, [outcome.value])
        return set(held)

    def fail(self, worker: str, trial_ids: Iterable[int], error: str) -> set[int]:
        """Note that trials raised: each is put back once, and FAIL the second time.

        Args:
            worker: Who ran them.
            trial_ids: The trials.
            error: The traceback, for the user attribute ``error``.

        Returns:
            The trial ids it still held; about the others nothing was written.
        """
        storage = self.store.optuna
        failures = trials.c.failures + 1
        state = case((failures < MAX_FAILURES, WAITING), else_=FAILED)
        with self.store.transaction() as connection:
            held = _fence(connection, worker, trial_ids, failures=failures, state=state)
            for trial_id, ended in held.items():
                storage.set_trial_user_attr(trial_id, "error", error)
                storage.set_trial_state_values(
                    trial_id, TrialState.FAIL if ended == FAILED else TrialState.WAITING
                )
        return set(held)

    def release(self, workers: Sequence[str]) -> int:
        """Put back everything these workers hold; returns how many trials that was."""
        return self._put_back(trials.c.worker.in_(workers))

    def holders(self) -> list[str]:
        """The workers that hold a trial."""
        query = select(trials.c.worker).where(trials.c.state == RUNNING).distinct()
        with self.store.engine.connect() as connection:
            return list(connection.scalars(query))

    def reap(self) -> int:
        """Put back every trial whose lease ran out; returns how many that was."""
        return self._put_back(trials.c.lease_expires < Now())

    def progress(self, comparison: str) -> dict[str, StudyProgress]:
        """How far each study of the comparison is, by study name."""
        query = (
            select(trials.c.study_name, trials.c.state, func.count(), func.max(trials.c.value))
            .where(trials.c.comparison == comparison)
            .group_by(trials.c.study_name, trials.c.state)
        )
        studies: dict[str, dict[str, Any]] = {}  # Any: a count or an accuracy
        with self.store.engine.connect() as connection:
            for study_name, state, count, best in connection.execute(query):
                study = studies.setdefault(study_name, {})
                field = WAITING if state == HELD else state
                study[field] = study.get(field, 0) + count
                if best is not None:
                    study["best"] = best
        return {study_name: StudyProgress(**study) for study_name, study in studies.items()}

    def _put_back(self, which: ColumnElement[bool]) -> int:
        back = (
            update(trials)
            .where(trials.c.state == RUNNING, which)
            .values(state=WAITING, worker=null(), lease_expires=null())
            .returning(trials.c.trial_id)
        )
        with self.store.transaction() as connection:
            ids: Iterable[int] = connection.scalars(back).all()
            for trial_id in ids:
                self.store.optuna.set_trial_state_values(trial_id, TrialState.WAITING)
        return len(list(ids))


def _fence(
    connection: Connection, worker: str, trial_ids: Iterable[int], **values: object
) -> dict[int, str]:
    """Update the rows of those trials that the worker holds; returns trial id -> new state."""
    rows = connection.execute(
        update(trials)
        .where(
            trials.c.worker == worker,
            trials.c.state == RUNNING,
            trials.c.trial_id.in_(trial_ids),
        )
        .values(**values)
        .returning(trials.c.trial_id, trials.c.state)
    )
    return {row.trial_id: row.state for row in rows}
