"""The page of all workers and fleets."""

import pytest
from documents import Document, get
from sqlalchemy import update

from tuner.search.database.tables import fleets, workers
from tuner.search.fleets.book import Entry, Known, write
from tuner.search.fleets.views import get_fleet
from tuner.search.fleets.wish import Wish
from tuner.search.queue import roster


def test_without_a_worker_it_says_how_to_start_one(browser):
    page = get(browser, "/workers")
    assert "No worker is running" in page.text and "tuner worker --database" in page.text
    assert "/workers" in get(browser, "/").links


def test_each_worker_is_there_with_what_it_does_and_dead_ones_stand_apart(browser, store):
    for name in ("busy", "broken", "stopped", "dead"):
        roster.enrol(store, name, "cuda:1")
    roster.begins(store, "busy", "small/old", 3)
    for name, message in (("broken", "<b>out of luck</b>"), ("stopped", None)):
        done = {"finished": 1234, "epochs": 9, "training_seconds": 90.0}
        roster.rests(store, name, **done, state=name, message=message)
    with store.begin() as connection:
        values = {"last_seen": workers.c.last_seen - 3600, "host": "elsewhere"}
        connection.execute(update(workers).where(workers.c.name == "dead").values(values))
        connection.execute(update(workers).where(workers.c.name == "busy").values(host="there"))
    page = get(browser, "/workers")
    alive, _, ended = page.text.partition("Stopped or gone within a week")
    assert "1 working, 1 broken" in alive or "1 broken, 1 working" in alive
    assert "on 2 machines" in alive
    assert "3 of small/old" in alive and "<b>out of luck</b>" in alive and "1,234" in alive
    assert "there ·" in alive and "elsewhere" not in alive
    assert "elsewhere ·" in ended and "gone" in ended and "stopped" in ended
    assert "/comparisons/small" in page.links
    live = Document(browser.get("/workers/progress").text)
    assert {s["id"] for s in live.all("section") if "data-live" in s} == {
        "live-fleets",
        "live-workers",
        "live-ended",
    }
    assert "3 of small/old" in live.text


FLEET = "00c0ffee0000"
UP = Entry("10.0.0.1:6379", "up", target=2, up=1, room=8, trouble="")


@pytest.fixture
def known(store):
    return write(store, FLEET, UP, Known(Wish(2, 2, 2)))


def test_a_fleet_is_shown_and_scaled_by_a_form(browser, store, known):
    page = get(browser, "/workers")
    assert f"{FLEET} 10.0.0.1:6379 up 1 of 2 up 8" in page.text
    given = {each["name"]: each["value"] for each in page.all("input")}
    assert given == {"least": "2", "most": "2"}
    (action,) = [each for each in page.actions if "scale" in each]
    answer = browser.post(action, data={"least": "1", "most": "6"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/workers")
    assert "1 to 6 asked for, not taken up yet" in get(browser, "/workers").text
    write(store, FLEET, UP, known)
    live = Document(browser.get("/workers/progress").text)
    assert "1 of 2 up, from 1 to 6 as the queue is long" in live.text
    assert "asked for" not in live.text
    refused = browser.post(action, data={"least": "9", "most": "9"})
    assert refused.status_code == 422
    assert "room for 8; ask for fewer" in Document(refused.text).text
    assert browser.post(action, data={"least": "", "most": "9"}).status_code == 422


@pytest.mark.usefixtures("known")
def test_a_fleet_that_is_gone_says_so_and_has_no_form(browser, store):
    with store.begin() as connection:
        connection.execute(update(fleets).values(last_seen=fleets.c.last_seen - 61))
    page = get(browser, "/workers")
    assert f"{FLEET} 10.0.0.1:6379 gone" in page.text and not page.all("input")
    answer = browser.post(f"/fleets/{FLEET}/scale", data={"least": "1", "most": "1"})
    assert answer.status_code == 409
    assert "gave no sign of life" in Document(answer.text).text


@pytest.mark.usefixtures("known")
def test_nobody_scales_who_may_only_read_or_comes_from_another_site(browser, store, log_in):
    elsewhere = {"Origin": "https://example.org"}
    action, data = f"/fleets/{FLEET}/scale", {"least": "1", "most": "1"}
    assert browser.post(action, data=data, headers=elsewhere).status_code == 403
    log_in(browser, "read")
    assert get(browser, "/workers").actions == ["/logout"]
    assert browser.post(action, data=data).status_code == 403
    assert get_fleet(store, FLEET).revision == 1
