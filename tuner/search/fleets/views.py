"""What fleets there are, for people, and their wishes for how large one is to be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, case, select, update

from tuner.errors import Conflict, InvalidInput, NotFound, Stale
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, fleets
from tuner.search.fleets.book import change
from tuner.search.fleets.wish import Wish
from tuner.search.queue.queue import LEASE_SECONDS
from tuner.search.queue.roster import KEPT_SECONDS
from tuner.wording import count

_GONE = (fleets.c.state != "down") & (fleets.c.last_seen < Now() - LEASE_SECONDS)
_STATE = case((_GONE, "gone"), else_=fleets.c.state).label("state")
_COLUMNS = [_STATE if c.name == "state" else c for c in fleets.c if c.name != "wished"]


@dataclass(frozen=True)
class FleetRow:
    """A fleet; ``state`` is gone if its manager was silent for long. See ``tables.fleets``."""

    id: str
    address: str
    started: float
    last_seen: float
    state: str
    target: int
    up: int
    room: int
    trouble: str
    workers: int
    least: int
    most: int
    idle_seconds: float
    revision: int
    taken: int

    @property
    def pending(self) -> bool:
        """Whether its manager has not heard of the last wish yet."""
        return self.taken != self.revision

    @property
    def ended(self) -> bool:
        """Whether nobody can change it any more, or knows of one who could."""
        return self.state in ("down", "gone")


def list_fleets(store: Store) -> list[FleetRow]:
    """The fleets of the last week: those that are not down or gone first, then the newest."""
    query = (
        select(*_COLUMNS)
        .where(fleets.c.last_seen > Now() - KEPT_SECONDS)
        .order_by(fleets.c.started.desc(), fleets.c.id)
    )
    rows = [FleetRow(**row._asdict()) for row in _rows(store, query)]
    return sorted(rows, key=lambda row: row.ended)


def get_fleet(store: Store, fleet_id: str) -> FleetRow:
    """One fleet.

    Raises:
        NotFound: If there is none of that id.
    """
    rows = _rows(store, select(*_COLUMNS).where(fleets.c.id == fleet_id))
    if not rows:
        raise NotFound(f"there is no fleet {fleet_id!r}")
    return FleetRow(**rows[0]._asdict())


def ask(
    store: Store, fleet_id: str, least: int, most: int, *, revision: int | None = None
) -> None:
    """Have a fleet have so many workers, as the queue is long; its manager takes that up.

    Args:
        store: The database.
        fleet_id: The fleet.
        least: How few at least.
        most: How many at most; the same for so many however long the queue is.
        revision: Do it only if this is still its revision.

    Raises:
        InvalidInput: If the numbers are out of range, or its cluster has no room for the fewest.
        NotFound: If there is no such fleet.
        Conflict: If it ends, is down, or is gone.
        Stale: If it has another revision.
    """
    if least > most:
        raise InvalidInput(f"min: must be at most max, got {least} and {most}")
    wish = Wish(least, least, most)
    this = fleets.c.id == fleet_id
    with store.begin() as connection:
        connection.execute(update(fleets).where(this).values(revision=fleets.c.revision))
        row = connection.execute(select(*_COLUMNS).where(this)).first()
        if row is None:
            raise NotFound(f"there is no fleet {fleet_id!r}")
        fleet = FleetRow(**row._asdict())
        if revision is not None and fleet.revision != revision:
            raise Stale(
                f"fleet {fleet_id!r} was scaled meanwhile: it is at revision {fleet.revision}, "
                f"not {revision}; read it again"
            )
        if fleet.state != "up":
            raise Conflict(_why_not(fleet))
        if least > fleet.room:
            raise InvalidInput(
                f"{count(least, 'worker')} do not fit: the nodes of the cluster have room for "
                f"{fleet.room}; ask for fewer, or, where the cluster grows by itself, for min "
                f"{fleet.room} or less with a higher max"
            )
        size = Wish(wish.nearest(fleet.target), least, most, fleet.idle_seconds)
        change(connection, fleet_id, size, fleet.revision + 1)


def _why_not(fleet: FleetRow) -> str:
    if fleet.state == "draining":
        return f"fleet {fleet.id!r} is ending; bring up another with: tuner fleet up"
    if fleet.state == "down":
        return f"fleet {fleet.id!r} is down; bring up another with: tuner fleet up"
    return (
        f"fleet {fleet.id!r} is gone: its manager at {fleet.address} gave no sign of life for "
        f"{LEASE_SECONDS:g} seconds; look there with: tuner fleet status"
    )


def _rows(store: Store, query: Select[Any]) -> Sequence[Row[Any]]:  # Any: the columns' types
    with store.reader.connect() as connection:
        return connection.execute(query).all()
