"""API keys: made, listed, revoked, checked; only a hash of their secret is stored."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, func, insert, select, update

from tuner.errors import InvalidInput, NotFound, UnknownName
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, keys

SCOPES = ("read", "write")
_FORM = re.compile(r"tuner_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[ -~]{1,100}")


@dataclass(frozen=True)
class Key:
    """A key without its secret.

    Args:
        id: Its public part.
        name: Whose it is, or what for.
        scopes: What it allows: read, write.
        created: When, in seconds since 1970.
        revoked: When it was revoked, if it was.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created: float
    revoked: float | None


def create(store: Store, name: str, scopes: Collection[str]) -> str:
    """A new key, ``tuner_ID_SECRET``; it cannot be read again.

    Args:
        store: The database.
        name: Whose it is, or what for, in printable ASCII.
        scopes: One or more of ``SCOPES``; write does not include read.

    Raises:
        InvalidInput: If the name or the scopes are not such.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"key name: must be 1 to 100 printable ASCII characters, got {name!r}")
    if not scopes:
        raise InvalidInput("key scopes: give at least one; choose from read, write")
    for scope in scopes:
        if scope not in SCOPES:
            raise UnknownName("key scope", scope, SCOPES)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    with store.begin() as connection:
        connection.execute(
            insert(keys).values(
                id=key_id,
                name=name,
                secret_hash=_hash(secret),
                scopes=" ".join(scope for scope in SCOPES if scope in scopes),
                created=Now(),
            )
        )
    return f"tuner_{key_id}_{secret}"


def listed(store: Store) -> list[Key]:
    """All keys, the oldest first, revoked ones too."""
    with store.engine.connect() as connection:
        rows = connection.execute(select(keys).order_by(keys.c.created, keys.c.id)).all()
    return [as_key(row) for row in rows]


def as_key(row: Row[Any]) -> Key:  # Any: a row's columns
    """A row of ``tables.keys`` without its secret's hash."""
    return Key(row.id, row.name, tuple(row.scopes.split()), row.created, row.revoked)


def revoke(store: Store, key_id: str) -> None:
    """End a key for good.

    Raises:
        NotFound: If there is none of that id, or it was revoked before.
    """
    with store.begin() as connection:
        done = connection.execute(
            update(keys).where(keys.c.id == key_id, keys.c.revoked.is_(None)).values(revoked=Now())
        )
    if not done.rowcount:
        raise NotFound(f"there is no valid key {key_id!r}; see them with: tuner keys list")


def any_valid(store: Store) -> bool:
    """Whether a key exists that was not revoked."""
    query = select(func.count()).select_from(keys).where(keys.c.revoked.is_(None))
    with store.engine.connect() as connection:
        return bool(connection.scalar(query))


def any_made(store: Store) -> bool:
    """Whether a key was ever made, revoked ones included."""
    with store.engine.connect() as connection:
        return bool(connection.scalar(select(func.count()).select_from(keys)))


def verify(store: Store, presented: str) -> Key | None:
    """The valid key that these characters are, if they are one.

    It takes as long for an unknown id as for a wrong secret.
    """
    form = _FORM.fullmatch(presented)
    key_id, secret = form.groups() if form else ("", presented)
    with store.engine.connect() as connection:
        row = connection.execute(
            select(keys).where(keys.c.id == key_id, keys.c.revoked.is_(None))
        ).first()
    stored = row.secret_hash if row is not None else _hash("")
    if not hmac.compare_digest(stored, _hash(secret)) or row is None:
        return None
    return as_key(row)


def valid(store: Store, key_id: str) -> Key | None:
    """The key of that id, if it is valid."""
    return next((k for k in listed(store) if k.id == key_id and k.revoked is None), None)


def _hash(secret: str) -> str:
    """SHA-256, in hexadecimal: enough for secrets of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
