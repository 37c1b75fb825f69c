"""Event streams end when they should; what was not to be seen is not."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from comparisons import comparison, enqueue
from sqlalchemy.event import listen

from tuner.api import auth
from tuner.api.routes import events
from tuner.api.routes import feed as feeds
from tuner.api.routes.feed import Feed
from tuner.search.database import keys
from tuner.search.database.events import Event, newest, record
from tuner.search.queue import control
from tuner.search.watch.progress import progress

JSON = {"Content-Type": "application/json"}
SPEC = comparison().model_dump(mode="json")


@pytest.mark.slow
def test_the_stream_of_a_revoked_key_ends(client, key, store, monkeypatch):
    monkeypatch.setattr(auth, "_TRUST_SECONDS", 0.0)
    monkeypatch.setattr(events, "_ASK_SECONDS", 0.2)
    _other, mine = key("read"), key("read")
    gone = threading.Timer(0.5, keys.revoke, (store, mine["Authorization"].split("_")[1]))
    gone.start()
    began = time.monotonic()
    answer = client.get("/v1/events", params={"seconds": 30}, headers=mine)
    assert answer.status_code == 200
    assert time.monotonic() - began < 15
    gone.join()


@pytest.mark.slow
def test_a_server_told_to_stop_ends_its_streams_and_says_nothing_is_wrong(tmp_path):
    command = [sys.executable, "-m", "tuner", "serve", "--port", "0"]
    server = subprocess.Popen(
        [*command, "--database", f"sqlite:///{tmp_path}/a.db"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    address = server.stdout.readline().split()[0]
    deadline = time.monotonic() + 60
    while True:
        try:
            stream = urllib.request.urlopen(f"{address}/v1/events?seconds=60", timeout=60)
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    os.kill(server.pid, signal.SIGTERM)
    assert stream.read() in (b"", b": ping\n\n")
    _, told = server.communicate(timeout=60)
    assert server.returncode == 0
    assert "Traceback" not in told


def test_a_body_that_is_no_text_is_refused_as_json_that_is_not_valid_is(client):
    bad = client.post("/v1/comparisons", content=b'{"name": "\xff"}', headers=JSON)
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "body")


def test_a_cancelled_comparison_does_not_pass_for_done(client, store):
    spec = comparison()
    enqueue(store, spec)
    control.change_comparison(store, "small", "cancel")
    arm = client.get("/v1/comparisons/small").json()["arms"][0]
    assert (arm["done"], arm["cancelled"], arm["retrained"], arm["to_retrain"]) == (0, 6, 0, 0)
    now = progress(store, spec)
    assert (now.complete, now.lacks_trials) == (True, False)
    assert not any(each.lacks_retraining for each in now.arms)


async def _listen(feed: Feed, known: int, listeners: int) -> list[list[str]]:
    """What each of so many hears of what happens while they listen."""
    await asyncio.gather(*(feed.after(known) for _ in range(listeners)))
    for kind in ("claimed", "finished"):
        await asyncio.to_thread(_happen, feed, kind)
    news = await asyncio.gather(*(feed.after(known) for _ in range(listeners)))
    return [[str(each.sent.event) for each in heard] for heard in news]


def _happen(feed: Feed, kind: str) -> None:
    with feed._engine.begin() as connection:
        record(connection, "small", kind)


def test_one_look_at_the_database_is_for_all_who_listen(store):
    feed, looks = Feed(store.engine), []
    with store.engine.begin() as connection:
        record(connection, "small", "submitted")
    listen(
        store.engine,
        "before_cursor_execute",
        lambda _c, _cursor, statement, *_: looks.append(statement),
    )
    known = newest(store.engine)
    heard = asyncio.run(_listen(feed, known, 50))
    assert heard == [["claimed", "finished"]] * 50
    reads = [statement for statement in looks if "tuner_events.data" in statement]
    assert 1 <= len(reads) <= 5


def test_who_knows_less_than_the_feed_keeps_misses_nothing(store, monkeypatch):
    monkeypatch.setattr(feeds, "_KEPT", 1)
    feed = Feed(store.engine)
    known = newest(store.engine)
    for kind in ("submitted", "claimed"):
        _happen(feed, kind)

    async def listen_twice() -> list[list[str]]:
        heard = [await feed.after(known)]
        for kind in ("finished", "complete"):
            await asyncio.to_thread(_happen, feed, kind)
        heard.append(await feed.after(known))
        heard.append(await feed.after(heard[-1][-1].id - 1))
        return [[str(each.sent.event) for each in news] for news in heard]

    first, second, last = asyncio.run(listen_twice())
    assert first == ["submitted", "claimed"]
    assert second == ["submitted", "claimed", "finished", "complete"]
    assert last == ["complete"]


def test_who_wakes_during_a_long_look_waits_for_it_and_hears_everything_once(store, monkeypatch):
    monkeypatch.setattr(feeds, "LOOK_SECONDS", 0.02)
    feed, seen = Feed(store.engine), threading.Event()
    read = feeds.events_after

    def read_slowly(*arguments: int) -> list[Event]:
        found = read(*arguments)
        seen.wait()
        return found

    async def listen_in_turn() -> list[list[int]]:
        known = newest(store.engine)
        await feed.after(known)
        _happen(feed, "submitted")
        monkeypatch.setattr(feeds, "events_after", read_slowly)
        waiting = [asyncio.create_task(feed.after(known))]
        await asyncio.sleep(0.1)  # the clock strikes
        waiting.append(asyncio.create_task(feed.after(known)))
        await asyncio.sleep(0.1)
        seen.set()
        return [[each.id - known for each in await heard] for heard in waiting]

    assert asyncio.run(listen_in_turn()) == [[1], [1]]
