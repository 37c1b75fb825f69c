"""PostgreSQL clients that are frozen in a transaction, with locks that all others want."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from comparisons import comparison, enqueue
from light_trainer import LightTrainer
from optuna import load_study
from optuna.exceptions import StorageInternalError
from optuna.trial import Trial
from sqlalchemy import Connection, select, text, update
from sqlalchemy.exc import DBAPIError, OperationalError

from tuner.errors import NotFound
from tuner.search.database.patience import away, locked
from tuner.search.database.storage import limits
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import CANCELLED, RUNNING, comparisons, studies, trials
from tuner.search.queue import control
from tuner.search.queue.filling import positions
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work.batch import Batch, TrialsLost
from tuner.search.work.keeper import Keeper

EVERYTHING = range(1000)
GONE = -1.0
"""Seconds of a lease that ended before it began."""


@pytest.fixture
def store(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store whose statements wait for locks for a moment only."""
    monkeypatch.setitem(limits.LIMITS, "lock_timeout", "200ms")
    opened = open_store(postgres_url)
    yield opened
    opened.close()


@contextmanager
def frozen(store: Store, statement: object) -> Iterator[Connection]:
    """A client that has made this change, and goes on with nothing until the block ends."""
    with store.engine.connect() as connection:
        connection.execute(statement)  # type: ignore[call-overload]
        yield connection
        connection.rollback()


def touch(*trial_ids: int) -> object:
    """A change of these trials."""
    return update(trials).where(trials.c.trial_id.in_(trial_ids)).values(worker="frozen")


def running(store: Store) -> set[int]:
    query = select(trials.c.trial_id).where(trials.c.state == RUNNING)
    with store.engine.connect() as connection:
        return set(connection.scalars(query))


def test_trials_that_a_frozen_client_has_locked_are_put_back_after_the_others(store: Store):
    enqueue(store, comparison())
    held = Queue(store, lease_seconds=GONE).claim("small/old", "gone", EVERYTHING).trial_ids
    with frozen(store, touch(held[0])):
        assert Queue(store).reap() == 5
        assert running(store) == {held[0]}
        assert Queue(store).reap() == 0
    assert Queue(store).reap() == 1
    assert study_progress(store, "small")["small/old"].waiting == 6


def test_a_worker_lets_go_of_all_or_nothing(store: Store):
    enqueue(store, comparison())
    held = Queue(store).claim("small/old", "me", EVERYTHING).trial_ids
    with frozen(store, touch(held[0])), pytest.raises(OperationalError) as said:
        Queue(store).release(["me"])  # what it left out would be renewed for ever
    assert locked(said.value)
    assert Queue(store).release(["me"]) == 6


def test_leases_are_renewed_but_for_what_a_frozen_client_has_locked(store: Store):
    enqueue(store, comparison())
    held = Queue(store, lease_seconds=GONE).claim("small/old", "me", EVERYTHING).trial_ids
    with frozen(store, touch(held[0])):
        Queue(store).renew("me")
        assert Queue(store).reap() == 0  # of these five none has ended
    assert Queue(store).reap() == 1


def test_a_comparison_that_a_frozen_client_changes_hands_out_its_trials(store: Store):
    enqueue(store, comparison())
    change = update(comparisons).values(revision=comparisons.c.revision)
    with frozen(store, change):
        assert len(Queue(store).claim("small/old", "me", EVERYTHING).trial_ids) == 6


def test_a_keeper_fills_the_other_queues(store: Store):
    for name in ("first", "second"):
        control.submit(store, comparison(name=name))
    change = update(studies).where(studies.c.comparison == "first").values(revision=7)
    with frozen(store, change):
        Keeper(store).tend()
        assert study_progress(store, "second")["second/old"].waiting == 6
        assert study_progress(store, "first")["first/old"].queued == 0
    Keeper(store).tend()
    assert study_progress(store, "first")["first/old"].waiting == 6


def test_a_study_that_a_frozen_client_has_locked_in_optuna_is_filled_after_the_others(
    store: Store,
):
    for name in ("first", "second"):
        control.submit(store, comparison(name=name))
    with store.transaction():
        store.make_study(comparison(name="first").studies()[0])
    with frozen(store, text("update studies set study_name = study_name")):
        with pytest.raises(StorageInternalError) as said:
            enqueue(store, comparison(name="first"))
        assert locked(said.value), "though Optuna asks five times, and is refused otherwise then"
        Keeper(store).tend()
        assert study_progress(store, "second")["second/old"].waiting == 6
    with store.engine.connect() as connection:
        assert connection.scalars(select(comparisons.c.trouble)).all() == [None, None]
    Keeper(store).tend()
    assert study_progress(store, "first")["first/old"].waiting == 6


def test_a_keeper_goes_on_where_cancelled_trials_are_locked(store: Store):
    enqueue(store, comparison())
    first = positions(store, "small/old")[0]
    with frozen(store, touch(first)), pytest.raises(OperationalError) as said:
        control.change_comparison(store, "small", "cancel")
    assert locked(said.value)
    assert away(said.value), "whoever asked is told to come again"
    with store.begin() as connection:  # as if the process had ended before it told Optuna
        connection.execute(update(trials).values(state=CANCELLED, worker="-"))
    control.submit(store, comparison(name="other"))
    with frozen(store, touch(first)):
        Keeper(store).tend()
        assert study_progress(store, "other")["other/old"].waiting == 6


def test_a_frozen_transaction_is_ended_and_its_client_told_to_begin_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tuner.search.database.storage.limits.FROZEN_SECONDS", 1)
    store = open_store(postgres_url)
    enqueue(store, comparison())
    held = Queue(store, lease_seconds=GONE).claim("small/old", "gone", EVERYTHING).trial_ids
    with pytest.raises(DBAPIError) as said, store.begin() as connection:
        connection.execute(touch(*held))  # type: ignore[call-overload]
        waiting = threading.Event()
        while Queue(store).reap() == 0:
            waiting.wait(0.1)
        connection.execute(select(trials.c.trial_id))
    assert away(said.value)
    assert running(store) == set()
    store.close()


def test_trials_are_deleted_once_nobody_asks_for_their_settings(store: Store):
    enqueue(store, comparison())
    queue = Queue(store)
    held = queue.claim("small/old", "me", EVERYTHING).trial_ids
    control.change_comparison(store, "small", "pause")
    study = load_study(study_name="small/old", storage=store.optuna)
    with ThreadPoolExecutor(1) as other:
        with store.transaction() as connection:
            queue.only_while_held(connection, "me", held)
            deleted = other.submit(control.delete, store, "small")
            Trial(study, held[0]).suggest_float("alpha", 0.1, 0.2)
            assert not deleted.done(), "it waits"
        error = deleted.exception(timeout=60)
    assert error is None or isinstance(error, OperationalError)
    with suppress(NotFound):
        control.delete(store, "small")
    with pytest.raises(TrialsLost), store.transaction() as connection:
        queue.only_while_held(connection, "me", held)


def test_a_worker_asks_for_no_settings_of_trials_that_were_taken_away(store: Store):
    enqueue(store, comparison())
    queue = Queue(store)
    claim = queue.claim("small/old", "me", EVERYTHING)
    queue.release(["me"])
    batch = Batch(queue, "me", claim, comparison().studies()[0], stopping=lambda: False, ran_on={})
    with pytest.raises(TrialsLost):
        batch.train(LightTrainer("cpu"))
    assert not any(trial.params for trial in store.rdb.get_all_trials(1))
