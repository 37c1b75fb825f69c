"""Requests that carry an Idempotency-Key: carried out once, and answered the same again."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from tuner.errors import Conflict, InvalidInput
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, requests

KEPT_SECONDS = 24 * 3600.0
"""So long an answer is remembered."""

_ABANDONED_SECONDS = 10.0
"""A request without an answer for so long died with its server, and may be carried out again."""


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Mapping[str, str]
    body: str


def begin(store: Store, owner: str, key: str, fingerprint: str) -> Answer | None:
    """Begin a request, or find the answer that it got.

    Args:
        store: The database.
        owner: Who asks; keys are theirs.
        key: The Idempotency-Key.
        fingerprint: A digest of method, path and body.

    Raises:
        InvalidInput: If the key was used for another request.
        Conflict: If this very request is being carried out.
    """
    this = (requests.c.owner == owner) & (requests.c.idempotency_key == key)
    try:
        with store.begin() as connection:
            connection.execute(delete(requests).where(requests.c.created < Now() - KEPT_SECONDS))
            values = {"owner": owner, "idempotency_key": key, "fingerprint": fingerprint}
            connection.execute(insert(requests).values(**values, created=Now()))
            return None
    except IntegrityError:
        pass  # it was begun before
    with store.begin() as connection:
        row = connection.execute(select(requests).where(this)).first()
        if row is not None and row.fingerprint != fingerprint:
            raise InvalidInput(
                f"Idempotency-Key {key!r}: was used for another request; every request needs its "
                "own"
            )
        if row is not None and row.answer is not None:
            return Answer(**json.loads(row.answer))
        abandoned = requests.c.answer.is_(None) & (requests.c.created < Now() - _ABANDONED_SECONDS)
        taken = connection.execute(update(requests).where(this, abandoned).values(created=Now()))
        if taken.rowcount:
            return None
    raise Conflict(f"Idempotency-Key {key!r}: this request is being carried out; ask again soon")


def end(store: Store, owner: str, key: str, answer: Answer | None) -> None:
    """Remember the answer; without one the request may be made again."""
    this = (requests.c.owner == owner) & (requests.c.idempotency_key == key)
    with store.begin() as connection:
        if answer is None:
            connection.execute(delete(requests).where(this))
        else:
            connection.execute(
                update(requests).where(this).values(answer=json.dumps(asdict(answer)))
            )
