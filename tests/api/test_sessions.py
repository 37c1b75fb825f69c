"""Browsers' sessions: begun with a key, over once ended, on every server of the database."""

import pytest
from comparisons import comparison
from fastapi.testclient import TestClient
from sqlalchemy import update

from tuner.api import auth
from tuner.search.database import keys, sessions
from tuner.search.database.tables import Now
from tuner.search.database.tables import sessions as table

SPEC = comparison().model_dump(mode="json")
LIST = "/v1/comparisons"


def log_in(client: TestClient, shown: dict[str, str], **headers: str) -> str:
    """The session's cookie, as a browser sends it back; the client itself keeps none."""
    secret = shown["Authorization"].removeprefix("Bearer ")
    answer = client.post("/login", data={"key": secret}, headers=headers)
    client.cookies.clear()
    return answer.headers["Set-Cookie"].partition(";")[0]


def status(client: TestClient, cookie: str, **headers: str) -> int:
    return client.get(LIST, headers={"Cookie": cookie, **headers}).status_code


def test_a_copied_cookie_is_worth_nothing_after_logging_out(serve, key):
    """At once and on every server, however lately it was seen there."""
    here, elsewhere = serve(), serve()
    mine, other = log_in(here, key("read")), log_in(here, key("read"))
    assert (status(here, mine), status(elsewhere, mine)) == (200, 200)
    assert here.post("/logout", headers={"Cookie": mine}).status_code == 303
    assert (status(elsewhere, mine), status(here, mine)) == (401, 401)
    assert (status(elsewhere, other), status(here, other)) == (200, 200)


def test_all_sessions_of_a_revoked_key_end_and_no_others(serve, key, store):
    here, elsewhere = serve(), serve()
    mine, other = key("read"), key("read")
    cookies = [log_in(here, mine), log_in(elsewhere, mine)]
    others = log_in(here, other)
    for client in (here, elsewhere):
        assert [status(client, cookie) for cookie in (*cookies, others)] == [200] * 3
    keys.revoke(store, mine["Authorization"].split("_")[1])
    for client in (here, elsewhere):
        assert [status(client, cookie) for cookie in (*cookies, others)] == [401, 401, 200]


def test_a_session_outlives_a_server_and_expires(serve, key, store):
    cookie = log_in(serve(), key("read"))
    again = serve()
    assert status(again, cookie) == 200
    with store.begin() as connection:
        connection.execute(update(table).values(expires=Now() - 1))
    assert status(again, cookie) == 401
    log_in(again, key("read"))
    with store.engine.connect() as connection:
        assert len(connection.execute(table.select()).all()) == 1  # the expired one is forgotten


def test_logging_in_again_ends_the_session_before(serve, key):
    client, shown = serve(), key("read")
    first = log_in(client, shown)
    second = log_in(client, shown, Cookie=first)
    assert (status(client, first), status(client, second)) == (401, 200)


def test_a_stream_ends_with_its_session(serve, key, store):
    client = serve()
    cookie = log_in(client, key("read"))
    known = client.app.state.authority
    token = known._signer.unsign(cookie.partition("=")[2]).decode()
    who = known._logged_in(token)
    assert known.still(who)
    sessions.end(store, token)
    assert not known.still(who)


def test_a_session_is_not_forged_and_not_to_be_read_from_the_database(serve, key, store):
    client = serve()
    name, _, value = log_in(client, key("read")).partition("=")
    signed, signature = value.rsplit(".", 1)
    flipped = f"{signed}.{signature[1:]}{signature[0]}x"
    with store.engine.connect() as connection:
        (row,) = connection.execute(table.select()).all()
    assert signed not in str(row)
    for forged in (flipped, signed, signature, row.token_hash, row.key_id, "x", ""):
        assert status(client, f"{name}={forged}") == 401
    another = serve(secret="another secret, of another service")
    assert status(another, f"{name}={value}") == 401


@pytest.mark.parametrize("https", [True, False])
def test_by_https_the_cookie_belongs_to_this_very_host(serve, key, https):
    client = serve(https=https)
    base = "http://127.0.0.1" if https else "https://127.0.0.1"  # a setting, or the address
    browser = TestClient(
        client.app, base_url=base, client=("127.0.0.1", 1), follow_redirects=False
    )
    secret = key("read", "write")["Authorization"].removeprefix("Bearer ")
    answer = browser.post("/login", data={"key": secret})
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert cookie.startswith(f"{auth.HTTPS_COOKIE}=")
    assert auth.HTTPS_COOKIE == "__Host-tuner_session"
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=strict"} <= set(attributes)
    assert not any(each.startswith("Domain") for each in attributes)
    browser.cookies.clear()
    assert status(browser, cookie) == 200
    planted = cookie.removeprefix("__Host-")  # as a neighbour of the host could set it
    assert status(browser, planted) == 401
    left = browser.post("/logout", headers={"Cookie": cookie}).headers["Set-Cookie"]
    assert left.startswith(f'{auth.HTTPS_COOKIE}=""')
    assert "Secure" in left  # or browsers would not take it for this cookie
    assert status(browser, cookie) == 401


def test_by_http_the_cookie_has_the_plain_name(serve, key):
    cookie = log_in(serve(), key("read"))
    assert cookie.startswith("tuner_session=")
