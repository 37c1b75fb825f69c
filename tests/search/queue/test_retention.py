"""What goes when a database is pruned, and what never does."""

import optuna
import pytest
from comparisons import comparison, enqueue, run
from sqlalchemy import Table, func, insert, select, update

from tuner.errors import InvalidInput
from tuner.search.database import keys, requests, sessions
from tuner.search.database.store import Store
from tuner.search.database.tables import (
    Now,
    comparisons,
    events,
    studies,
    trials,
    workers,
)
from tuner.search.database.tables import keys as keys_table
from tuner.search.database.tables import requests as requests_table
from tuner.search.database.tables import sessions as sessions_table
from tuner.search.queue import control
from tuner.search.queue.queue import Queue
from tuner.search.queue.retention import Old, Retention, old, prune

DAY = 86_400.0
AGED = {
    events: "created",
    workers: "last_seen",
    requests_table: "created",
    sessions_table: "expires",
    comparisons: "created",
}


def age(store: Store, days: float, *, but: tuple[Table, ...] = ()) -> None:
    """Have everything that is there happened so many days earlier."""
    with store.begin() as connection:
        for table, column in AGED.items():
            if table not in but:
                connection.execute(update(table).values({column: table.c[column] - days * DAY}))


def count(store: Store, table: Table) -> int:
    with store.engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def traces(store: Store) -> None:
    """An event, a worker that ended, an answer, a session, and a revoked key."""
    store.declare(comparison(name=f"traced-{count(store, comparisons)}"))
    key_id = keys.create(store, "me", keys.SCOPES).split("_")[1]
    sessions.begin(store, key_id)
    requests.begin(store, key_id, "once", "print")
    requests.end(store, key_id, "once", requests.Answer(200, {}, "{}"))
    keys.revoke(store, key_id)
    worker(store, f"worker-{count(store, workers)}")


def worker(store: Store, name: str) -> None:
    row = {"name": name, "host": "h", "pid": 1, "device": "cpu", "code_version": "1"}
    times = {"started": Now(), "last_seen": Now()}
    with store.begin() as connection:
        connection.execute(insert(workers).values(**row, **times, state="stopped"))


def test_old_traces_go_and_new_ones_and_results_stay(store: Store):
    run_small(store)
    traces(store)
    age(store, 100)
    ran = count(store, events)
    with_trials = count(store, trials)
    store.declare(comparison(name="new"))
    worker(store, "new")
    retention = Retention(90 * DAY)
    expected = old(store, retention)
    assert (expected.events, expected.sessions) == (ran, 1)
    assert expected.requests == 1
    assert expected.workers == count(store, workers) - 1
    assert expected.comparisons == ()
    assert count(store, events) == ran + 1  # looking changes nothing
    assert prune(store, retention) == expected
    assert prune(store, retention) == Old(0, 0, 0, 0, 0, ())
    assert [count(store, table) for table in (events, workers)] == [1, 1]
    assert count(store, requests_table) == count(store, sessions_table) == 0
    assert count(store, trials) == with_trials
    assert set(store.names()) == {"small", "traced-1", "new"}
    assert keys.any_made(store)


def run_small(store: Store) -> None:
    store.declare(comparison())
    run(store)


def test_what_is_not_older_than_asked_stays(store: Store):
    traces(store)
    age(store, 5)
    assert prune(store, Retention(6 * DAY)) == Old(0, 0, 0, 0, 0, ())
    gone = prune(store, Retention(4 * DAY))
    assert (gone.events, gone.workers, gone.requests, gone.sessions) == (1, 1, 1, 1)


def test_a_worker_that_holds_a_trial_stays(store: Store):
    enqueue(store, comparison())
    for name in ("holds", "gone"):
        worker(store, name)
    Queue(store).claim("small/old", "holds", range(1))
    age(store, 100)
    assert prune(store, Retention(DAY)).workers == 1
    with store.engine.connect() as connection:
        assert connection.scalars(select(workers.c.name)).all() == ["holds"]


def cancelled(store: Store, name: str) -> None:
    enqueue(store, comparison(name=name, n_trials=2))
    control.change_comparison(store, name, "cancel")


def test_cancelled_comparisons_go_if_asked_with_all_that_is_theirs(store: Store):
    cancelled(store, "old")
    cancelled(store, "lately")
    enqueue(store, comparison(name="active", n_trials=2))
    age(store, 100)
    with store.begin() as connection:  # it was cancelled just now
        connection.execute(
            insert(events).values(created=Now(), comparison="lately", kind="cancelled", data="{}")
        )
    assert prune(store, Retention(90 * DAY)).comparisons == ()
    retention = Retention(90 * DAY, cancelled=True)
    assert old(store, retention).comparisons == ("old",)
    assert prune(store, retention).comparisons == ("old",)
    assert set(store.names()) == {"lately", "active"}
    with store.engine.connect() as connection:
        left = set(connection.scalars(select(studies.c.comparison)))
    assert left == {"lately", "active"}
    assert not [n for n in optuna.get_all_study_names(store.rdb) if n.startswith("old/")]


def test_only_what_belongs_to_the_named_comparisons_goes(store: Store):
    traces(store)
    cancelled(store, "mine")
    cancelled(store, "other")
    age(store, 100)
    retention = Retention(DAY, only=("mine",), cancelled=True)
    gone = prune(store, retention)
    assert gone.comparisons == ("mine",)
    assert (gone.events > 0, gone.workers, gone.requests, gone.sessions) == (True, 0, 0, 0)
    assert set(store.names()) == {"traced-0", "other"}
    assert count(store, workers) == 1


def test_many_events_go_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tuner.search.queue.retention._AT_ONCE", 3)
    for number in range(8):
        store.declare(comparison(name=f"n{number}"))
    age(store, 2)
    assert prune(store, Retention(DAY)).events == 8
    assert count(store, events) == 0
    assert count(store, keys_table) == 0


@pytest.mark.parametrize("seconds", [DAY - 1, 0.0, -1.0, float("nan"), float("inf")])
def test_less_than_a_day_is_refused(seconds: float):
    with pytest.raises(InvalidInput, match="at least a day"):
        Retention(seconds)
