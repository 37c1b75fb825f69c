"""The notices that are to be sent: taken by one server at a time, and tried until they arrive."""

from dataclasses import dataclass

from sqlalchemy import delete, select, update

from tuner.search.database.store import Store
from tuner.search.database.tables import Now, notices

MOST_ATTEMPTS = 20
"""After so many a notice is given up: most of a day."""

KEPT_SECONDS = 30 * 86_400.0
"""How long it is remembered that one was sent."""

_LEASE_SECONDS = 120.0
"""A notice that was taken is tried again after so long, if nothing was heard of its server."""
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 3600.0


@dataclass(frozen=True)
class Notice:
    """A notice to be sent.

    Args:
        id: Its own: whoever gets one twice knows it by this.
        channel: How it is sent.
        content: What it says, as JSON.
        attempts: How often it was tried, this time included.
    """

    id: str
    channel: str
    content: str
    attempts: int


def take(store: Store) -> Notice | None:
    """A notice that is due, for this server alone; None if there is none."""
    query = select(notices).where(notices.c.due <= Now()).order_by(notices.c.due).limit(1)
    with store.reader.connect() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    with store.begin() as connection:
        taken = connection.execute(
            update(notices)
            .where(notices.c.id == row.id, notices.c.due == row.due)
            .values(due=Now() + _LEASE_SECONDS, attempts=notices.c.attempts + 1)
        )
    if not taken.rowcount:
        return None  # another server was faster
    return Notice(row.id, row.channel, row.content, row.attempts + 1)


def note_sent(store: Store, notice: Notice) -> None:
    """Note that it arrived; it is not sent again."""
    with store.begin() as connection:
        connection.execute(
            update(notices)
            .where(notices.c.id == notice.id)
            .values(sent=Now(), due=None, failure=None)
        )
        old = notices.c.due.is_(None) & (notices.c.created < Now() - KEPT_SECONDS)
        connection.execute(delete(notices).where(old))


def note_failed(store: Store, notice: Notice, why: str) -> bool:
    """Note that it did not arrive; returns whether it is tried again."""
    again = notice.attempts < MOST_ATTEMPTS
    wait = min(_FIRST_WAIT * 2 ** (notice.attempts - 1), _LONGEST_WAIT)
    with store.begin() as connection:
        connection.execute(
            update(notices)
            .where(notices.c.id == notice.id)
            .values(failure=why[:1000], due=Now() + wait if again else None)
        )
    return again
