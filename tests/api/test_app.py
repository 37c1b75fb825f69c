"""The application as a whole: nothing is open by mistake, no error tells too much."""

import logging
import re
import threading

import pytest
from comparisons import comparison, remove
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import event
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tuner.api import writable
from tuner.api.middleware.observe import _template
from tuner.api.routes import system
from tuner.search.database.tables import VERSION_TABLE
from tuner.search.queue.filling import enqueue
from tuner.search.queue.queue import Queue

OPEN = {"/v1/health", "/v1/readiness", "/login", "/logout", "/favicon.ico"}
"""What is answered without a key; logging out needs none to be harmless."""


def test_every_route_but_the_open_ones_asks_for_a_key(client: TestClient, key):
    key("read")
    asked = 0
    for route in iter_route_contexts(client.app.routes):
        if not isinstance(route.original_route, APIRoute) or route.path in OPEN:
            continue
        for method in route.methods:
            path = route.path.replace("{", "").replace("}", "")
            path = path.replace("study_id", "1").replace("trial_id", "1")
            answer = client.request(method, path, headers={"Accept": "application/json"})
            assert answer.status_code == 401 or answer.headers.get("Location", "").startswith(
                "/login"
            ), f"{method} {route.path} answers {answer.status_code} without a key"
            asked += 1
    assert asked > 25


def test_an_unforeseen_error_tells_its_request_id_and_nothing_else(client: TestClient, caplog):
    def fail() -> None:
        raise ZeroDivisionError("the password is hunter2")

    client.app.add_api_route("/boom", fail)
    with caplog.at_level(logging.INFO):
        answer = client.get("/boom", headers={"X-Request-Id": "mine"})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"] == "mine"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "hunter2" not in answer.text
    assert any("hunter2" in str(record.exc_info) for record in caplog.records)
    (access,) = [record for record in caplog.records if record.name == "api.access"]
    assert (access.status, access.path) == (500, "/boom")


def test_a_database_that_is_too_busy_is_a_503_that_says_when_to_come_again(client: TestClient):
    def wait() -> None:
        raise PoolTimeout("QueuePool limit of size 5 overflow 10 reached")

    client.app.add_api_route("/busy", wait)
    answer = client.get("/busy")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_a_wrong_method_is_told_all_the_right_ones(client: TestClient):
    answer = client.put("/v1/comparisons")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    answer = client.put("/v1/comparisons/x")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "DELETE, GET, HEAD, PATCH")
    assert client.request("FROB", "/v1/comparisons").status_code == 405


def test_pages_may_load_only_what_this_server_has(client: TestClient):
    page = client.get("/login", headers={"Accept": "text/html"})
    assert page.headers["X-Frame-Options"] == "DENY"
    assert page.headers["Referrer-Policy"] == "same-origin"
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in policy
    documentation = client.get("/v1/docs")
    policy = documentation.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    assert "script-src" not in policy, "no script lies inside the page"
    for path in re.findall(r'(?:href|src)="([^"]+)"', documentation.text):
        assert path.startswith("/assets/"), path
        assert client.get(path).status_code == 200, path
    assert "Content-Security-Policy" not in client.get("/v1/health").headers
    dashboard = client.get("/dashboard").headers["Content-Security-Policy"]
    assert "'unsafe-eval'" in dashboard, "the dashboard knows what it needs"


def test_requests_are_counted_by_the_path_that_their_route_declares(client: TestClient):
    client.get("/v1/comparisons/one")
    client.get("/v1/comparisons/two")
    client.get("/nowhere/at/all")
    client.request("FROB", "/v1/health")
    lines = client.get("/v1/metrics").text.split("\n")
    for labels, count in (
        ('method="GET",route="/v1/comparisons/{name}",status="404"', "2.0"),
        ('method="GET",route="other",status="404"', "1.0"),
        ('method="other",route="/v1/health",status="405"', "1.0"),
    ):
        assert f"tuner_http_requests_total{{{labels}}} {count}" in lines


@pytest.mark.parametrize(
    ("route", "path", "template"),
    [
        ("/login", "/login", "/login"),
        ("/{name}/pause", "/v1/comparisons/pause/pause", "/v1/comparisons/{name}/pause"),
        ("/", "/", "/"),
    ],
)
def test_a_route_is_told_with_the_prefix_that_it_is_under(route, path, template):
    endpoint = APIRoute(route, lambda: None)
    assert _template({"route": endpoint, "path": path}) == template


def test_metrics_count_leases_that_were_lost_and_outlive_what_is_deleted(client, store):
    spec = comparison(n_trials=3)
    store.declare(spec)
    enqueue(store, spec)
    study = spec.studies()[0].study_name
    assert Queue(store, lease_seconds=-1.0).claim(study, "ghost", range(3)).trial_ids
    Queue(store).reap()
    remove(store, spec.name)
    lines = client.get("/v1/metrics").text.split("\n")
    assert 'tuner_queue_events_total{kind="lost"} 3.0' in lines
    assert 'tuner_queue_events_total{kind="claimed"} 3.0' in lines


def test_a_server_whose_tables_are_another_versions_is_not_ready(client, store):
    assert client.get("/v1/readiness").json()["status"] == "ready"
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '9999'")
    answer = client.get("/v1/readiness")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "9999" not in answer.text, "who has no key learns nothing about the database"
    assert client.get("/v1/health").status_code == 200


def test_a_server_whose_disk_is_full_is_not_ready(client, monkeypatch, caplog):
    monkeypatch.setattr(writable, "LEAST_FREE_BYTES", 2**80)
    monkeypatch.setattr(writable, "_LOOK_SECONDS", 0.0)
    on_sqlite = client.app.state.store.engine.dialect.name == "sqlite"
    answer = client.get("/v1/readiness")
    assert answer.status_code == (503 if on_sqlite else 200)
    assert ("MiB left" in caplog.text) is on_sqlite
    assert "MiB" not in answer.text, "who has no key learns nothing about the disk"


def test_a_server_whose_database_may_only_be_read_is_not_ready(client, store):
    sqlite = store.engine.dialect.name == "sqlite"
    command = "PRAGMA query_only = ON" if sqlite else "SET default_transaction_read_only = on"

    @event.listens_for(client.app.state.store.engine, "connect")
    def _forbid(connection, _record):
        connection.execute(command)
        connection.commit()

    client.app.state.store.engine.dispose()
    answer = client.get("/v1/readiness")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert client.get("/v1/comparisons").status_code == 200


def test_a_server_that_fills_no_queues_any_more_is_not_ready(client, monkeypatch):
    alive = [thread for thread in threading.enumerate() if thread.name != "keeper"]
    monkeypatch.setattr(system.threading, "enumerate", lambda: alive)
    assert client.get("/v1/readiness").status_code == 503
