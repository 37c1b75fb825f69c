"""Fleets in the database, as their managers write them, and what people want of them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import update

from tuner.errors import Conflict, InvalidInput, NotFound, Stale
from tuner.search.database.events import events_after
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import fleets
from tuner.search.fleets.book import Entry, Known, write
from tuner.search.fleets.views import ask, get_fleet, list_fleets
from tuner.search.fleets.wish import Wish

UP = Entry(address="10.0.0.1:6379", state="up", target=2, up=1, room=8, trouble="")
TWO, FOUR = Wish(2, 2, 2, 9.0), Wish(4, 4, 4, 9.0)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with closing(open_store(database)) as opened:
        yield opened


@pytest.fixture
def known(store: Store) -> Known:
    """What the manager of fleet a goes by that was just brought up."""
    return write(store, "a", UP, Known(TWO))


def age(store: Store, fleet_id: str, seconds: float, *columns: str) -> None:
    """Have it be longer ago."""
    with store.begin() as connection:
        values = {name: fleets.c[name] - seconds for name in columns}
        connection.execute(update(fleets).where(fleets.c.id == fleet_id).values(values))


def test_a_fleet_is_shown_as_its_manager_has_it(store, known):
    assert known == Known(TWO, 1)
    (row,) = list_fleets(store)
    assert row == get_fleet(store, "a")
    assert (row.address, row.state, row.target, row.up, row.room) == (UP.address, "up", 2, 1, 8)
    assert (row.workers, row.least, row.most, row.idle_seconds) == (2, 2, 2, 9.0)
    assert (row.revision, row.pending, row.ended) == (1, False, False)
    age(store, "a", 50, "started", "last_seen")
    began = get_fleet(store, "a").started
    assert write(store, "a", replace(UP, up=2, trouble="no room"), known) == known
    row = get_fleet(store, "a")
    assert (row.up, row.trouble, row.started) == (2, "no room", began)
    assert row.last_seen > began
    with pytest.raises(NotFound, match="no fleet 'b'"):
        get_fleet(store, "b")


def test_a_wish_is_taken_once_and_the_last_one_wins(store, known):
    ask(store, "a", 3, 3)
    ask(store, "a", 1, 6)
    row = get_fleet(store, "a")
    assert (row.least, row.most, row.workers, row.idle_seconds) == (1, 6, 2, 9.0)
    assert (row.revision, row.taken, row.pending) == (3, 1, True)
    taken = write(store, "a", UP, known)
    assert taken == Known(Wish(2, 1, 6, 9.0), 3)
    assert not get_fleet(store, "a").pending
    assert write(store, "a", UP, known) == taken  # it died before it remembered that
    assert write(store, "a", UP, taken) == taken
    told = [event for event in events_after(store.engine, 0) if event.kind == "scaled"]
    assert [event.data for event in told] == [
        {"fleet": "a", "least": 3, "most": 3},
        {"fleet": "a", "least": 1, "most": 6},
    ]


def test_a_wish_typed_on_the_cluster_is_written_down_unless_a_later_one_is_there(store, known):
    typed = replace(known, wish=FOUR, age=3600.0)
    now = write(store, "a", UP, typed)
    assert now == Known(FOUR, 2)
    row = get_fleet(store, "a")
    assert (row.least, row.revision, row.pending) == (4, 2, False)
    assert write(store, "a", UP, typed) == Known(FOUR, 3)  # it died before it remembered that

    ask(store, "a", 5, 5)
    assert write(store, "a", UP, Known(TWO, 3, age=3600.0)).wish.workers == 5  # asked for later
    age(store, "a", 7200, "wished")
    assert write(store, "a", UP, Known(TWO, 3, age=3600.0)).wish == TWO  # typed later


@pytest.mark.usefixtures("known")
def test_a_row_that_went_is_made_again_with_what_its_manager_goes_by(store):
    age(store, "a", 8 * 86_400, "last_seen")
    assert list_fleets(store) == []
    write(store, "b", UP, Known(FOUR))
    with pytest.raises(NotFound):
        get_fleet(store, "a")
    assert write(store, "a", UP, Known(FOUR, 7, age=1.0)) == Known(FOUR, 7)
    row = get_fleet(store, "a")
    assert (row.least, row.revision, row.pending) == (4, 7, False)
    assert {row.id for row in list_fleets(store)} == {"a", "b"}


@pytest.mark.usefixtures("known")
def test_what_cannot_be_is_refused_and_changes_nothing(store):
    for numbers in ((-1, 2), (0, 0), (1, 100_001)):
        with pytest.raises(InvalidInput, match="workers: 0 <= --min"):
            ask(store, "a", *numbers)
    with pytest.raises(InvalidInput, match="min: must be at most max, got 3 and 2"):
        ask(store, "a", 3, 2)
    with pytest.raises(InvalidInput, match=r"9 workers do not fit: .* room for 8; ask for fewer"):
        ask(store, "a", 9, 9)
    with pytest.raises(Stale, match="at revision 1, not 4"):
        ask(store, "a", 1, 1, revision=4)
    with pytest.raises(NotFound):
        ask(store, "b", 1, 1)
    assert get_fleet(store, "a").revision == 1
    ask(store, "a", 8, 900, revision=1)
    assert get_fleet(store, "a").revision == 2


def test_a_fleet_that_ends_or_is_gone_is_not_scaled_and_stands_last(store, known):
    write(store, "b", UP, known)
    write(store, "a", replace(UP, state="draining"), known)
    with pytest.raises(Conflict, match="fleet 'a' is ending; bring up another"):
        ask(store, "a", 1, 1)
    age(store, "a", 61, "last_seen")
    with pytest.raises(Conflict, match=r"'a' is gone: its manager at 10\.0\.0\.1:6379 gave no"):
        ask(store, "a", 1, 1)
    assert [(row.id, row.state) for row in list_fleets(store)] == [("b", "up"), ("a", "gone")]
    write(store, "b", replace(UP, state="down"), known)
    age(store, "b", 61, "last_seen")
    with pytest.raises(Conflict, match="fleet 'b' is down"):
        ask(store, "b", 1, 1)
    assert get_fleet(store, "b").state == "down"
    write(store, "a", UP, known)  # it was only cut off
    assert get_fleet(store, "a").state == "up"
