"""Deleting a comparison beside a worker that is just writing about its trials."""

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from comparisons import comparison, enqueue
from light_trainer import LightTrainer
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from tuner.search.database.finished import finished_trials
from tuner.search.database.patience import locked
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import ACTIVE
from tuner.search.queue import control
from tuner.search.queue.control import change_comparison, delete
from tuner.search.queue.queue import Queue
from tuner.search.work import batch
from tuner.search.work.keeper import Keeper
from tuner.search.work.worker import Worker

SPEC = comparison(retrain_seeds=0)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    enqueue(opened, SPEC)
    enqueue(opened, comparison(name="still", retrain_seeds=0))
    yield opened
    opened.close()


def work(store: Store) -> None:
    """A worker of the whole database, until it finds nothing that it can do."""
    queue = Queue(store)
    Worker(
        queue,
        LightTrainer("cpu"),
        name="here",
        stopping=lambda: not queue.holders() and queue.next_up() is None,
        share=None,
    ).run()


def remove(url: str) -> None:
    with closing(open_store(url)) as another:
        if another.status("small") == ACTIVE:
            change_comparison(another, "small", "pause")
        delete(another, "small")


def address(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


@pytest.mark.slow
def test_trials_do_not_go_while_a_worker_asks_for_their_settings(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    suggest, refused = batch.suggest, []

    def suggest_and_remove(space, trial):
        settings = suggest(space, trial)
        if not refused and store.engine.dialect.name != "sqlite":  # it has one writer at a time
            with pytest.raises(DBAPIError) as error:
                remove(address(store))
            refused.append(error.value)
        return settings

    monkeypatch.setattr(batch, "suggest", suggest_and_remove)
    work(store)
    assert len(finished_trials(store, "still/new")) == 6
    assert all(locked(error) for error in refused)
    remove(address(store))
    Keeper(store).tend()  # what is left of deleting it
    assert store.names() == ["still"]


@pytest.mark.slow
def test_who_deletes_waits_for_a_worker_that_is_just_writing(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    """The settings are written, and not yet for good, when the comparison is deleted, at once."""
    monkeypatch.setattr(control, "_ATTEMPTS", 1)
    failed: list[Exception] = []
    deleting: list[threading.Thread] = []

    def delete_meanwhile() -> None:
        try:
            remove(address(store))
        except Exception as error:
            failed.append(error)

    def before_execute(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "INTO trial_params" in statement:
            written.append(statement)

    def before_commit(_connection: object) -> None:
        if written and not deleting:
            deleting.append(threading.Thread(target=delete_meanwhile))
            deleting[0].start()
            deleting[0].join(1.0)

    written: list[str] = []
    event.listen(store.engine, "before_cursor_execute", before_execute)
    event.listen(store.engine, "commit", before_commit)
    work(store)
    (thread,) = deleting
    thread.join(60)
    assert failed == []
    assert store.names() == ["still"]
    assert len(finished_trials(store, "still/new")) == 6
