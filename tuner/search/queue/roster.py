"""Who works: one row per worker process, kept up to date by itself once it is up."""

import os
import socket
from collections.abc import Iterable
from typing import Literal

from sqlalchemy import delete, func, insert, null, select, update

from tuner import __version__
from tuner.search.database.store import Store
from tuner.search.database.tables import LIVE, STARTING, Now, workers

KEPT_SECONDS = 7 * 86400.0
"""How long a worker that is gone is remembered."""

State = Literal["starting", "idle", "working", "stopped", "broken"]


def announce(store: Store, name: str, device: str) -> None:
    """Note that this process starts a worker; until that one enrols, the process id is ours."""
    _enter(store, name, device, "starting")


def withdraw(store: Store, names: Iterable[str], why: str) -> None:
    """Note that the processes of these workers are gone, unless they said so themselves.

    Those that were announced and never enrolled are forgotten.
    """
    these = workers.c.name.in_(names)
    with store.begin() as connection:
        connection.execute(delete(workers).where(these, workers.c.state == STARTING))
        connection.execute(
            update(workers)
            .where(these, workers.c.state.in_(LIVE))
            .values(state="stopped", study_name=null(), running=0, message=why)
        )


def enrol(store: Store, name: str, device: str) -> None:
    """Note that a worker started; it is idle."""
    _enter(store, name, device, "idle")


def _enter(store: Store, name: str, device: str, state: State) -> None:
    with store.begin() as connection:
        long_gone = workers.c.last_seen < Now() - KEPT_SECONDS
        connection.execute(delete(workers).where(long_gone | (workers.c.name == name)))
        connection.execute(
            insert(workers).values(
                name=name,
                host=socket.gethostname(),
                pid=os.getpid(),
                device=device,
                code_version=__version__,
                started=Now(),
                last_seen=Now(),
                state=state,
            )
        )


def seen(store: Store, name: str) -> None:
    """Note that the worker is alive."""
    with store.begin() as connection:
        connection.execute(update(workers).where(workers.c.name == name).values(last_seen=Now()))


def begins(store: Store, name: str, study_name: str, n_trials: int) -> None:
    """Note that the worker trains trials of a study."""
    with store.begin() as connection:
        connection.execute(
            update(workers)
            .where(workers.c.name == name)
            .values(last_seen=Now(), state="working", study_name=study_name, running=n_trials)
        )


def rests(
    store: Store,
    name: str,
    *,
    finished: int,
    epochs: int,
    training_seconds: float,
    state: State = "idle",
    message: str | None = None,
) -> None:
    """Note what the worker has done so far, and that it trains nothing now.

    Args:
        store: The database.
        name: The worker.
        finished: Trials it finished.
        epochs: Trial epochs it trained.
        training_seconds: How long that took.
        state: What it is now.
        message: Why, if there is something to say.
    """
    with store.begin() as connection:
        connection.execute(
            update(workers)
            .where(workers.c.name == name)
            .values(
                last_seen=Now(),
                state=state,
                study_name=null(),
                running=0,
                finished=finished,
                epochs=epochs,
                training_seconds=training_seconds,
                message=message,
            )
        )


def count(store: Store, *, within_seconds: float) -> int:
    """How many workers gave a sign of life lately and may take trials."""
    query = (
        select(func.count())
        .select_from(workers)
        .where(
            workers.c.state.in_(LIVE),
            workers.c.last_seen > Now() - within_seconds,
        )
    )
    with store.engine.connect() as connection:
        return connection.scalar(query) or 0


def finished(store: Store, prefix: str) -> int:
    """How many trials the workers whose names begin so have finished."""
    query = select(func.coalesce(func.sum(workers.c.finished), 0)).where(
        workers.c.name.startswith(prefix, autoescape=True)
    )
    with store.engine.connect() as connection:
        return connection.scalar(query) or 0
