"""The queue: which trial may run, who runs it, and until when; ``studies`` fills it.

Each step of a trial's life, however many trials take it together, is one transaction over Optuna's
tables and ours, so a crash at any point leaves both agreeing: trials are enqueued, claimed,
finished or put back in both or in neither. A claim is one atomic statement, exact on SQLite and on
PostgreSQL. Whatever a worker writes about trials begins with an update that only the holder of
their leases can make (the fence); it leaves out those that were lost. Trials of comparisons and
studies that are paused or cancelled, or that another version of this software is to run, are not
handed out.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    func,
    null,
    select,
    update,
)

from tuner import __version__
from tuner.search.database.events import record
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    Now,
    comparisons,
    studies,
    trials,
)

LEASE_SECONDS = 60.0
"""How long a claim lasts without a sign of life from its worker."""

RETRIES = 1
"""A trial that raised is run again so often; then it is FAIL."""


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
class TrialOutcome:
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
class Standing:
    """How a worker stands with its trials.

    Args:
        held: The trial ids that it still holds.
        wanted: Whether they are to go on; not if their study or comparison was paused.
    """

    held: frozenset[int]
    wanted: bool


class Queue:
    """The queue of a store's trials.

    Args:
        store: Where it lies.
        lease_seconds: How long a claim lasts without a sign of life.
        retries: How often a trial that raised is run again.
    """

    def __init__(
        self, store: Store, *, lease_seconds: float = LEASE_SECONDS, retries: int = RETRIES
    ) -> None:
        self.store = store
        self.lease_seconds = lease_seconds
        self.retries = retries

    def next_up(
        self, comparison: str | None = None, *, without: Collection[str] = ()
    ) -> NextUp | None:
        """The study to take trials from; None if nothing waits.

        Comparisons take turns; within one, arms advance side by side, lowest position first, and
        trials that failed before come last.

        Args:
            comparison: Look at this comparison only.
            without: Leave these studies out.
        """
        retry = trials.c.failures > 0
        first = func.min(trials.c.position)
        served = func.coalesce(func.min(comparisons.c.served), 0.0)
        query = (
            select(trials.c.study_name, first, retry)
            .join(comparisons, comparisons.c.name == trials.c.comparison)
            .join(studies, studies.c.study_name == trials.c.study_name)
            .where(
                trials.c.state == WAITING,
                comparisons.c.status == ACTIVE,
                comparisons.c.code_version == __version__,
                studies.c.status == ACTIVE,
                studies.c.study_name.not_in(without),
            )
            .group_by(trials.c.study_name, retry)
            .order_by(served, retry, first, trials.c.study_name)
            .limit(1)
        )
        if comparison is not None:
            query = query.where(trials.c.comparison == comparison)
        with self.store.engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else NextUp(row[0], row[1], bool(row[2]))

    def batch(self, study_name: str, proposal: int) -> int:
        """How many trials of the study train together; the first proposal holds for good.

        So each trial trains in the same company, and gives the same result to the last bit,
        whoever runs it and however often it was interrupted.
        """
        this = studies.c.study_name == study_name
        with self.store.begin() as connection:
            connection.execute(
                update(studies).where(this, studies.c.batch.is_(None)).values(batch=proposal)
            )
            return connection.scalar(select(studies.c.batch).where(this)) or proposal

    def claim(self, study_name: str, worker: str, positions: range) -> Claim:
        """Take the trials that wait at these positions, each exactly once among all workers.

        Args:
            study_name: The study.
            worker: Who takes them; a name that no other process ever has.
            positions: From where to where, in steps of one.
        """
        active = (
            select(studies.c.study_name)
            .join(comparisons, comparisons.c.name == studies.c.comparison)
            .where(studies.c.status == ACTIVE, comparisons.c.status == ACTIVE)
        )
        picked = (
            select(trials.c.trial_id)
            .where(
                trials.c.study_name == study_name,
                trials.c.study_name.in_(active),
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
            .returning(trials.c.position, trials.c.trial_id, trials.c.comparison)
        )
        with self.store.transaction() as connection:
            claimed = connection.execute(take).all()
            rows = sorted((row.position, row.trial_id) for row in claimed)
            for _, trial_id in rows:
                self.store.optuna.set_trial_state_values(trial_id, TrialState.RUNNING)
            if claimed:
                record(connection, claimed[0].comparison, "claimed", study=study_name, n=len(rows))
        if claimed:  # apart, since whoever changes a comparison locks it before its trials
            served = update(comparisons).where(comparisons.c.name == claimed[0].comparison)
            with self.store.begin() as connection:
                connection.execute(served.values(served=Now()))
        return Claim(study_name, tuple(row[1] for row in rows), tuple(row[0] for row in rows))

    def standing(self, worker: str, trial_ids: Iterable[int]) -> Standing:
        """Whether the worker still holds these trials, of one study, and is to go on."""
        go_on = and_(studies.c.status == ACTIVE, comparisons.c.status == ACTIVE)
        query = (
            select(trials.c.trial_id, go_on)
            .join(comparisons, comparisons.c.name == trials.c.comparison)
            .join(studies, studies.c.study_name == trials.c.study_name)
            .where(
                trials.c.worker == worker,
                trials.c.state == RUNNING,
                trials.c.trial_id.in_(trial_ids),
            )
        )
        with self.store.engine.connect() as connection:
            rows = connection.execute(query).all()
        return Standing(frozenset(row[0] for row in rows), all(row[1] for row in rows))

    def renew(self, worker: str) -> None:
        """Extend the leases of everything the worker holds."""
        with self.store.begin() as connection:
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

    def finish(self, worker: str, outcomes: Mapping[int, TrialOutcome]) -> set[int]:
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
            _record(connection, "finished", held)
        return set(held)

    def fail(self, worker: str, trial_ids: Iterable[int], error: str) -> set[int]:
        """Note that trials raised: each is put back until it has been retried often enough.

        Args:
            worker: Who ran them.
            trial_ids: The trials.
            error: The traceback, for the user attribute ``error``.

        Returns:
            The trial ids it still held; about the others nothing was written.
        """
        storage = self.store.optuna
        failures = trials.c.failures + 1
        state = case((failures <= self.retries, WAITING), else_=FAILED)
        with self.store.transaction() as connection:
            held = _fence(connection, worker, trial_ids, failures=failures, state=state)
            for trial_id, row in held.items():
                storage.set_trial_user_attr(trial_id, "error", error)
                storage.set_trial_state_values(
                    trial_id, TrialState.FAIL if row.state == FAILED else TrialState.WAITING
                )
            _record(connection, "failed", held)
        return set(held)

    def release(self, workers: Sequence[str]) -> int:
        """Put back everything these workers hold; returns how many trials that was."""
        return self._put_back(trials.c.worker.in_(workers), "released")

    def holders(self) -> list[str]:
        """The workers that hold a trial."""
        query = select(trials.c.worker).where(trials.c.state == RUNNING).distinct()
        with self.store.engine.connect() as connection:
            return list(connection.scalars(query))

    def reap(self) -> int:
        """Put back every trial whose lease ran out; returns how many that was."""
        return self._put_back(trials.c.lease_expires < Now(), "lost")

    def _put_back(self, which: ColumnElement[bool], kind: str) -> int:
        back = (
            update(trials)
            .where(trials.c.state == RUNNING, which)
            .values(state=WAITING, worker=null(), lease_expires=null())
            .returning(*_SEEN)
        )
        with self.store.transaction() as connection:
            rows = {row.trial_id: row for row in connection.execute(back)}
            for trial_id in rows:
                self.store.optuna.set_trial_state_values(trial_id, TrialState.WAITING)
            _record(connection, kind, rows)
        return len(rows)


_SEEN = (trials.c.trial_id, trials.c.state, trials.c.comparison, trials.c.study_name)


def _fence(
    connection: Connection, worker: str, trial_ids: Iterable[int], **values: object
) -> dict[int, Row[Any]]:  # Any: a row's columns
    """Update the rows of those trials that the worker holds; returns trial id -> new row."""
    rows = connection.execute(
        update(trials)
        .where(
            trials.c.worker == worker,
            trials.c.state == RUNNING,
            trials.c.trial_id.in_(trial_ids),
        )
        .values(**values)
        .returning(*_SEEN)
    )
    return {row.trial_id: row for row in rows}


def _record(connection: Connection, kind: str, rows: Mapping[int, Row[Any]]) -> None:
    """Note what happened to these trials, an event for each study."""
    counts = Counter((row.comparison, row.study_name) for row in rows.values())
    for (comparison, study_name), n in counts.items():
        record(connection, comparison, kind, study=study_name, n=n)
