"""How workers that come at the same moment share what waits, and how little they ask for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from comparisons import comparison, enqueue
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import event, select

from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import AloneAt
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    enqueue(opened, comparison())
    yield opened
    opened.close()


@pytest.fixture
def queue(store: Store) -> Queue:
    """The queue of a comparison of two arms of six trials."""
    return Queue(store)


def test_places_are_listed_batch_by_batch_arms_side_by_side(queue: Queue):
    queue.batch("small/new", 2)
    queue.batch("small/old", 4)
    places = [(place.study_name, place.position) for place in queue.upcoming("small")]
    assert places == [
        ("small/new", 0),
        ("small/old", 0),
        ("small/new", 2),
        ("small/new", 4),
        ("small/old", 4),
    ]
    assert [place.batch for place in queue.upcoming("small", most=2)] == [2, 4]
    queue.claim("small/new", "a", range(2))
    assert queue.upcoming("small", without=["small/old"])[0].position == 2


def test_a_trial_that_raised_is_a_place_of_its_own(queue: Queue):
    queue.batch("small/old", 6)
    claim = queue.claim("small/old", "a", range(6))
    queue.fail("a", claim.trial_ids[2:4], "Traceback")
    queue.release(["a"])
    places = queue.upcoming("small", without=["small/new"])
    assert [(place.position, place.retry) for place in places] == [
        (0, False),
        (2, True),
        (3, True),
    ]


def test_nobody_takes_a_part_of_the_batch_that_another_is_taking(postgres_url: str):
    store = open_store(postgres_url)
    enqueue(store, comparison())
    queue = Queue(store)
    with store.engine.begin() as connection:
        assert connection.scalar(select(AloneAt("small/old 0")))
        assert connection.scalar(select(AloneAt("small/old 0")))  # it is where it is
        assert queue.claim("small/old", "b", range(3)).trial_ids == ()
        assert len(queue.claim("small/old", "b", range(3, 6)).trial_ids) == 3
    assert len(queue.claim("small/old", "b", range(3)).trial_ids) == 3
    store.close()


@contextmanager
def queries(store: Store) -> Iterator[list[str]]:
    """The queries that are asked meanwhile."""
    asked: list[str] = []

    def note(_connection, _cursor, statement, *_rest) -> None:
        asked.extend([statement] if statement.startswith("SELECT") else [])

    event.listen(store.engine, "before_cursor_execute", note)
    yield asked
    event.remove(store.engine, "before_cursor_execute", note)


def test_many_trials_are_claimed_reported_and_finished_with_the_queries_of_one(queue: Queue):
    store, counts = queue.store, []
    good = TrialOutcome(TrialState.COMPLETE, 0.9, {"run": {}}, {1: 0.6, 2: 0.9})
    for study, n in (("small/old", 1), ("small/new", 6)):
        store.trials_of(study)
        with queries(store) as asked:
            ids = queue.claim(study, "a", range(n)).trial_ids
            queue.report("a", 1, dict.fromkeys(ids, 0.5))
            assert queue.finish("a", dict.fromkeys(ids, good)) == set(ids)
        counts.append(len(asked))
        for trial in store.trials_of(study)[:n]:
            assert trial.state is TrialState.COMPLETE
            assert trial.value == 0.9
            assert trial.intermediate_values == {1: 0.6, 2: 0.9}
    assert counts[0] == counts[1]


def test_what_is_read_ahead_is_what_optuna_reads(store: Store):
    claim = Queue(store).claim("small/old", "a", range(3))
    storage = store.optuna
    parts = ("params", "values", "user_attributes", "system_attributes", "intermediate_values")
    expected = [RDBStorage.get_trial(store.rdb, trial_id) for trial_id in claim.trial_ids]
    with store.transaction():
        store.read_ahead(claim.trial_ids, *parts)
        assert [storage.get_trial(trial_id) for trial_id in claim.trial_ids] == expected
    with pytest.raises(KeyError), store.transaction():
        store.read_ahead([10**6])
        storage.set_trial_state_values(10**6, TrialState.RUNNING)
