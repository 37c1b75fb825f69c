"""From what happens to what arrives: each occasion once, whoever dies in between."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from comparisons import comparison, enqueue, remove, run
from receivers import Received, web
from sqlalchemy import select, update

from tuner.search.database.events import record, trim
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import Now, events, notices, trials
from tuner.search.queue import control, roster
from tuner.search.watch.notify import outbox
from tuner.search.watch.notify.notifier import notified, send_due
from tuner.search.watch.notify.occasions import note_occasions
from tuner.search.watch.notify.outbox import MOST_ATTEMPTS
from tuner.search.watch.notify.settings import NotifySettings, WebhookSettings

NOWHERE = WebhookSettings("http://127.0.0.1:9/", b"a secret of theirs")
TOLD = NotifySettings(webhook=NOWHERE, public_url="https://t.example")


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with closing(open_store(database)) as opened:
        note_occasions(opened, TOLD)  # begins here
        yield opened


def noted(store: Store) -> list[dict[str, object]]:
    """What is to be said, in order."""
    with store.engine.connect() as connection:
        rows = connection.execute(select(notices).order_by(notices.c.created)).all()
    return [json.loads(row.content) for row in rows]


def types(store: Store) -> list[object]:
    return [said["type"] for said in noted(store)]


def settle(store: Store) -> None:
    """Let all events be old enough: a gap before a young one would hold it back."""
    with store.begin() as connection:
        connection.execute(update(events).values(created=events.c.created - 60))


@pytest.mark.slow
def test_an_end_is_noted_once_with_its_numbers_and_its_address(store: Store):
    control.submit(store, comparison(retrain_seeds=0))
    run(store)
    settle(store)
    assert note_occasions(store, TOLD) == 1
    assert note_occasions(store, TOLD) == 0
    (said,) = noted(store)
    assert said["type"] == "comparison.ended"
    assert said["data"] == {
        "comparison": "small",
        "status": "complete",
        "message": "small is complete: 12 trials done",
        "trials": {"done": 12, "failed": 0, "unfinished": 0},
        "url": "https://t.example/comparisons/small",
    }


def test_what_ended_before_anybody_was_to_be_told_is_not_told(database: str):
    with closing(open_store(database)) as store:
        store.declare(comparison())
        control.change_comparison(store, "small", "cancel")
        settle(store)
        assert note_occasions(store, TOLD) == note_occasions(store, TOLD) == 0


def test_an_end_is_told_however_long_the_server_was_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    store.declare(comparison())
    control.change_comparison(store, "small", "cancel")
    with store.begin() as connection:
        for _ in range(5):
            record(connection, None, "claimed")
    monkeypatch.setattr("tuner.search.database.events.KEPT", 2)
    trim(store.engine)
    settle(store)
    assert note_occasions(store, TOLD) == 1
    assert types(store) == ["comparison.ended"]


def test_a_cancelled_study_is_no_end_of_its_comparison(store: Store):
    store.declare(comparison())
    control.change_study(store, 1, "cancel")
    settle(store)
    assert note_occasions(store, TOLD) == 0


def test_of_two_comparisons_of_one_name_each_end_is_told(store: Store):
    for _ in range(2):
        store.declare(comparison())
        control.change_comparison(store, "small", "cancel")
        settle(store)
        note_occasions(store, TOLD)
        remove(store, "small")
    assert types(store) == ["comparison.ended"] * 2


def test_the_first_trial_that_failed_for_good_is_told_and_again_after_a_retry(store: Store):
    def fail(position: int) -> None:
        with store.begin() as connection:
            this = trials.c.position == position
            connection.execute(update(trials).where(this).values(state="failed"))

    enqueue(store, comparison())
    assert note_occasions(store, TOLD) == 0
    for position in (2, 3):
        fail(position)
        note_occasions(store, TOLD)
    assert types(store) == ["comparison.failing"]
    assert "a trial failed for good" in str(noted(store)[0]["data"])
    control.retry_failed(store, "small")
    assert note_occasions(store, TOLD) == 0
    fail(2)
    note_occasions(store, TOLD)
    assert types(store) == ["comparison.failing"] * 2


def test_a_silence_is_told_once_and_the_next_one_too(store: Store):
    enqueue(store, comparison())
    quiet = NotifySettings(webhook=NOWHERE, stall_seconds=30)
    assert note_occasions(store, quiet) == 0
    settle(store)
    roster.enrol(store, "w", "cpu")
    for _ in range(2):
        note_occasions(store, quiet)
    (said,) = noted(store)
    assert said["type"] == "comparison.stalled"
    assert "no trial has ended for 1 minute; 1 worker is running" in str(said["data"])
    with store.begin() as connection:
        record(connection, "small", "finished", study="small/old", n=1)
    assert note_occasions(store, quiet) == 0
    settle(store)
    note_occasions(store, quiet)
    assert types(store) == ["comparison.stalled"] * 2
    control.change_comparison(store, "small", "pause")
    settle(store)
    assert note_occasions(store, quiet) == 0  # nobody waits for it


def test_two_servers_note_an_occasion_once(store: Store, database: str):
    store.declare(comparison())
    control.change_comparison(store, "small", "cancel")
    settle(store)
    go = threading.Barrier(4)
    noticed: list[int] = []

    def server() -> None:
        with closing(open_store(database)) as mine:
            go.wait(60)
            noticed.append(note_occasions(mine, TOLD))

    threads = [threading.Thread(target=server) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(noticed) == [0, 0, 0, 1]
    assert len(noted(store)) == 1


def cancelled(store: Store) -> None:
    store.declare(comparison())
    control.change_comparison(store, "small", "cancel")
    settle(store)
    assert note_occasions(store, TOLD) == 1


def let_time_pass(store: Store) -> None:
    """What waits to be tried again is due."""
    with store.begin() as connection:
        connection.execute(update(notices).where(notices.c.due.is_not(None)).values(due=Now() - 1))


def ids(received: Received) -> list[str]:
    return [headers["webhook-id"] for headers, _ in received]


def test_a_notice_is_tried_until_it_arrives_under_one_id_and_then_no_more(store: Store):
    cancelled(store)
    never = threading.Event()
    with web(500, 503) as (url, received):
        settings = NotifySettings(webhook=WebhookSettings(url, b"a secret of theirs"))
        send_due(store, settings, never)
        send_due(store, settings, never)
        assert len(received) == 1  # the next attempt waits
        for _ in range(4):
            let_time_pass(store)
            send_due(store, settings, never)
    assert len(received) == 3 and len(set(ids(received))) == 1
    with store.engine.connect() as connection:
        row = connection.execute(select(notices)).one()
    assert row.sent is not None and row.due is None and row.failure is None and row.attempts == 3


def test_what_a_server_took_with_it_when_it_died_is_sent_by_another(store: Store):
    cancelled(store)
    assert outbox.take(store) is not None
    assert outbox.take(store) is None  # its server may still be sending it
    let_time_pass(store)
    again = outbox.take(store)
    assert again is not None and again.attempts == 2


def test_a_notice_is_given_up_after_many_attempts_whose_distance_grows(store: Store):
    cancelled(store)
    waits = []
    for attempt in range(MOST_ATTEMPTS):
        let_time_pass(store)
        notice = outbox.take(store)
        assert notice is not None
        assert outbox.note_failed(store, notice, "away") == (attempt < MOST_ATTEMPTS - 1)
        with store.engine.connect() as connection:
            due, now = connection.execute(select(notices.c.due, Now())).one()
        waits.append(None if due is None else round(due - now))
    assert waits[:4] == [30, 60, 120, 240] and waits[-2] == 3600 and waits[-1] is None
    assert outbox.take(store) is None


@pytest.mark.slow
def test_a_server_tells_of_an_end_by_itself(store: Store):
    with web() as (url, received):
        settings = NotifySettings(webhook=WebhookSettings(url, b"a secret of theirs"))
        with notified(store, settings, every_seconds=0.05):
            store.declare(comparison())
            control.change_comparison(store, "small", "cancel")
            deadline = time.monotonic() + 60
            while not received and time.monotonic() < deadline:
                time.sleep(0.05)
    assert json.loads(received[0][1])["data"]["status"] == "cancelled"
    assert len(received) == 1
