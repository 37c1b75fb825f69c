"""Requests whose work takes longer than they wait for it, and how one sees how far it is."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
from comparisons import comparison, enqueue, work_here

from tuner.api.pages import routes as pages
from tuner.api.routes import comparisons as routes
from tuner.search.database import requests
from tuner.search.database.store import Store
from tuner.search.database.tables import Now
from tuner.search.database.tables import requests as table
from tuner.search.queue import control, operations
from tuner.search.queue.queue import Queue

HERE = "/v1/comparisons/small"
SPEC = comparison(n_trials=60, retrain_seeds=0)


@pytest.fixture
def promptly(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Requests leave all that takes longer to the keepers."""
    for module in (routes, pages):
        monkeypatch.setattr(module, "PROMPT_SECONDS", 0.0)
    yield


def ended(client, where: str) -> dict[str, object]:
    """The operation, once the server's own keeper has carried it out."""
    deadline = time.monotonic() + 60
    while (operation := client.get(where).json())["state"] == "running":
        assert time.monotonic() < deadline, operation
        time.sleep(0.05)
    return dict(operation)


@pytest.mark.slow
@pytest.mark.usefixtures("promptly")
def test_deleting_what_is_large_is_accepted_and_goes_on_by_itself(client, store: Store):
    enqueue(store, SPEC)
    control.change_comparison(store, "small", "pause")
    answer = client.delete(HERE)
    where = answer.headers["Location"]
    assert answer.status_code == 202
    assert {**answer.json(), "created": 0} == {
        "id": 1,
        "kind": "delete",
        "comparison": "small",
        "state": "running",
        "done": 0,
        "total": 120,
        "error": None,
        "created": 0,
        "ended": None,
    }
    operation = ended(client, where)
    assert (operation["state"], operation["done"]) == ("done", 120)
    assert client.get(HERE).status_code == 404
    assert client.get("/v1/operations/99").status_code == 404
    seen = client.get("/v1/events?after=0&seconds=1").text.split("event: ")
    told = [each for each in seen if each.startswith("operation")]
    assert json.loads(told[-1].split("data: ")[1].split("\n")[0])["state"] == "done"


@pytest.mark.slow
@pytest.mark.usefixtures("promptly")
def test_many_failed_trials_are_put_back_by_themselves(client, store: Store):
    enqueue(store, SPEC)
    queue = Queue(store, retries=0)
    queue.fail("a", queue.claim("small/old", "a", range(50)).trial_ids, "Traceback")
    answer = client.post(f"{HERE}/retry", headers={"Idempotency-Key": "one"})
    assert (answer.status_code, answer.json()["total"]) == (202, 50)
    assert ended(client, answer.headers["Location"])["done"] == 50
    again = client.post(f"{HERE}/retry", headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.content) == (202, answer.content)
    assert again.headers["Location"] == answer.headers["Location"]
    arm = client.get(HERE).json()["arms"][0]
    assert (arm["failed"], arm["queued"]) == (0, 60)


@pytest.mark.slow
def test_what_is_small_is_answered_when_it_is_done(client, store: Store):
    enqueue(store, comparison(retrain_seeds=0))
    control.change_comparison(store, "small", "pause")
    assert (client.delete(HERE).status_code, store.names()) == (204, [])


@pytest.mark.slow
@pytest.mark.usefixtures("promptly")
def test_a_page_shows_what_is_being_deleted_and_lets_nobody_change_it(
    client, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(operations, "_SLICES", {"delete": lambda *_: 0})  # it takes for ever
    enqueue(store, SPEC)
    control.change_comparison(store, "small", "pause")
    control.delete(store, "small", within_seconds=0)
    page = client.get("/comparisons/small", headers={"Accept": "text/html"}).text
    assert "it is being deleted: 0 of 120 trials" in page
    assert "<form" not in page.split("live-state")[1].split("</section>")[0]
    assert client.post("/comparisons/small/delete").headers["Location"] == "/comparisons/small"
    listed = client.get("/v1/comparisons", params={"status": "deleting"}).json()["items"]
    assert [each["name"] for each in listed] == ["small"]


@pytest.mark.slow
def test_of_what_is_being_deleted_no_curve_is_drawn(
    client, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(operations, "_SLICES", {"delete": lambda *_: 0})  # it takes for ever
    enqueue(store, comparison(retrain_seeds=0))
    work_here(store)
    control.change_comparison(store, "small", "pause")
    asked = {"Accept": "text/html"}
    assert "/small/figure.svg" in client.get("/comparisons/small", headers=asked).text
    control.delete(store, "small", within_seconds=0)
    assert "/small/figure.svg" not in client.get("/comparisons/small", headers=asked).text


@pytest.mark.slow
def test_a_request_is_never_carried_out_twice_while_its_server_says_that_it_is(
    client, store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(requests, "_SILENT_SECONDS", 1.0)
    monkeypatch.setattr(requests, "_SIGN_SECONDS", 0.1)
    slow, may_end, times = threading.Event(), threading.Event(), []
    really = control.change_comparison

    def pause(*arguments: object, **more: object) -> None:
        times.append(1)
        slow.set()
        may_end.wait(60)
        really(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(control, "change_comparison", pause)
    store.declare(SPEC)
    headers, answers = {"Idempotency-Key": "slow"}, []
    first = threading.Thread(
        target=lambda: answers.append(client.post(f"{HERE}/pause", headers=headers))
    )
    first.start()
    assert slow.wait(60)
    time.sleep(2.0)  # longer than a server may be silent
    second = client.post(f"{HERE}/pause", headers=headers)
    assert (second.status_code, second.headers["Retry-After"]) == (409, "5")
    assert "still being carried out" in second.json()["detail"]
    may_end.set()
    first.join()
    assert [answer.status_code for answer in answers] == [200]
    assert client.post(f"{HERE}/pause", headers=headers).content == answers[0].content
    assert times == [1]


def test_a_request_whose_server_died_may_be_made_again(client, store: Store):
    store.declare(SPEC)
    headers = {"Idempotency-Key": "lost"}
    done = client.post(f"{HERE}/pause", headers=headers)
    with store.engine.begin() as connection:  # as it is when its server dies over it
        connection.execute(table.update().values(answer=None, alive=Now() - 31.0))
    really_stale = client.post(f"{HERE}/pause", headers=headers)
    assert (done.status_code, really_stale.status_code) == (200, 409)
    assert "is paused" in really_stale.json()["detail"]
