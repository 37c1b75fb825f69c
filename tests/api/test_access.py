"""Who may do what: keys, sessions, other sites, other machines; limits; errors; repetition."""

import logging
import time
from types import SimpleNamespace

import pytest
from comparisons import comparison, work_here
from fastapi.testclient import TestClient
from sqlalchemy import delete, update

from tuner.api import auth
from tuner.errors import InvalidInput, NotFound
from tuner.search.database import keys
from tuner.search.database.store import Store
from tuner.search.database.tables import Now, requests, trials
from tuner.search.database.tables import keys as table
from tuner.search.work.keeper import Keeper

SPEC = comparison().model_dump(mode="json")
LIST = "/v1/comparisons"


@pytest.fixture(autouse=True)
def trust_nothing(monkeypatch):
    monkeypatch.setattr(auth, "_TRUST_SECONDS", 0.0)


def test_a_key_is_shown_once_and_only_its_hash_is_stored(store: Store):
    shown = keys.create(store, "me", ["read"])
    _, key_id, secret = shown.split("_", 2)
    (listed,) = keys.listed(store)
    assert (listed.id, listed.name, listed.scopes) == (key_id, "me", ("read",))
    with store.engine.connect() as connection:
        row = connection.execute(table.select()).one()
    assert secret not in str(row)
    found = keys.verify(store, shown)
    assert found == listed
    for wrong in (shown[:-1], shown + "x", f"tuner_{key_id}_{'x' * 43}", "", secret, "tuner__"):
        assert keys.verify(store, wrong) is None
    keys.revoke(store, key_id)
    assert keys.verify(store, shown) is None
    assert not keys.any_valid(store)
    for gone in (key_id, "0" * 12):
        with pytest.raises(NotFound, match="tuner keys list"):
            keys.revoke(store, gone)


@pytest.mark.parametrize(
    ("name", "scopes", "words"),
    [
        ("", ["read"], "1 to 100 printable"),
        ("a\nb", ["read"], "1 to 100 printable"),
        ("a", [], "at least one"),
        ("a", ["root"], "key scope 'root' is unknown"),
    ],
)
def test_a_malformed_key_is_refused(store: Store, name, scopes, words):
    with pytest.raises(InvalidInput, match=words):
        keys.create(store, name, scopes)


def test_with_a_key_in_the_database_nothing_is_answered_without_one(client, key):
    key("read")
    for path in (
        LIST,
        "/v1/workers",
        "/v1/metrics",
        "/v1/openapi.json",
        "/v1/docs",
        "/v1/events",
        "/api/studies",
    ):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    assert client.post(LIST, json=SPEC).status_code == 401
    for path in ("/v1/health", "/v1/readiness", "/login"):
        assert client.get(path).status_code == 200, path


def test_a_key_may_do_what_its_scopes_say(client, key):
    reads, writes = key("read"), key("write")
    assert client.get(LIST, headers=reads).status_code == 200
    refused = client.post(LIST, json=SPEC, headers=reads)
    assert (refused.status_code, "scope 'write'" in refused.json()["detail"]) == (403, True)
    assert client.post(LIST, json=SPEC, headers=writes).status_code == 202
    assert client.get(LIST, headers=writes).status_code == 403
    for wrong in ("Bearer nonsense", "Bearer", "Basic abc", "bearer tuner_0a1b2c3d4e5f_x"):
        assert client.get(LIST, headers={"Authorization": wrong}).status_code == 401


def test_a_revoked_key_is_refused_after_some_seconds(client, key, store, monkeypatch):
    other, mine = key("read"), key("read")
    clock = [time.monotonic()]
    monkeypatch.setattr(auth, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(auth, "_TRUST_SECONDS", 5.0)
    assert client.get(LIST, headers=mine).status_code == 200
    keys.revoke(store, mine["Authorization"].split("_")[1])
    clock[0] += 4.9
    assert client.get(LIST, headers=mine).status_code == 200
    clock[0] += 0.2
    assert client.get(LIST, headers=mine).status_code == 401
    assert client.get(LIST, headers=other).status_code == 200


@pytest.mark.parametrize(
    ("address", "host"), [("192.0.2.7", "127.0.0.1"), ("127.0.0.1", "evil.example")]
)
def test_without_any_key_only_this_machine_is_answered(serve, address, host):
    app = serve().app
    elsewhere = TestClient(app, base_url=f"http://{host}", client=(address, 1))
    answer = elsewhere.get(LIST)
    assert answer.status_code == 403
    assert "tuner keys create" in answer.json()["detail"]
    assert elsewhere.get("/v1/health").status_code == 200


def test_revoking_the_last_key_opens_nothing(client, key, store):
    mine = key("read", "write")
    keys.revoke(store, mine["Authorization"].split("_")[1])
    assert client.get(LIST).status_code == 401
    assert client.post(LIST, json=SPEC).status_code == 401


def test_strangers_behind_one_address_do_not_lock_out_a_right_key(serve, key):
    mine = key("read")
    client = serve(requests_per_minute=20)
    for number in range(30):
        wrong = {"Authorization": f"Bearer tuner_0a1b2c3d4e5f_{'x' * 41}{number:02}"}
        status = client.get(LIST, headers=wrong if number % 2 else {}).status_code
        assert status == (401 if number < 20 else 429)
    assert client.get(LIST, headers=mine).status_code == 200


@pytest.mark.parametrize("path", [LIST, "/", "/dashboard", "/v1/health"])
def test_a_host_that_is_no_address_is_refused(client, path):
    for host in ("[", "a:b", "[::1"):
        answer = client.get(path, headers={"Host": host})
        assert (answer.status_code, "Host" in answer.json()["detail"]) == (400, True)


def test_an_origin_that_is_no_address_is_another_site(client):
    assert client.post(LIST, json=SPEC, headers={"Origin": "http://["}).status_code == 403


def log_in(client, key, next="/"):
    secret = key["Authorization"].removeprefix("Bearer ")
    return client.post("/login", data={"key": secret, "next": next})


def test_a_browser_logs_in_with_a_key_and_out_again(client, key):
    shown = key("read", "write")
    answer = log_in(client, shown, "/comparisons/small")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/comparisons/small")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert shown["Authorization"].split("_", 2)[2] not in cookie
    assert client.get(LIST).status_code == 200
    assert client.get("/api/studies").status_code == 200
    assert client.post(LIST, json=SPEC).status_code == 202
    assert client.post("/logout").status_code == 303
    assert client.get(LIST).status_code == 401


def test_a_wrong_key_logs_nobody_in_and_guessing_is_slow(serve, key):
    key("read")
    client = serve(logins_per_minute=3)
    for _ in range(3):
        answer = client.post("/login", data={"key": "tuner_000000000000_x", "next": "/x"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login?failed=1&next=/x")
        assert "Set-Cookie" not in answer.headers
    assert client.post("/login", data={"key": "x"}).status_code == 429


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil", "x", "/a\n"]
)
def test_a_login_leads_to_no_other_site(client, key, target):
    assert log_in(client, key("read"), target).headers["Location"] == "/"


@pytest.mark.parametrize("with_key", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_cannot_have_a_browser_change_anything(client, key, headers, with_key):
    if with_key:
        log_in(client, key("read", "write"))
    for path in (LIST, "/login", "/logout"):
        answer = client.post(path, json=SPEC, headers=headers)
        assert answer.status_code in (403, 422), path
    assert client.post(LIST, json=SPEC, headers=headers).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}
    assert client.post(LIST, json=SPEC, headers=own).status_code == 202


def test_a_program_with_a_key_is_no_browser(client, key):
    headers = key("write") | {"Origin": "https://elsewhere.example"}
    assert client.post(LIST, json=SPEC, headers=headers).status_code == 202


def test_too_many_requests_of_a_key_or_an_address_are_refused(serve, key):
    mine, other = key("read"), key("read")
    client = serve(requests_per_minute=3)
    codes = [client.get(LIST, headers=mine).status_code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    last = client.get(LIST, headers=mine)
    assert (last.headers["Retry-After"], last.json()["title"]) == ("10", "Too Many Requests")
    assert client.get(LIST, headers={"Authorization": "Bearer guess"}).status_code in (401, 429)
    assert client.get("/v1/health").status_code == 200
    del other


@pytest.mark.slow
@pytest.mark.parametrize("announced", [True, False])
def test_a_request_that_is_too_large_is_refused(serve, announced):
    client = serve(max_body_bytes=1000)
    body = b'{"name": "' + b"x" * 2000 + b'"}'
    content = body if announced else iter([body[:900], body[900:]])
    for headers in ({}, {"Idempotency-Key": "k"}):
        if not announced:
            content = iter([body[:900], body[900:]])
        headers |= {"Content-Type": "application/json"}
        answer = client.post(LIST, content=content, headers=headers)
        assert (answer.status_code, answer.json()["title"]) == (413, "Content Too Large"), headers


def test_every_error_is_a_problem_with_a_request_id_that_the_log_has(client, store, caplog):
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PUT", "/v1/comparisons", 405),
        ("GET", "/v1/studies/x", 422),
        ("GET", "/v1/comparisons?limit=0", 422),
    ):
        answer = client.request(method, path, headers={"X-Request-Id": "mine-1"})
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, problem["status"]) == (status, status)
        assert problem["detail"]
        assert problem["request_id"] == answer.headers["X-Request-Id"] == "mine-1"
    assert "Allow" in client.put("/v1/comparisons").headers
    assert (
        len(client.get("/v1/health", headers={"X-Request-Id": "no\tgood"}).headers["X-Request-Id"])
        == 16
    )
    with store.engine.begin() as connection:
        connection.exec_driver_sql("drop table tuner_trials")
    with caplog.at_level(logging.ERROR):
        broken = client.get("/v1/studies/1/trials")
        broken = client.get("/v1/trials/1")
    assert broken.status_code == 500
    assert "tuner_trials" not in broken.text
    assert broken.headers["content-type"] == "application/problem+json"
    assert any(record.exc_info for record in caplog.records)
    trials.create(store.engine)


def test_a_repeated_request_with_its_key_is_carried_out_once(client):
    headers = {"Idempotency-Key": "one"}
    first = client.post(LIST, json=SPEC, headers=headers)
    again = client.post(LIST, json=SPEC, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.content == first.content
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["ETag"] == first.headers["ETag"]
    other = client.post(LIST, json={**SPEC, "name": "other"}, headers=headers)
    assert (other.status_code, "another request" in other.json()["detail"]) == (422, True)
    assert client.post(f"{LIST}/small/pause", headers=headers).status_code == 422
    assert (
        client.post(f"{LIST}/small/pause", headers={"Idempotency-Key": "two"}).status_code == 200
    )
    assert (
        client.post(f"{LIST}/small/pause", headers={"Idempotency-Key": "two"}).status_code == 200
    )
    for wrong in ("", "x" * 201, "a b"):
        answer = client.post(LIST, json=SPEC, headers={"Idempotency-Key": wrong})
        assert answer.status_code == 422


def test_a_refused_request_may_be_mended_and_made_again_with_its_key(client):
    headers = {"Idempotency-Key": "one"}
    assert client.post(LIST, json={**SPEC, "n_trials": 0}, headers=headers).status_code == 422
    assert client.post(LIST, json=SPEC, headers=headers).status_code == 202


def test_a_request_in_progress_is_not_made_twice_and_one_that_died_is_made_again(client, store):
    headers = {"Idempotency-Key": "one"}
    client.post(LIST, json=SPEC, headers=headers)
    with store.engine.begin() as connection:
        connection.execute(update(requests).values(answer=None, created=Now()))
    assert client.post(LIST, json=SPEC, headers=headers).status_code == 409
    with store.engine.begin() as connection:
        connection.execute(update(requests).values(created=Now() - 60, alive=Now() - 60))
    assert client.post(LIST, json=SPEC, headers=headers).status_code == 200
    with store.engine.begin() as connection:
        connection.execute(update(requests).values(created=Now() - 2 * 86400))
    assert client.post(LIST, json={**SPEC, "name": "b"}, headers=headers).status_code == 202


def test_keys_of_different_people_do_not_meet(client, key):
    mine, other = key("write"), key("write")
    again = {"Idempotency-Key": "one"}
    assert client.post(LIST, json=SPEC, headers=mine | again).status_code == 202
    changed = {**SPEC, "name": "other"}
    assert client.post(LIST, json=changed, headers=other | again).status_code == 202


def test_the_dashboard_shows_and_changes_nothing_unless_configured(serve, key):
    reads, writes = key("read"), key("read", "write")
    client = serve()
    client.post(LIST, json=SPEC, headers=writes)
    page = client.get("/dashboard", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["Location"]) == (303, "/login?next=/dashboard")
    assert client.get("/dashboard", headers=reads).status_code == 200
    script = client.get("/static/bundle.js", headers=reads | {"Accept-Encoding": ""})
    assert script.status_code == 200
    new = {"study_name": "x", "directions": ["minimize"]}
    for headers in (reads, writes):
        assert client.post("/api/studies", json=new, headers=headers).status_code == 403
    opened = serve(dashboard_writes=True)
    assert opened.post("/api/studies", json=new, headers=reads).status_code == 403
    assert opened.post("/api/studies", json=new, headers=writes).status_code == 201


@pytest.mark.slow
def test_metrics_count_trials_workers_and_requests(client, store):
    client.post(LIST, json=SPEC)
    Keeper(store).tend()
    work_here(store)
    lines = client.get("/v1/metrics").text.split("\n")
    for line in (
        'tuner_trials{state="done"} 12.0',
        'tuner_comparisons{status="active"} 1.0',
        'tuner_workers{state="stopped"} 1.0',
        'tuner_queue_events_total{kind="finished"} 12.0',
        "tuner_trial_epochs 36.0",
    ):
        assert line in lines
    assert any(line.startswith("tuner_http_requests_total{") for line in lines)
    with store.engine.begin() as connection:
        connection.execute(delete(trials))
