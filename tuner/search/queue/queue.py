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
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from optuna.trial import TrialState
from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Row,
    and_,
    case,
    select,
    true,
    update,
)

from tuner.search.database.events import record
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    AloneAt,
    Now,
    comparisons,
    studies,
    trials,
)
from tuner.search.queue.claims import Claim, NextUp, Standing, TrialOutcome, TrialsLost
from tuner.search.queue.giving_back import STRIKES, cut_leases, give_back
from tuner.search.queue.outside import beside_others
from tuner.search.queue.waiting import waiting_places

LEASE_SECONDS = 60.0
"""How long a claim lasts without a sign of life from its worker."""

MANY = 64
"""So many places where trials wait are looked at, for workers that come at the same moment."""

RETRIES = 1
"""A trial that raised is run again so often; then it is FAIL."""


Result = TypeVar("Result")


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
        """Where to take trials from; None if nothing waits.

        Args:
            comparison: Look at this comparison only.
            without: Leave these studies out.
        """
        return next(iter(self.upcoming(comparison, without=without, most=1)), None)

    def upcoming(
        self, comparison: str | None = None, *, without: Collection[str] = (), most: int = MANY
    ) -> list[NextUp]:
        """Where trials wait, batch by batch, those to take first at the front.

        Comparisons take turns; within one, arms advance side by side, lowest position first.
        Trials that raised or died before come last, those that died most often at the very end.
        What another worker is just taking is among them: who comes too late tries another.

        Args:
            comparison: Look at this comparison only.
            without: Leave these studies out.
            most: How many at most.
        """
        query = waiting_places(comparison, without).limit(most)
        with self.store.reader.connect() as connection:
            rows = connection.execute(query).all()
        return [NextUp(row[0], row[1], bool(row[2]), row[3], row[4]) for row in rows]

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

    def claim(
        self, study_name: str, worker: str, positions: range, *, strikes: int | None = None
    ) -> Claim:
        """Take the trials that wait at these positions, each exactly once among all workers.

        None if somebody else is just taking those of the same beginning: on PostgreSQL, where two
        could share a batch between them.

        Args:
            study_name: The study.
            worker: Who takes them; a name that no other process ever has.
            positions: From where to where, in steps of one.
            strikes: Only those that died so often.
        """
        take = partial(self._claim, study_name, worker, positions, strikes)
        return beside_others(self.store, lambda: [study_name], take)

    def _claim(self, study_name: str, worker: str, positions: range, strikes: int | None) -> Claim:
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
                true() if strikes is None else STRIKES == strikes,
                AloneAt(f"{study_name} {positions.start}"),
            )
            .with_for_update(skip_locked=True)  # SQLite has one writer at a time and needs none
            .cte("picked", nesting=True)
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
            self.store.read_ahead([trial_id for _, trial_id in rows])
            for _, trial_id in rows:
                self.store.optuna.set_trial_state_values(trial_id, TrialState.RUNNING)
            if claimed:
                record(connection, claimed[0].comparison, "claimed", study=study_name, n=len(rows))
                _serve(connection, claimed[0].comparison)
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
        """Extend the leases of everything the worker holds, but for what others have locked."""
        free = _free(trials.c.worker == worker)
        with self.store.begin() as connection:
            connection.execute(
                update(trials)
                .where(trials.c.trial_id.in_(select(free.c.trial_id)))
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

        def write() -> set[int]:
            with self.store.transaction() as connection:
                held = _fence(connection, worker, values, lease_expires=expires)
                self.store.read_ahead(held, "intermediate_values")
                for trial_id in held:
                    self.store.optuna.set_trial_intermediate_value(
                        trial_id, epoch, values[trial_id]
                    )
            return set(held)

        return self._write(values, write)

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

        def write() -> set[int]:
            with self.store.transaction() as connection:
                held = _fence(connection, worker, outcomes, state=DONE, value=value)
                reported = any(outcome.intermediate for outcome in outcomes.values())
                self.store.read_ahead(held, "values", *["intermediate_values"] * reported)
                for trial_id in held:
                    outcome = outcomes[trial_id]
                    for key, attribute in outcome.attributes.items():
                        storage.set_trial_user_attr(trial_id, key, attribute)
                    for epoch, accuracy in outcome.intermediate.items():
                        storage.set_trial_intermediate_value(trial_id, epoch, accuracy)
                    storage.set_trial_state_values(trial_id, outcome.state, [outcome.value])
                _record(connection, "finished", held)
            return set(held)

        return self._write(outcomes, write)

    def fail(self, worker: str, trial_ids: Collection[int], error: str) -> set[int]:
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

        def write() -> set[int]:
            with self.store.transaction() as connection:
                held = _fence(connection, worker, trial_ids, failures=failures, state=state)
                for trial_id, row in held.items():
                    storage.set_trial_user_attr(trial_id, "error", error)
                    storage.set_trial_state_values(
                        trial_id, TrialState.FAIL if row.state == FAILED else TrialState.WAITING
                    )
                _record(connection, "failed", held)
            return set(held)

        return self._write(trial_ids, write)

    def only_while_held(
        self, connection: Connection, worker: str, trial_ids: Collection[int]
    ) -> None:
        """Within a transaction: nothing of it is written if the worker has lost one of these.

        Raises:
            TrialsLost: If it has.
        """
        expires = Now() + self.lease_seconds
        if len(_fence(connection, worker, trial_ids, lease_expires=expires)) < len(trial_ids):
            raise TrialsLost

    def release(self, workers: Sequence[str]) -> int:
        """Put back everything these workers hold; returns how many trials that was."""
        return len(give_back(self.store, trials.c.worker.in_(workers), "released"))

    def lose(self, workers: Sequence[str]) -> int:
        """Put back everything that workers hold which fell silent; returns how many that was."""
        return len(give_back(self.store, trials.c.worker.in_(workers), "lost"))

    def died(self, worker: str, how: str, lines: Sequence[str] = ()) -> dict[str, int]:
        """Put back what a worker held whose process ended; what died too often has failed.

        Args:
            worker: The worker.
            how: How its process ended, in words.
            lines: The last lines that it wrote.

        Returns:
            The study that it trained -> how often those trials died by now; empty if it held none.
        """
        rows = give_back(self.store, trials.c.worker == worker, "died", how=how, lines=lines)
        return {row.study_name: row.deaths for row in rows}

    def holders(self) -> list[str]:
        """The workers that hold a trial."""
        query = select(trials.c.worker).where(trials.c.state == RUNNING).distinct()
        with self.store.engine.connect() as connection:
            return list(connection.scalars(query))

    def reap(self) -> int:
        """Give back every trial whose lease ran out, unless it is locked; returns how many."""
        cut_leases(self.store, max(LEASE_SECONDS, self.lease_seconds))
        expired = _free(trials.c.lease_expires < Now())
        these = trials.c.trial_id.in_(select(expired.c.trial_id))
        return len(give_back(self.store, these, "lost"))

    def _studies(self, trial_ids: Iterable[int]) -> list[str]:
        """The studies whose trials these are."""
        query = select(trials.c.study_name).where(trials.c.trial_id.in_(trial_ids)).distinct()
        with self.store.engine.connect() as connection:
            return list(connection.scalars(query))

    def _write(self, trial_ids: Collection[int], action: Callable[[], Result]) -> Result:
        """Write about trials; those that were finished or deleted from outside are left out."""
        return beside_others(self.store, partial(self._studies, trial_ids), action)


_SEEN = (trials.c.trial_id, trials.c.state, trials.c.comparison, trials.c.study_name)


def _free(which: ColumnElement[bool]) -> CTE:
    """The ids of these running trials, locked; those that somebody else has locked are left out.

    Who has may be frozen, and others' trials are not to wait for it.
    """
    return (
        select(trials.c.trial_id)
        .where(trials.c.state == RUNNING, which)
        .with_for_update(skip_locked=True)  # SQLite has one writer at a time and needs none
        .cte("free", nesting=True)
    )


def _serve(connection: Connection, comparison: str) -> None:
    """Note that the comparison had its turn; one that is being changed is left as it is.

    Who changes one locks it before its trials, and is not waited for with trials in hand.
    """
    this = select(comparisons.c.name).where(comparisons.c.name == comparison)
    free = this.with_for_update(skip_locked=True).cte("free", nesting=True)
    served = update(comparisons).where(comparisons.c.name.in_(select(free.c.name)))
    connection.execute(served.values(served=Now()))


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
