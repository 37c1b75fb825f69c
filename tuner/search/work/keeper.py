"""Keeping accepted comparisons going: filling queues, reaping the dead, noting what is complete.

Whoever has a database open may keep it, several at once too: every step is one transaction that
changes nothing if somebody else took it before. So nothing depends on one process that lives.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from optuna.exceptions import StorageInternalError
from sqlalchemy import Row, select, update
from sqlalchemy.exc import DBAPIError

from tuner import __version__
from tuner.errors import TunerError
from tuner.search.database.events import GAP_SECONDS, last_of, record, trim
from tuner.search.database.patience import away, in_a_line, locked
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    ACTIVE,
    COMPLETE,
    PAUSED,
    Now,
    comparisons,
    events,
    studies,
)
from tuner.search.declared.arm_spec import ArmSpec
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.queue import operations
from tuner.search.queue.ending import end_cancelled
from tuner.search.queue.filling import (
    incumbent_in_slices,
    searches_in_slices,
    selected_in_slices,
)
from tuner.search.queue.outside import reconcile
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import ArmProgress, Progress, progress
from tuner.search.work.settling import take_look

TURN_SECONDS = 0.3
"""So long everybody's turn lasts, and one slice or one query more."""

_LONGEST_HALT_SECONDS = 0.2
_Active = Row[Any, Any, Any, Any, Any]  # the columns of _ACTIVE
_log = logging.getLogger(__name__)

_ACTIVE = (
    select(
        comparisons.c.name,
        comparisons.c.declaration_hash,
        comparisons.c.trouble,
        events.c.id.label("event"),
        (Now() - events.c.created).label("quiet_seconds"),
    )
    .select_from(comparisons)
    .outerjoin(events, events.c.id == last_of(comparisons.c.name))
    .where(comparisons.c.status == ACTIVE, comparisons.c.code_version == __version__)
    .order_by(comparisons.c.created)
)
"""What is to be kept going, each with its newest event and how long ago that was."""

_UNKNOWN = -1
"""The number of no event."""

_LONGEST_WAIT_SECONDS = 60.0
"""So long a comparison in trouble waits at most for the next try."""


class _Trouble(NamedTuple):
    """How often in a row a comparison could not be kept going, and when it is tried again."""

    tries: int
    until: float


class Keeper:
    """Keeps the comparisons of a store going.

    Whatever there is to be done is done in turns: a large comparison, or a long operation, lets
    the others through after some tenths of a second, and goes on where it was in its next turn.
    The smallest that is not done has as many turns as all others together. A comparison of which
    nothing is to be done is looked at again once something happens to it. One in trouble is tried
    again in the next round, and then after twice as long each time, up to a minute.

    Args:
        store: The database.
        rest: After every slice of a turn, rest so many times as long as it took; SQLite has one
            writer at a time, and others are to become it too.
        clock: Tells the time in seconds, from any beginning.
    """

    def __init__(
        self, store: Store, *, rest: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._troubled: dict[tuple[str, str], _Trouble] = {}
        self._store = store
        self._rest = rest
        self._queue = Queue(store)
        self._specs: dict[str, ComparisonSpec] = {}
        self._begun: dict[tuple[str, str], Iterator[None]] = {}
        self._seen: set[str] = set()
        self._resting: set[str] = set()
        self._settled: dict[tuple[str, str], int | None] = {}
        self._ended: dict[tuple[str, str], int] = {}
        self._resumed = 0.0

    def tend(self) -> None:
        """Do all that is to be done for every active comparison."""
        while self.take_turns():
            pass

    def take_turns(self) -> bool:
        """Do some of what is to be done for everybody in turn; returns whether some is left."""
        left = False
        with _unless_locked("trials"):
            self._queue.reap()
        with _unless_locked("trials"):
            left |= end_cancelled(self._store, within_seconds=TURN_SECONDS, on_progress=self._halt)
        for operation_id in operations.running(self._store):
            with _unless_locked(f"operation {operation_id}"):
                after = operations.carry_out(
                    self._store, operation_id, within_seconds=TURN_SECONDS, on_progress=self._halt
                )
                left |= after.runs
        with self._store.engine.connect() as connection:
            active = connection.execute(_ACTIVE).all()
        current = {(row.name, row.declaration_hash) for row in active}
        self._begun = {which: rest for which, rest in self._begun.items() if which in current}
        self._settled = {which: last for which, last in self._settled.items() if which in current}
        self._troubled = {which: why for which, why in self._troubled.items() if which in current}
        for row in self._in_turn(active):
            which = row.name, row.declaration_hash
            if which in self._troubled and self._clock() < self._troubled[which].until:
                continue
            if row.trouble is not None or self._settled.get(which, _UNKNOWN) != row.event:
                left |= self._keep_going(row)
                quiet = row.quiet_seconds is None or row.quiet_seconds > GAP_SECONDS
                if quiet and row.name in self._resting:
                    self._settled[which] = row.event
        self._seen.intersection_update(row.name for row in active)
        return left

    def _keep_going(self, row: _Active) -> bool:
        """The comparison's turn; what is in its way is noted. Returns whether some is left."""
        left, found = False, None
        try:
            with _unless_locked(f"comparison {row.name!r}"):
                left = self._take_turn(row.name, row.declaration_hash)
        except Exception as error:  # changed from outside
            if away(error):
                raise
            if not self._is_active(row.name):  # deleted or called off meanwhile
                return False
            found = _in_words(error)
            if found != row.trouble:
                _log.warning("comparison %r is not kept going", row.name, exc_info=True)
        if found != row.trouble:
            self._note(row.name, found)
        if found is None:
            self._troubled.pop((row.name, row.declaration_hash), None)
        else:
            self._put_off((row.name, row.declaration_hash))
        return left

    def _put_off(self, which: tuple[str, str]) -> None:
        """Try it again in the next round, after the second try in a row in 2 seconds, then 6."""
        tries = self._troubled[which].tries + 1 if which in self._troubled else 1
        wait = min(2.0 ** min(tries, 10) - 2, _LONGEST_WAIT_SECONDS)
        self._troubled[which] = _Trouble(tries, self._clock() + wait)

    def _in_turn(self, active: Sequence[_Active]) -> Iterator[_Active]:
        """Everybody once, and after each who has begun and is smallest, or else oldest.

        So of many at once the first can soon be run, and no queue waits until all are full.
        """
        for row in active:
            yield row
            if not self._begun:
                continue
            begun = [each for each in active if (each.name, each.declaration_hash) in self._begun]
            first = min(begun, key=self._size, default=row)
            if first is not row:
                yield first

    def _size(self, row: _Active) -> int:
        spec = self._specs.get(row.declaration_hash)
        return spec.n_searched if spec is not None else 0

    def tend_one(self, spec: ComparisonSpec) -> Progress:
        """Do what is to be done for the comparison; returns how far it was before.

        Raises:
            Conflict: If a study that is not ours bears the name of one of its own.
        """
        try:
            return self._tend(spec)
        except Exception as error:
            if isinstance(error, TunerError) or away(error) or not self._reconcile(spec):
                raise
            return progress(self._store, spec)

    def _tend(self, spec: ComparisonSpec) -> Progress:
        now = progress(self._store, spec)
        for _ in self._in_slices(spec, now):
            pass
        return now

    def _take_turn(self, name: str, declared: str) -> bool:
        """Do some of what is to be done for the comparison; returns whether some is left."""
        which = name, declared
        self._resting.discard(name)
        spec = self._spec(name, declared)
        deadline = time.monotonic() + TURN_SECONDS
        try:
            rest = self._begun.pop(which, None)
            if rest is None:
                rest = self._in_slices(spec, progress(self._store, spec))
            for _ in rest:
                if time.monotonic() > deadline:
                    self._begun[which] = rest
                    return True
                self._halt()
        except Exception as error:
            if isinstance(error, TunerError) or away(error) or not self._reconcile(spec):
                raise
            return True
        return False

    def _in_slices(self, spec: ComparisonSpec, now: Progress) -> Iterator[None]:
        """Do what is to be done for a comparison that is so far, with a halt after each slice."""
        if spec.name not in self._seen or now.lacks_trials:
            yield from searches_in_slices(self._store, spec)
        for arm, of_arm in zip(spec.arms, now.arms, strict=True):
            if spec.name not in self._seen or of_arm.lacks_retraining:
                if of_arm.searched or self._look_is_due(spec, arm, of_arm):
                    yield from selected_in_slices(self._store, spec, arm)
                if of_arm.searched:
                    yield from incumbent_in_slices(self._store, spec, arm)
        if now.complete:
            self._reconcile(spec)
            if not (now := progress(self._store, spec)).complete:
                return  # trials are gone, and enqueued again or to be
            self._complete(spec.name)
        elif now.ended:
            take_look(self._store, spec)
        self._seen.add(spec.name)
        if now.rests:
            self._resting.add(spec.name)

    def _halt(self, *_progress: int) -> None:
        """Let others write, for as long as the last slice took, or a part or a multiple of it."""
        now = time.monotonic()
        time.sleep(self._rest * min(now - self._resumed, _LONGEST_HALT_SECONDS))
        self._resumed = time.monotonic()

    def _note(self, name: str, trouble: str | None) -> None:
        """Note why the comparison cannot be kept going, or that it can again."""
        with self._store.begin() as connection:
            this = (comparisons.c.name == name) & (comparisons.c.status == ACTIVE)
            connection.execute(update(comparisons).where(this).values(trouble=trouble))

    def _is_active(self, name: str) -> bool:
        this = (comparisons.c.name == name) & (comparisons.c.status == ACTIVE)
        with self._store.reader.connect() as connection:
            return connection.scalar(select(comparisons.c.name).where(this)) is not None

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

    def _reconcile(self, spec: ComparisonSpec) -> bool:
        """Whether studies were deleted from outside; their trials are to run again."""
        names = [study.study_name for study in spec.every_study()]
        gone = [name for name in names if self._store.our_study(name) is None]
        changed = [reconcile(self._store, name) for name in gone]
        return any(changed)

    def _complete(self, name: str) -> None:
        """Note that nothing is left to run, if nobody did."""
        with self._store.begin() as connection:
            noted = connection.execute(
                update(comparisons)
                .where(comparisons.c.name == name, comparisons.c.status == ACTIVE)
                .values(status=COMPLETE, revision=comparisons.c.revision + 1, trouble=None)
            )
            if noted.rowcount:
                connection.execute(
                    update(studies)
                    .where(studies.c.comparison == name, studies.c.status.in_((ACTIVE, PAUSED)))
                    .values(status=COMPLETE, revision=studies.c.revision + 1)
                )
                record(connection, name, "complete")


def _in_words(error: Exception) -> str:
    """Why a comparison is not kept going, in a line."""
    words = " ".join(str(error).split())
    if isinstance(error, TunerError):
        return words
    return f"something is amiss with its studies in Optuna: {type(error).__name__}: {words}"


@contextmanager
def _unless_locked(what: str) -> Iterator[None]:
    """Leave the block to the next round if somebody keeps a lock: the others go on."""
    try:
        yield
    except (DBAPIError, StorageInternalError) as error:
        if not locked(error):
            raise
        _log.warning("%s: left for the next round: %s", what, in_a_line(error))


@contextmanager
def kept(store: Store, *, every_seconds: float = 1.0) -> Iterator[None]:
    """Keep the store's comparisons going from a thread of its own, as long as the block lasts."""
    ended = threading.Event()

    def keep() -> None:
        rest = 1.0 if store.engine.dialect.name == "sqlite" else 0.0
        keeper, rounds, left = Keeper(store, rest=rest), 0, False
        while not ended.wait(0.0 if left else every_seconds):
            try:
                left = keeper.take_turns()
                if rounds % 600 == 0:
                    trim(store.engine)
            except (DBAPIError, StorageInternalError) as error:
                _log.warning("comparisons are not kept going: %s", in_a_line(error))
                left = False
            except Exception:  # the next round may do it
                _log.warning("comparisons are not kept going", exc_info=True)
                left = False
            rounds += 1

    thread = threading.Thread(target=keep, name="keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
