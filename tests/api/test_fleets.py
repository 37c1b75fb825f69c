"""Fleets by REST: their managers' rows, and wishes for their size."""

import pytest
from sqlalchemy import update

from tuner.search.database.events import events_after
from tuner.search.database.tables import fleets
from tuner.search.fleets.book import Entry, Known, write
from tuner.search.fleets.wish import Wish

FLEET = "00c0ffee0000"
HERE = f"/v1/fleets/{FLEET}"
UP = Entry("10.0.0.1:6379", "up", target=2, up=1, room=8, trouble="")


@pytest.fixture(autouse=True)
def known(store):
    return write(store, FLEET, UP, Known(Wish(2, 2, 2)))


def test_a_fleet_is_listed_and_looked_at(client):
    (listed,) = client.get("/v1/fleets").json()["items"]
    answer = client.get(HERE)
    assert answer.json() == listed
    assert answer.headers["ETag"] == '"1"'
    assert listed["last_seen"] == pytest.approx(listed["started"])
    assert {key: listed[key] for key in ("id", "address", "state", "target", "up", "room")} == {
        "id": FLEET,
        "address": "10.0.0.1:6379",
        "state": "up",
        "target": 2,
        "up": 1,
        "room": 8,
    }
    assert (listed["min"], listed["max"], listed["idle_seconds"]) == (2, 2, 30.0)
    assert (listed["pending"], listed["trouble"]) == (False, None)


@pytest.mark.parametrize(
    ("body", "bounds"),
    [({"workers": 4}, (4, 4)), ({"min": 0, "max": 900}, (0, 900)), ({"min": 8, "max": 8}, (8, 8))],
)
def test_a_wish_waits_for_the_manager_that_takes_it(client, store, known, body, bounds):
    answer = client.patch(HERE, json=body, headers={"If-Match": '"1"'})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert ((told["min"], told["max"]), told["pending"], told["target"]) == (bounds, True, 2)
    assert answer.headers["ETag"] == '"2"'
    wish = write(store, FLEET, UP, known).wish
    assert (wish.least, wish.most) == bounds
    assert not client.get(HERE).json()["pending"]
    assert [event.kind for event in events_after(store.engine, 0)] == ["scaled"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        ({"workers": 4}, {"If-Match": '"9"'}, 412, "at revision 1, not 9"),
        ({"workers": 9}, {}, 422, "9 workers do not fit"),
        ({"min": 9, "max": 20}, {}, 422, "9 workers do not fit"),
        ({"workers": 0}, {}, 422, "workers: "),
        ({"workers": 2.5}, {}, 422, "workers: "),
        ({"workers": 10**6}, {}, 422, "workers: "),
        ({"min": 3, "max": 2}, {}, 422, "min: must be at most max"),
        ({"min": 3}, {}, 422, "say either"),
        ({"workers": 3, "max": 3}, {}, 422, "say either"),
        ({}, {}, 422, "say either"),
        ({"worker": 3}, {}, 422, "worker"),
    ],
)
def test_a_wish_that_cannot_be_changes_nothing(client, body, headers, status, words):
    answer = client.patch(HERE, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]
    assert client.get(HERE).json()["revision"] == 1


@pytest.mark.parametrize(
    ("state", "silent", "words"),
    [
        ("draining", 0, "is ending; bring up another"),
        ("down", 0, "is down; bring up another"),
        ("up", 61, "is gone: its manager at 10.0.0.1:6379 gave no sign of life for 60 seconds"),
    ],
)
def test_a_fleet_that_ends_or_is_gone_is_not_scaled(client, store, state, silent, words):
    with store.begin() as connection:
        seen = {"state": state, "last_seen": fleets.c.last_seen - silent}
        connection.execute(update(fleets).values(seen))
    answer = client.patch(HERE, json={"workers": 1})
    assert answer.status_code == 409
    assert words in answer.json()["detail"]
    assert client.get(HERE).json()["state"] == ("gone" if silent else state)


def test_others_are_not_found(client):
    other = "/v1/fleets/0123456789ab"
    assert client.get(other).status_code == 404
    assert client.patch(other, json={"workers": 1}).status_code == 404
    assert client.get("/v1/fleets/%00").status_code == 422


def test_who_may_only_read_scales_nothing(client, key):
    reader = key("read")
    assert client.get(HERE, headers=reader).status_code == 200
    assert client.patch(HERE, json={"workers": 1}, headers=reader).status_code == 403
    assert client.patch(HERE, json={"workers": 1}).status_code == 401
    assert client.get(HERE, headers=reader).json()["revision"] == 1
