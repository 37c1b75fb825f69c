"""Keeping accepted comparisons going: filling queues, reaping the dead, noting what is complete.

Whoever has a database open may keep it, several at once too: every step is one transaction that
changes nothing if somebody else took it before. So nothing depends on one process that lives.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.exceptions import StorageInternalError
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from tuner import __version__
from tuner.search.database.events import record, trim
from tuner.search.database.patience import in_a_line
from tuner.search.database.store import Store
from tuner.search.database.tables import ACTIVE, COMPLETE, PAUSED, comparisons, studies
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.queue.control import end_cancelled
from tuner.search.queue.filling import enqueue, enqueue_incumbent, enqueue_selected
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import ArmProgress, Progress, progress
from tuner.search.work.settling import take_look

_log = logging.getLogger(__name__)


class Keeper:
    """Keeps the comparisons of a store going.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue = Queue(store)
        self._specs: dict[str, ComparisonSpec] = {}
        self._seen: set[str] = set()
        self._ended: dict[tuple[str, str], int] = {}

    def tend(self) -> None:
        """Do what is to be done for every active comparison, once."""
        self._queue.reap()
        end_cancelled(self._store)
        query = select(comparisons.c.name, comparisons.c.declaration_hash).where(
            comparisons.c.status == ACTIVE, comparisons.c.code_version == __version__
        )
        with self._store.engine.connect() as connection:
            active = connection.execute(query.order_by(comparisons.c.created)).all()
        for name, declared in active:
            try:
                self.tend_one(self._spec(name, declared))
            except (DBAPIError, StorageInternalError):
                raise
            except Exception:  # deleted meanwhile, or changed from outside: the others go on
                _log.warning("comparison %r is not kept going", name, exc_info=True)
        self._seen.intersection_update(row.name for row in active)

    def tend_one(self, spec: ComparisonSpec) -> Progress:
        """Do what is to be done for the comparison; returns how far it was before."""
        now = progress(self._store, spec)
        if spec.name not in self._seen or now.lacks_trials:
            enqueue(self._store, spec)
        for arm, of_arm in zip(spec.arms, now.arms, strict=True):
            if spec.name not in self._seen or of_arm.lacks_retraining:
                if of_arm.searched or self._look_is_due(spec, arm, of_arm):
                    enqueue_selected(self._store, spec, arm)
                if of_arm.searched:
                    enqueue_incumbent(self._store, spec, arm)
        if now.complete:
            self._complete(spec.name)
        elif now.ended:
            take_look(self._store, spec)
        self._seen.add(spec.name)
        return now

    def _look_is_due(self, spec: ComparisonSpec, arm: ArmSpec, now: ArmProgress) -> bool:
        """Whether trials ended since the arm was looked at last, and there are looks to be due."""
        if not spec.looks or self._ended.get((spec.name, arm.name)) == now.done:
            return False
        self._ended[spec.name, arm.name] = now.done
        return True

    def _spec(self, name: str, declared: str) -> ComparisonSpec:
        """What was declared; a name that was deleted may stand for something else by now."""
        if declared not in self._specs:
            spec = self._store.comparison(name)
            self._specs[declaration_hash(spec)] = spec
            return spec
        return self._specs[declared]

    def _complete(self, name: str) -> None:
        """Note that nothing is left to run, if nobody did."""
        with self._store.begin() as connection:
            noted = connection.execute(
                update(comparisons)
                .where(comparisons.c.name == name, comparisons.c.status == ACTIVE)
                .values(status=COMPLETE, revision=comparisons.c.revision + 1)
            )
            if noted.rowcount:
                connection.execute(
                    update(studies)
                    .where(studies.c.comparison == name, studies.c.status.in_((ACTIVE, PAUSED)))
                    .values(status=COMPLETE, revision=studies.c.revision + 1)
                )
                record(connection, name, "complete")


@contextmanager
def kept(store: Store, *, every_seconds: float = 1.0) -> Iterator[None]:
    """Keep the store's comparisons going from a thread of its own, as long as the block lasts."""
    ended = threading.Event()

    def keep() -> None:
        keeper, rounds = Keeper(store), 0
        while not ended.wait(every_seconds):
            try:
                keeper.tend()
                if rounds % 600 == 0:
                    trim(store.engine)
            except (DBAPIError, StorageInternalError) as error:
                _log.warning("comparisons are not kept going: %s", in_a_line(error))
            rounds += 1

    thread = threading.Thread(target=keep, name="keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
