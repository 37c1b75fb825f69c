"""The fleet's workers as its manager knows them, and as people are told of them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tuner.fleet.remote_worker import Seen
from tuner.search.fleets.wish import Wish
from tuner.search.watch.views import WorkerRow

WORKER = "worker-"
"""How the names of the workers' actors begin; a number follows."""

NOT_UP = ("waiting", "restarting", "drained", "refused", "broken")
"""The states of workers that are not up, or not any more."""


@dataclass
class Seat:
    """The place of one worker in a fleet: its actor, which Ray moves when a node dies.

    Args:
        number: Of the seat.
        actor: Ray's handle.
        since: When it was made, by the clock.
        asked: The question that it has not answered yet.
        seen: What it answered last; None as long as it never did.
        restarting: Whether Ray is to start it anew.
        draining: Whether it is to end.
        placed: The node that it was to start on; empty if on any.
    """

    number: int
    actor: Any  # Any: Ray's
    since: float = field(default_factory=time.time)
    asked: Any = None  # Any: Ray's
    seen: Seen | None = None
    restarting: bool = False
    draining: bool = False
    placed: str = ""

    @property
    def node_id(self) -> str:
        """Where it is, or is to be; empty if nobody knows."""
        return self.placed if self.seen is None else self.seen.node_id

    @property
    def state(self) -> str:
        """What it does, in a word."""
        if self.restarting:
            return "restarting"
        if self.seen is None:
            return "waiting"  # for a node with room, or for its process
        return "draining" if self.draining and self.seen.doing == "working" else self.seen.doing


@dataclass(frozen=True)
class WorkerStatus:
    """One worker of a fleet, for people.

    Args:
        number: Of its seat.
        state: ``waiting`` for a node with room, ``restarting``, ``draining``, ``drained``,
            ``refused``, ``broken``; or what the roster says: ``starting``, ``idle``, ``working``.
        node_id: Ray's name of its node; empty as long as it has none.
        host: Its host; empty likewise.
        device: The GPUs that it was assigned, or cpu.
        study: What it trains now.
        running: How many trials of it.
        finished: Trials it finished.
        trials_an_hour: How many that is in an hour, since its process began.
        message: What is to be said of it.
    """

    number: int
    state: str
    node_id: str = ""
    host: str = ""
    device: str = ""
    study: str | None = None
    running: int = 0
    finished: int = 0
    trials_an_hour: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class FleetStatus:
    """A fleet, for people.

    Args:
        fleet_id: By what it is known in the database.
        database: Its address, without a password.
        wish: What there is to be.
        target: How many workers that means now.
        draining: Whether it is ending.
        trouble: Why it cannot be what it is to be; empty if it can.
        workers: Its workers.
    """

    fleet_id: str
    database: str
    wish: Wish
    target: int
    draining: bool
    trouble: str
    workers: tuple[WorkerStatus, ...]

    @property
    def up(self) -> int:
        """How many workers are up, whatever they do."""
        return sum(worker.state not in NOT_UP for worker in self.workers)

    @property
    def trials_an_hour(self) -> float:
        """How many trials its workers finish in an hour, together."""
        return sum(worker.trials_an_hour for worker in self.workers)


def rows_of(seat: Seat, roster: Iterable[WorkerRow]) -> list[WorkerRow]:
    """The worker processes that the seat's actor had, the last one first."""
    if seat.seen is None:
        return []
    own = [row for row in roster if row.name.startswith(seat.seen.prefix)]
    return sorted(own, key=lambda row: row.started, reverse=True)


def status_of(seat: Seat, roster: Iterable[WorkerRow]) -> WorkerStatus:
    """What people are told of a seat."""
    if seat.seen is None:
        return WorkerStatus(seat.number, seat.state, message="for a node with room, or to start")
    seen, rows = seat.seen, rows_of(seat, roster)
    row = rows[0] if rows else None
    state, message = seat.state, seen.message
    if row is not None and state == "working":
        state, message = row.state, row.message or ""
    elif state == "working":
        state = "starting"
    finished = sum(each.finished for each in rows)
    began, last = [each.started for each in rows], [each.last_seen for each in rows]
    hours = (max(last) - min(began)) / 3600 if rows else 0.0
    return WorkerStatus(
        number=seat.number,
        state=state,
        node_id=seen.node_id,
        host=seen.host,
        device=f"gpu {','.join(seen.gpus)}" if seen.gpus else "cpu",
        study=row.study_name if row is not None and row.state == "working" else None,
        running=row.running if row is not None else 0,
        finished=finished,
        trials_an_hour=finished / hours if hours > 0 else 0.0,
        message=message,
    )
