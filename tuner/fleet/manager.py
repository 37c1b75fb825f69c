"""The actor that has a fleet be what it is to be; it lives on the head, as long as the cluster."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.config import without_password
from tuner.errors import TunerError
from tuner.fleet.aim import Aim
from tuner.fleet.cluster import (
    ANSWER_SECONDS,
    NAMESPACE,
    last_line,
    named,
    names,
    nodes,
    on_node,
    ray_here,
)
from tuner.fleet.code import code_here, differing
from tuner.fleet.order import Order
from tuner.fleet.placing import node_for, to_drain
from tuner.fleet.remote_worker import RemoteWorker
from tuner.fleet.seats import NOT_UP, WORKER, FleetStatus, Seat, rows_of, status_of
from tuner.search.database.patience import in_a_line
from tuner.search.database.store import Store, open_store
from tuner.search.fleets.book import Entry, State
from tuner.search.fleets.wish import Wish
from tuner.search.queue.queue import Queue
from tuner.search.watch.views import WorkerRow, list_workers
from tuner.search.work.keeper import kept

MANAGER = "fleet"
"""The name of the manager's actor: a cluster has one fleet."""

CALLS_AT_ONCE = 8
"""So many may ask the manager something at the same moment."""

_ROUND_SECONDS = 0.5
_SOON_SECONDS, _ANYWAY_SECONDS = 1.0, 5.0
"""When it is written down again how the fleet is: if that changed, and as a sign of life."""

_AGAIN_SECONDS, _LONGEST_WAIT = 5.0, 60.0
_KEY = b"wish"
_log = logging.getLogger(__name__)


class Manager:
    """Starts workers and ends them until there are as many as there are to be.

    What there is to be survives the end of its process; who is there is asked of Ray. It keeps the
    database's comparisons going meanwhile, for all workers.

    Args:
        order: The fleet.
    """

    def __init__(self, order: Order) -> None:
        self._ray = ray_here()
        self._order = order
        self._seats: dict[int, Seat] = {}
        self._said: tuple[Entry, Wish] | None = None
        self._said_at = -_ANYWAY_SECONDS
        self._store: Store | None = None
        self._roster: list[WorkerRow] = []
        self._heard = time.monotonic()
        self._trouble = self._not_started = ""
        self._failures, self._not_before = 0, 0.0
        self.differs = differing(order.code, code_here())
        self._aim = self._recalled()
        self._look()
        again = self._ray.get_runtime_context().was_current_actor_reconstructed
        if again or not self.differs:  # what is up already has to be ended by somebody
            threading.Thread(target=self._manage, name="manager", daemon=True).start()

    def refusal(self) -> str:
        """What is another here than where the fleet was ordered; empty if nothing is."""
        return self.differs

    def order(self) -> Order:
        """The fleet as it was ordered."""
        return replace(self._order, wish=self._aim.wish)

    def status(self) -> FleetStatus:
        """How the fleet is; of its workers, what the database last said."""
        roster = self._roster
        return FleetStatus(
            fleet_id=self._aim.fleet_id,
            database=without_password(self._order.database),
            wish=self._aim.wish,
            target=self._wanted,
            draining=self._aim.draining,
            trouble=self._amiss,
            workers=tuple(status_of(seat, roster) for seat in list(self._seats.values())),
        )

    def scale(self, wish: Wish) -> None:
        """Have it be as large as this from now on."""
        self._aim.scale(wish)

    def down(self) -> bool:
        """Have all workers drain, and end then; asked again, they end at once.

        Returns:
            Whether they end at once.
        """
        return self._aim.end()

    @property
    def _wanted(self) -> int:
        """How many workers there are to be."""
        return 0 if self._aim.draining else self._aim.target

    @property
    def _amiss(self) -> str:
        """What is in the way of that."""
        other = f"the head runs other code now: {self.differs}" if self.differs else ""
        silent = time.monotonic() - self._heard
        database = self._trouble
        if not database and silent > ANSWER_SECONDS:
            database = f"the database has not answered for {silent:.0f} seconds"
        return "; ".join(filter(None, (other, self._not_started, database)))

    def _manage(self) -> None:
        while True:
            try:
                with self._opened() as store, kept(store):
                    self._trouble = ""
                    while not self._ended():
                        self._round(store)
                        time.sleep(_ROUND_SECONDS)
                    self._said_at = -_ANYWAY_SECONDS
                    self._say(store)
            except (TunerError, DBAPIError, StorageInternalError) as error:
                self._trouble = without_password(in_a_line(error))
            except Exception as error:
                _log.warning("the fleet is not managed", exc_info=True)
                self._trouble = " ".join(f"{type(error).__name__}: {error}".split())
            if self._ended():
                break
            self._end_without_database()
            time.sleep(_AGAIN_SECONDS)
        self._ray.kill(named(self._ray, MANAGER), no_restart=True)

    @contextmanager
    def _opened(self) -> Iterator[Store]:
        self._heard = time.monotonic()  # what went before did not wait for the database
        store = open_store(self._order.database, must_exist=True)
        try:
            self._store = store
            yield store
        finally:
            self._store = None
            store.close()

    def _ended(self) -> bool:
        return self._aim.draining and not self._seats

    def _round(self, store: Store) -> None:
        """Look at every worker, and start or end some."""
        self._look()
        self._take_from_the_dead()
        self._read(store)
        roster = self._roster
        if self._aim.wish.follows and not self._aim.draining:
            self._follow(store, roster)
        self._fill()
        self._thin(roster)
        self._say(store)

    def _say(self, store: Store) -> None:
        """Write down now and then how the fleet is, and take from there what people want."""
        now, aim = time.monotonic(), self._aim
        state: State = "draining" if aim.draining else "up"
        entry = Entry(
            address=self._ray.get_runtime_context().gcs_address,
            state="down" if self._ended() else state,
            target=self._wanted,
            up=sum(seat.state not in NOT_UP for seat in list(self._seats.values())),
            room=sum(self._order.shape.room(node.resources) for node in nodes(self._ray)),
            trouble=self._amiss,
        )
        changed = (entry, aim.wish) != self._said
        if now < self._said_at + (_SOON_SECONDS if changed else _ANYWAY_SECONDS):
            return
        self._said, self._said_at = (entry, aim.wish), now
        try:
            aim.write(store, entry)
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("how the fleet is is written down later: %s", in_a_line(error))

    def _end_without_database(self) -> None:
        """End workers, if they are to, while the database cannot be had."""
        self._look()
        self._thin([])

    def _read(self, store: Store) -> None:
        """Hear from the database how the workers are; if it is away, what it last said holds."""
        try:
            self._roster, self._trouble = list_workers(store), ""
            self._heard = time.monotonic()
        except (DBAPIError, StorageInternalError) as error:
            self._trouble = without_password(in_a_line(error))

    def _look(self) -> None:
        """Hear what workers have answered, and ask them again."""
        ray = self._ray
        if not self._seats:
            return
        for seat in self._seats.values():
            if seat.asked is None:
                seat.asked = seat.actor.look.remote()
        asked = {seat.asked: seat for seat in self._seats.values()}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ROUND_SECONDS)
        for reference in ready:
            self._hear(asked[reference])

    def _hear(self, seat: Seat) -> None:
        ray, reference = self._ray, seat.asked
        seat.asked = None
        before = seat.seen
        try:
            seat.seen, seat.restarting = ray.get(reference), False
            self._not_started, self._failures = "", 0
        except ray.exceptions.ActorUnavailableError:
            seat.restarting = True
            return
        except ray.exceptions.RayError as error:  # for good
            _log.warning("worker %d is gone: %s", seat.number, " ".join(str(error).split()))
            if not seat.draining:
                self._not_started = f"a worker could not start: {last_line(error)}"
                self._failures += 1
                wait = min(2.0**self._failures, _LONGEST_WAIT)
                self._not_before = time.monotonic() + wait
            self._forget(seat)
            return
        if before is not None and before.prefix != seat.seen.prefix:
            self._lose(before.prefix)
        if seat.draining and seat.seen.doing == "drained":
            ray.kill(seat.actor, no_restart=True)
            self._forget(seat)

    def _forget(self, seat: Seat) -> None:
        del self._seats[seat.number]
        if seat.seen is not None:
            self._lose(seat.seen.prefix)

    def _take_from_the_dead(self) -> None:
        """Put back at once what workers held whose nodes are gone: no lease need run out."""
        if not any(seat.restarting for seat in self._seats.values()):
            return
        alive = {node.node_id for node in nodes(self._ray)}
        for seat in self._seats.values():
            if seat.restarting and seat.seen is not None and seat.seen.node_id not in alive:
                self._lose(seat.seen.prefix)
                seat.seen, seat.placed = None, ""

    def _lose(self, prefix: str) -> None:
        if self._store is None:
            return
        queue = Queue(self._store, retries=self._order.retries)
        try:
            queue.lose([name for name in queue.holders() if name.startswith(prefix)])
        except (DBAPIError, StorageInternalError) as error:
            _log.warning("trials are left to their leases: %s", in_a_line(error))

    def _follow(self, store: Store, roster: list[WorkerRow]) -> None:
        """Have as many workers as can be busy, and fewer once that was too many for a while."""
        wish, idle = self._aim.wish, self._idle(roster)
        working = [seat for seat in self._seats.values() if seat.state == "working"]
        busy = sum(seat.number not in idle for seat in working if not seat.draining)
        self._aim.follow(wish, busy + len(Queue(store).upcoming(most=wish.most)))

    def _idle(self, roster: list[WorkerRow]) -> set[int]:
        """The numbers of the workers that train nothing, as the roster has it."""
        last = {number: rows_of(seat, roster)[:1] for number, seat in self._seats.items()}
        return {number for number, rows in last.items() if rows and rows[0].state == "idle"}

    def _fill(self) -> None:
        """Start the workers that are missing."""
        if self._aim.draining or self.differs or time.monotonic() < self._not_before:
            return
        missing = self._wanted - sum(not seat.draining for seat in self._seats.values())
        if missing <= 0:
            return
        there, shape = nodes(self._ray), self._order.shape
        taken = Counter(seat.node_id for seat in self._seats.values())
        for _ in range(missing):
            number = next(n for n in range(len(self._seats) + 1) if n not in self._seats)
            place = node_for(shape, there, taken)
            on = {} if place is None else {"scheduling_strategy": on_node(place)}
            actor = self._ray.remote(RemoteWorker).options(
                name=f"{WORKER}{number}",
                namespace=NAMESPACE,
                lifetime="detached",
                max_restarts=-1,
                **{**shape.options, **on},
            )
            self._seats[number] = Seat(number, actor.remote(self.order()), placed=place or "")
            taken[self._seats[number].node_id] += 1

    def _thin(self, roster: list[WorkerRow]) -> None:
        """End the workers that are too many."""
        staying = [seat for seat in self._seats.values() if not seat.draining]
        surplus = len(staying) - self._wanted
        for seat in to_drain(staying, self._idle(roster), surplus, self._order.shape.spread):
            seat.draining = True
        for seat in [seat for seat in self._seats.values() if seat.draining]:
            if seat.seen is None:  # it is nowhere yet
                self._ray.kill(seat.actor, no_restart=True)
                self._forget(seat)
            elif self._aim.at_once:
                seat.actor.end.remote()
            elif seat.seen.doing not in ("draining", "drained"):
                seat.actor.drain.remote()

    def _recalled(self) -> Aim:
        """What there is to be: it, and who is there, are found again after an end of this process.

        It is written down where it lives as long as the cluster.
        """
        from ray.experimental.internal_kv import _internal_kv_get as get
        from ray.experimental.internal_kv import _internal_kv_put as put

        def keep(text: str) -> None:
            put(_KEY, text.encode(), overwrite=True, namespace=NAMESPACE.encode())

        if not self._ray.get_runtime_context().was_current_actor_reconstructed:
            return Aim(self._order.wish, keep)
        for name in names(self._ray):
            if name.startswith(WORKER) and (actor := named(self._ray, name)) is not None:
                number = int(name.removeprefix(WORKER))
                self._seats[number] = Seat(number, actor)
        kept: bytes | None = get(_KEY, namespace=NAMESPACE.encode())
        return Aim(self._order.wish, keep, None if kept is None else kept.decode())
