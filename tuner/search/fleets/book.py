"""A fleet's row, as its manager keeps it up to date and takes from it what people want."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, insert, select, update

from tuner.search.database.events import record
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, fleets
from tuner.search.fleets.wish import Wish
from tuner.search.queue.roster import KEPT_SECONDS

State = Literal["up", "draining", "down"]
"""What a manager says of its fleet; draining: its workers end, down: they have ended."""


@dataclass(frozen=True)
class Entry:
    """How a fleet is.

    Args:
        address: Where its cluster is.
        state: Whether it works, or ends.
        target: How many workers there are to be now.
        up: How many are up.
        room: How many its cluster's nodes hold.
        trouble: Why it cannot be what it is to be; empty if it can.
    """

    address: str
    state: State
    target: int
    up: int
    room: int
    trouble: str


@dataclass(frozen=True)
class Known:
    """What a manager goes by.

    Args:
        wish: How many workers it has there be.
        revision: The number of that wish in the database.
        age: For how many seconds it has gone by a wish that is not in the database yet, since it
            was told on the cluster; None if the wish is there.
    """

    wish: Wish
    revision: int = 1
    age: float | None = None


def write(store: Store, fleet_id: str, entry: Entry, known: Known) -> Known:
    """Write down how a fleet is; returns what to go by from now on: the last wish, whoever's.

    Who dies before it remembers what this returned does it again later, to the same end.

    Args:
        store: The database.
        fleet_id: The fleet; its row is made if there is none.
        entry: How it is.
        known: What its manager has gone by so far.
    """
    this = fleets.c.id == fleet_id
    values = {**asdict(entry), "last_seen": Now()}
    with store.begin() as connection:
        if not connection.execute(update(fleets).where(this).values(values)).rowcount:
            _insert(connection, fleet_id, values, known)
            return Known(known.wish, known.revision)
        row = connection.execute(select(fleets, Now().label("now")).where(this)).one()
        wish, revision = wish_of(row), row.revision
        told = known.age is not None and (
            revision == known.revision or row.wished <= row.now - known.age
        )
        if told:
            wish, revision = known.wish, revision + 1
            change(connection, fleet_id, wish, revision, age=known.age or 0.0)
        if row.taken != revision:
            connection.execute(update(fleets).where(this).values(taken=revision))
    return Known(wish, revision)


def change(
    connection: Connection, fleet_id: str, wish: Wish, revision: int, *, age: float = 0.0
) -> None:
    """Note in this transaction, which holds the fleet's row, how large it is wished to be.

    Args:
        connection: The transaction's.
        fleet_id: The fleet.
        wish: The wish.
        revision: Its number, one more than the last one's.
        age: How many seconds ago it was uttered.
    """
    connection.execute(
        update(fleets)
        .where(fleets.c.id == fleet_id)
        .values(**asdict(wish), wished=Now() - age, revision=revision)
    )
    record(connection, None, "scaled", fleet=fleet_id, least=wish.least, most=wish.most)


def wish_of(row: Row[Any]) -> Wish:  # Any: the table's columns
    """The wish that a fleet's row holds."""
    return Wish(row.workers, row.least, row.most, row.idle_seconds)


def _insert(
    connection: Connection, fleet_id: str, values: dict[str, object], known: Known
) -> None:
    """Make a fleet's row, and remove those that are long gone."""
    connection.execute(delete(fleets).where(fleets.c.last_seen < Now() - KEPT_SECONDS))
    connection.execute(
        insert(fleets).values(
            **values,
            **asdict(known.wish),
            id=fleet_id,
            started=Now(),
            wished=Now() - (known.age or 0.0),
            revision=known.revision,
            taken=known.revision,
        )
    )
