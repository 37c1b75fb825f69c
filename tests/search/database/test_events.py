import pytest
from comparisons import comparison, enqueue, work_here
from sqlalchemy import delete, insert, update

from tuner.search.database import events
from tuner.search.database.events import events_after, newest, record, trim
from tuner.search.database.store import Store
from tuner.search.database.tables import Now
from tuner.search.database.tables import events as table


def happen(store: Store, *kinds: str) -> None:
    with store.engine.begin() as connection:
        for kind in kinds:
            record(connection, "a", kind, n=1)


def kinds(store: Store, after: int) -> list[str]:
    return [event.kind for event in events_after(store.engine, after)]


def test_events_come_in_order_and_only_those_after_the_last_one_known(store: Store):
    happen(store, "submitted", "claimed", "finished")
    first, *_ = events_after(store.engine, 0)
    assert kinds(store, 0) == ["submitted", "claimed", "finished"]
    assert kinds(store, first.id) == ["claimed", "finished"]
    assert kinds(store, newest(store.engine)) == []
    assert newest(store.engine, kind="claimed") == first.id + 1
    assert first.data == {"n": 1}


def test_what_follows_a_number_still_to_come_is_held_back_until_it_is_there(store: Store):
    happen(store, "one", "two", "three")
    first = events_after(store.engine, 0)[0]
    with store.engine.begin() as connection:  # as if the second's transaction were still open
        connection.execute(delete(table).where(table.c.id == first.id + 1))
    assert kinds(store, first.id) == []
    with store.engine.begin() as connection:
        late = {"id": first.id + 1, "created": Now(), "kind": "two", "data": "{}"}
        connection.execute(insert(table).values(late))
    assert kinds(store, first.id) == ["two", "three"]
    with store.engine.begin() as connection:  # as if it had been rolled back
        connection.execute(delete(table).where(table.c.id == first.id + 1))
        connection.execute(update(table).values(created=Now() - 60.0))
    assert kinds(store, first.id) == ["three"]
    with store.engine.begin() as connection:  # as if the clock had been set back since
        connection.execute(update(table).values(created=Now() + 3600.0))
    assert kinds(store, first.id) == ["three"]


def test_only_the_newest_are_kept(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(events, "KEPT", 2)
    happen(store, "one", "two", "three", "four")
    trim(store.engine)
    assert kinds(store, 0) == ["three", "four"]


def test_a_run_tells_of_every_trial(store: Store):
    enqueue(store, comparison())
    work_here(store)
    found = events_after(store.engine, 0)
    assert found[0].kind == "submitted"
    for kind in ("claimed", "finished"):
        told = [event for event in found if event.kind == kind]
        assert sum(event.data["n"] for event in told) == 12
        assert {event.data["study"] for event in told} == {"small/old", "small/new"}
