"""The page of all workers."""

from documents import Document, get
from sqlalchemy import update

from tuner.search.database.tables import workers
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
    assert {s["id"] for s in live.all("section")} == {"live-fleet", "live-ended"}
    assert "3 of small/old" in live.text
