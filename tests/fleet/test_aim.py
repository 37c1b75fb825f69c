"""What a fleet is to be, in the memory of its manager, whatever becomes of the manager."""

import json
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tuner.fleet import aim as aims
from tuner.fleet.aim import Aim
from tuner.search.database.store import Store, open_store
from tuner.search.fleets.book import Entry
from tuner.search.fleets.views import ask, get_fleet
from tuner.search.fleets.wish import Wish

TWO, FOUR = Wish(2, 2, 2), Wish(4, 4, 4)


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with closing(open_store(sqlite_url)) as opened:
        yield opened


@pytest.fixture
def kept() -> list[str]:
    """What was kept, one after the other."""
    return []


def tell(aim: Aim, store: Store) -> None:
    """Write it down as its manager does."""
    aim.write(store, Entry("here:6379", "up", aim.target, aim.target, room=9, trouble=""))


def again(kept: list[str]) -> Aim:
    """As a manager that was started again has it."""
    return Aim(Wish(1, 1, 1), kept.append, kept[-1])


def test_it_is_as_ordered_and_known_under_one_name_whoever_starts_again(store, kept):
    aim = Aim(TWO, kept.append)
    assert (aim.wish, aim.target, aim.draining) == (TWO, 2, False)
    tell(aim, store)
    other = again(kept)
    assert (other.fleet_id, other.wish, other.target) == (aim.fleet_id, TWO, 2)
    assert Aim(TWO, kept.append).fleet_id != aim.fleet_id


def test_a_wish_left_in_the_database_is_taken_once(store, kept):
    aim = Aim(TWO, kept.append)
    tell(aim, store)
    ask(store, aim.fleet_id, 3, 3)
    tell(aim, store)
    assert (aim.wish.workers, aim.target) == (3, 3)
    aim.scale(FOUR)
    tell(aim, store)
    assert (aim.target, get_fleet(store, aim.fleet_id).least) == (4, 4)
    n_kept = len(kept)
    tell(aim, store)
    assert aim.target == 4 and len(kept) == n_kept  # nothing is new


def test_a_wish_left_while_the_manager_is_away_is_taken_when_it_is_back(store, kept):
    aim = Aim(TWO, kept.append)
    tell(aim, store)
    ask(store, aim.fleet_id, 0, 5)
    back = again(kept)
    assert back.target == 2
    tell(back, store)
    assert (back.wish, back.target) == (Wish(2, 0, 5), 2)
    late = again(kept)  # it ended right after
    assert (late.wish, late.target) == (back.wish, 2)


def test_what_was_taken_and_not_kept_is_taken_again(store, kept):
    aim = Aim(TWO, kept.append)
    tell(aim, store)
    before = kept[-1]
    ask(store, aim.fleet_id, 3, 3)
    tell(aim, store)
    back = Aim(TWO, kept.append, before)
    assert back.target == 2
    tell(back, store)
    assert (back.target, get_fleet(store, aim.fleet_id).pending) == (3, False)


def test_a_wish_typed_while_the_database_is_away_wins_if_it_is_the_last(
    store, kept, monkeypatch: pytest.MonkeyPatch
):
    aim = Aim(TWO, kept.append)
    tell(aim, store)
    ask(store, aim.fleet_id, 3, 3)
    aim.scale(FOUR)
    back = again(kept)
    tell(back, store)
    assert (back.target, get_fleet(store, aim.fleet_id).least) == (4, 4)

    with monkeypatch.context() as patch:
        patch.setattr(aims.time, "time", lambda: time.time_ns() / 1e9 - 60)
        back.scale(TWO)
    ask(store, aim.fleet_id, 5, 5)
    tell(back, store)
    assert (back.target, get_fleet(store, aim.fleet_id).least) == (5, 5)


def test_between_its_bounds_it_follows_the_queue_and_wishes_move_the_bounds(store, kept):
    aim = Aim(Wish(1, 0, 8, idle_seconds=0.0), kept.append)
    tell(aim, store)
    aim.follow(aim.wish, 99)
    assert aim.target == 8
    ask(store, aim.fleet_id, 2, 6)
    counted = aim.wish
    tell(aim, store)
    assert (aim.wish.least, aim.target) == (2, 6)
    aim.follow(counted, 8)  # by the bounds before
    assert aim.target == 6
    aim.follow(aim.wish, 0)
    assert (aim.target, json.loads(kept[-1])["target"]) == (2, 2)


def test_it_ends_when_asked_and_at_once_when_asked_twice(kept):
    aim = Aim(TWO, kept.append)
    assert not aim.end() and aim.draining
    back = again(kept)
    assert back.draining and not back.at_once
    assert back.end() and back.at_once
