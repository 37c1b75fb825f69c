"""Requests that carry an Idempotency-Key: carried out once, and answered the same again."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from tuner.errors import Busy, InvalidInput
from tuner.search.database.patience import in_a_line
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, requests

KEPT_SECONDS = 24 * 3600.0
"""So long an answer is remembered."""

_SIGN_SECONDS = 3.0
"""So often a server says that it still carries a request out."""

_SILENT_SECONDS = 30.0
"""A request of which nobody said so for so long died with its server, and may be made again."""

_log = logging.getLogger(__name__)


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
        Busy: If this very request is being carried out, however long that takes.
    """
    this = (requests.c.owner == owner) & (requests.c.idempotency_key == key)
    try:
        with store.begin() as connection:
            connection.execute(delete(requests).where(requests.c.created < Now() - KEPT_SECONDS))
            values = {"owner": owner, "idempotency_key": key, "fingerprint": fingerprint}
            connection.execute(insert(requests).values(**values, created=Now(), alive=Now()))
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
        last_sign = func.coalesce(requests.c.alive, requests.c.created)
        abandoned = requests.c.answer.is_(None) & (last_sign < Now() - _SILENT_SECONDS)
        taken = connection.execute(update(requests).where(this, abandoned).values(alive=Now()))
        if taken.rowcount:
            return None
    raise Busy(f"Idempotency-Key {key!r}: this request is still being carried out; ask again soon")


@contextmanager
def carried_out(store: Store, owner: str, key: str) -> Iterator[None]:
    """Say now and then that the request is being carried out, as long as the block lasts.

    From a thread of its own: the request's may be busy, and so may all others.
    """
    this = (requests.c.owner == owner) & (requests.c.idempotency_key == key)
    ended = threading.Event()

    def say() -> None:
        while not ended.wait(_SIGN_SECONDS):
            try:
                with store.begin() as connection:
                    connection.execute(update(requests).where(this).values(alive=Now()))
            except SQLAlchemyError as error:
                _log.warning("a request's sign of life is not written: %s", in_a_line(error))

    threading.Thread(target=say, name="signs of life", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


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
