"""The actor that has a fleet be what it is to be; it lives on the head, as long as the cluster."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.config import without_password
from tuner.errors import TunerError
from tuner.fleet.cluster import NAMESPACE, last_line, named, names, nodes, ray_here
from tuner.fleet.code import code_here, differing
from tuner.fleet.order import Order, Wish
from tuner.fleet.remote_worker import RemoteWorker
from tuner.fleet.seats import WORKER, FleetStatus, Seat, rows_of, status_of, to_drain
from tuner.search.database.patience import in_a_line
from tuner.search.database.store import Store, open_store
from tuner.search.queue.queue import Queue
from tuner.search.watch.views import WorkerRow, list_workers
from tuner.search.work.keeper import kept

MANAGER = "fleet"
"""The name of the manager's actor: a cluster has one fleet."""

CALLS_AT_ONCE = 8
"""So many may ask the manager something at the same moment."""

_ROUND_SECONDS = 0.5
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
        self._lock = threading.Lock()
        self._wish, self._target, self._draining = order.wish, order.wish.workers, False
        self._at_once = False
        self._seats: dict[int, Seat] = {}
        self._asked_for_last = time.monotonic()
        self._store: Store | None = None
        self._trouble = self._not_started = ""
        self._failures, self._not_before = 0, 0.0
        self._recall()
        self.differs = differing(order.code, code_here())
        if not self.differs:
            threading.Thread(target=self._manage, name="manager", daemon=True).start()

    def refusal(self) -> str:
        """What is another here than where the fleet was ordered; empty if nothing is."""
        return self.differs

    def order(self) -> Order:
        """The fleet as it was ordered."""
        return replace(self._order, wish=self._wish)

    def status(self) -> FleetStatus:
        """How the fleet is."""
        roster = self._roster()
        return FleetStatus(
            database=without_password(self._order.database),
            wish=self._wish,
            target=0 if self._draining else self._target,
            draining=self._draining,
            trouble="; ".join(filter(None, (self._not_started, self._trouble))),
            workers=tuple(status_of(seat, roster) for seat in list(self._seats.values())),
        )

    def scale(self, wish: Wish) -> None:
        """Have it be as large as this from now on."""
        with self._lock:
            self._wish, self._target = wish, wish.workers
            self._asked_for_last = time.monotonic()
            self._remember()

    def down(self) -> bool:
        """Have all workers drain, and end then; asked again, they end at once.

        Returns:
            Whether they end at once.
        """
        with self._lock:
            self._at_once, self._draining = self._draining, True
            self._remember()
            return self._at_once

    def _manage(self) -> None:
        while True:
            try:
                with self._opened() as store, kept(store):
                    self._trouble = ""
                    while not self._ended():
                        self._round(store)
                        time.sleep(_ROUND_SECONDS)
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
        store = open_store(self._order.database, must_exist=True)
        try:
            self._store = store
            yield store
        finally:
            self._store = None
            store.close()

    def _ended(self) -> bool:
        return self._draining and not self._seats

    def _round(self, store: Store) -> None:
        """Look at every worker, and start or end some."""
        self._look()
        self._take_from_the_dead()
        roster = self._roster()
        if self._wish.follows and not self._draining:
            self._follow(store, roster)
        self._fill()
        self._thin(roster)

    def _end_without_database(self) -> None:
        """End workers, if they are to, while the database cannot be had."""
        self._look()
        self._thin([])

    def _roster(self) -> list[WorkerRow]:
        if self._store is None:
            return []
        try:
            roster = list_workers(self._store)
        except (DBAPIError, StorageInternalError) as error:
            self._trouble = without_password(in_a_line(error))
            return []
        self._trouble = ""
        return roster

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
                seat.seen = None

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
        wish = self._wish
        idle = self._idle(roster)
        working = [seat for seat in self._seats.values() if seat.state == "working"]
        busy = sum(seat.number not in idle for seat in working if not seat.draining)
        waiting = len(Queue(store).upcoming(most=wish.most))
        wanted = min(max(busy + waiting, wish.least), wish.most)
        now = time.monotonic()
        if wanted >= self._target:
            self._asked_for_last = now
        elif now - self._asked_for_last < wish.idle_seconds:
            return
        with self._lock:
            if self._wish is wish and wanted != self._target:
                self._target = wanted
                self._remember()

    def _idle(self, roster: list[WorkerRow]) -> set[int]:
        """The numbers of the workers that train nothing, as the roster has it."""
        last = {number: rows_of(seat, roster)[:1] for number, seat in self._seats.items()}
        return {number for number, rows in last.items() if rows and rows[0].state == "idle"}

    def _fill(self) -> None:
        """Start the workers that are missing."""
        if self._draining or time.monotonic() < self._not_before:
            return
        missing = self._target - sum(not seat.draining for seat in self._seats.values())
        for _ in range(missing):
            number = next(n for n in range(len(self._seats) + 1) if n not in self._seats)
            actor = self._ray.remote(RemoteWorker).options(
                name=f"{WORKER}{number}",
                namespace=NAMESPACE,
                lifetime="detached",
                max_restarts=-1,
                **self._order.shape.options,
            )
            self._seats[number] = Seat(number, actor.remote(self._order))

    def _thin(self, roster: list[WorkerRow]) -> None:
        """End the workers that are too many."""
        staying = [seat for seat in self._seats.values() if not seat.draining]
        surplus = len(staying) - (0 if self._draining else self._target)
        for seat in to_drain(staying, self._idle(roster), surplus):
            seat.draining = True
        for seat in [seat for seat in self._seats.values() if seat.draining]:
            if seat.seen is None:  # it is nowhere yet
                self._ray.kill(seat.actor, no_restart=True)
                self._forget(seat)
            elif self._at_once:
                seat.actor.end.remote()
            elif seat.seen.doing not in ("draining", "drained"):
                seat.actor.drain.remote()

    def _remember(self) -> None:
        """Write down what there is to be, where it lives as long as the cluster."""
        from ray.experimental.internal_kv import _internal_kv_put as put

        now = {"wish": asdict(self._wish), "target": self._target, "draining": self._draining}
        put(_KEY, json.dumps(now).encode(), overwrite=True, namespace=NAMESPACE.encode())

    def _recall(self) -> None:
        """Go on after an end of this process: find what there is to be, and who is there."""
        from ray.experimental.internal_kv import _internal_kv_get as get

        if not self._ray.get_runtime_context().was_current_actor_reconstructed:
            self._remember()
            return
        if (noted := get(_KEY, namespace=NAMESPACE.encode())) is not None:
            now: dict[str, Any] = json.loads(noted)
            self._wish, self._target = Wish(**now["wish"]), now["target"]
            self._draining = now["draining"]
        for name in names(self._ray):
            if name.startswith(WORKER) and (actor := named(self._ray, name)) is not None:
                number = int(name.removeprefix(WORKER))
                self._seats[number] = Seat(number, actor)
