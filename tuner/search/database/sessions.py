"""Sessions of browsers that showed a key: begun, asked about, ended; for all servers at once."""

import hashlib
import secrets

from sqlalchemy import delete, insert, select

from tuner.search.database.keys import Key, as_key
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, keys, sessions

SESSION_SECONDS = 12 * 3600
"""So long a session lasts at most."""


def begin(store: Store, key_id: str) -> str:
    """A new session of a valid key; returns what its browser is to show, which is not stored."""
    token = secrets.token_urlsafe(32)
    with store.begin() as connection:
        connection.execute(delete(sessions).where(sessions.c.expires < Now()))
        connection.execute(
            insert(sessions).values(
                token_hash=_hash(token), key_id=key_id, expires=Now() + SESSION_SECONDS
            )
        )
    return token


def key_of(store: Store, token: str) -> Key | None:
    """The key that the session was begun with, while both are valid."""
    query = (
        select(keys)
        .join(sessions, sessions.c.key_id == keys.c.id)
        .where(
            sessions.c.token_hash == _hash(token),
            sessions.c.expires > Now(),
            keys.c.revoked.is_(None),
        )
    )
    with store.reader.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else as_key(row)


def end(store: Store, token: str) -> None:
    """End a session, if it is one: whoever copied its token has nothing of it."""
    with store.begin() as connection:
        connection.execute(delete(sessions).where(sessions.c.token_hash == _hash(token)))


def _hash(token: str) -> str:
    """SHA-256, in hexadecimal: enough for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()
