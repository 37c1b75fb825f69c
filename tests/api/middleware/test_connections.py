"""Connections that wait for no client for ever, on a real server with little patience."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest
import uvicorn

from tuner.api.app import create_app
from tuner.api.middleware.connections import MAX_HEAD_BYTES, Connection, Limits
from tuner.api.settings import Settings

HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n"
TRANSLATE = b"POST /v1/translate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
SECONDS = 60.0
"""Within these everything here happens, on the slowest machine."""


@dataclass(frozen=True)
class Served:
    """A server in a thread of this process."""

    server: uvicorn.Server

    @property
    def open(self) -> int:
        """How many connections it has."""
        return len(self.server.server_state.connections)

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which something was sent."""
        made = socket.create_connection(
            self.server.servers[0].sockets[0].getsockname(), timeout=SECONDS
        )
        made.sendall(sent)
        return made


@pytest.fixture
def serve(sqlite_url: str) -> Iterator[Callable[..., Served]]:
    """Starts a server with some settings."""
    with ExitStack() as stack:

        def start(**settings: object) -> Served:
            app = create_app(Settings(database=sqlite_url, **settings))  # type: ignore[arg-type]
            how = {"http": Connection, "ws": "none", "log_config": None, "access_log": False}
            server = uvicorn.Server(uvicorn.Config(app, port=0, **how))  # type: ignore[arg-type]
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join)
            stack.callback(setattr, server, "should_exit", True)
            wait_for(lambda: server.started)
            return Served(server)

        yield start


@pytest.fixture
def hurried(serve: Callable[..., Served]) -> Served:
    """A server that waits a second for a request."""
    return serve(request_seconds=1)


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def all_of(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    parts = []
    with connection, suppress(ConnectionResetError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def problem_in(answer: bytes) -> tuple[int, str]:
    """The status of a problem document, and what it says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    document = json.loads(body)
    assert int(head.split()[1]) == document["status"]
    assert document["request_id"]
    return document["status"], document["detail"]


def trickle(connection: socket.socket, byte: bytes) -> bytes:
    """What comes until the server closes a connection that a byte comes on again and again."""
    parts, deadline = [], time.monotonic() + SECONDS
    connection.settimeout(0.2)
    with connection, suppress(ConnectionError):
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                if not (part := connection.recv(65_536)):
                    return b"".join(parts)
                parts.append(part)
            connection.sendall(byte)
        raise AssertionError("the connection was kept")
    return b"".join(parts)


def test_headers_that_do_not_end_are_refused(hurried: Served):
    answer = trickle(hurried.connect(HEALTH + b"X-Slow: "), b"a")
    status, detail = problem_in(answer)
    assert status == 408
    assert detail == "a request's headers have to come within 1 seconds (TUNER_REQUEST_SECONDS)"


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(hurried: Served):
    assert all_of(hurried.connect()) == b""


def test_line_ends_are_no_sign_of_life(hurried: Served):
    answered = hurried.connect(HEALTH + b"\r\n")
    assert b"200 OK" in trickle(answered, b"\r\n")


@pytest.mark.parametrize("length", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_a_body_that_does_not_come_is_refused_and_others_are_answered(hurried: Served, length):
    slow = hurried.connect(TRANSLATE + length + b"\r\n\r\n")
    assert b"200 OK" in all_of(hurried.connect(HEALTH + b"Connection: close\r\n\r\n"))
    said = "the body has to come within 1 seconds (TUNER_REQUEST_SECONDS)"
    assert problem_in(all_of(slow)) == (408, said)


@pytest.mark.parametrize("path", [b"/v1/health", b"/nowhere", b"/api/studies"])
def test_a_body_that_nobody_reads_keeps_no_connection(hurried: Served, path):
    head = HEALTH.replace(b"/v1/health", path) + b"Content-Length: 1000000\r\n\r\n"
    assert trickle(hurried.connect(head), b"a").startswith(b"HTTP/1.1 ")


@pytest.mark.slow
def test_a_chunked_body_for_the_dashboard_is_awaited_outside_its_threads(serve):
    served = serve(request_seconds=3, dashboard_writes=True)
    head = b"POST /api/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    slow = [served.connect(chunked + b'5\r\n{"a":\r\n') for _ in range(20)]
    asked = HEALTH.replace(b"/v1/health", b"/api/studies") + b"Connection: close\r\n\r\n"
    assert b"200 OK" in all_of(served.connect(asked))
    assert {problem_in(all_of(each))[0] for each in slow} == {408}
    body = json.dumps({"study_name": "made", "directions": ["minimize"]}).encode()
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    made = all_of(served.connect(chunked[:-2] + b"Connection: close\r\n\r\n" + sent))
    assert b" 201 " in made.partition(b"\r\n")[0], made


@pytest.mark.parametrize("times", [2, 200])
def test_headers_without_end_are_refused(serve, times):
    served = serve()
    many = b"".join(b"X-%06d: " % i + b"a" * 50_000 + b"\r\n" for i in range(times))
    connection = served.connect(HEALTH)
    with suppress(ConnectionError):
        connection.sendall(many)
        connection.sendall(b"\r\n")
    status, detail = problem_in(all_of(connection))
    assert (status, str(MAX_HEAD_BYTES) in detail) == (431, True)


def test_a_header_without_end_is_refused(serve):
    connection = serve().connect(HEALTH + b"X-Long: ")
    with suppress(ConnectionError):
        for _ in range(200):
            connection.sendall(b"a" * 50_000)
    assert problem_in(all_of(connection))[0] == 431


def test_trailers_without_end_are_refused(serve):
    connection = serve().connect(TRANSLATE + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    with suppress(ConnectionError):
        for i in range(200):
            connection.sendall(b"X-%06d: " % i + b"a" * 50_000 + b"\r\n")
    assert problem_in(all_of(connection))[0] == 431


def test_what_is_no_http_is_a_problem(serve):
    assert problem_in(all_of(serve().connect(b"EHLO mail\r\n\r\n")))[0] == 400


@pytest.mark.slow
def test_many_silent_connections_keep_nobody_out(serve):
    served = serve(max_connections=10)
    stream = served.connect(HEALTH.replace(b"/v1/health", b"/v1/events?seconds=3") + b"\r\n")
    assert stream.recv(20).startswith(b"HTTP/1.1 200")
    kinds = [b"", HEALTH + b"X-", TRANSLATE + b"Content-Length: 99\r\n\r\n{"]
    silent = [served.connect(kinds[number % 3]) for number in range(60)]
    for _ in range(3):
        assert b"200 OK" in all_of(served.connect(HEALTH + b"Connection: close\r\n\r\n"))
    assert served.open <= 10
    rest = b""
    while not rest.endswith(b"0\r\n\r\n"):  # it ends by itself, and was not pushed out
        part = stream.recv(65_536)
        assert part, rest
        rest += part
    for each in (stream, *silent):
        each.close()


def test_who_comes_to_a_full_server_has_not_all_others_looked_at(serve, monkeypatch):
    looked_at = []
    waits = Connection._waits.fget
    monkeypatch.setattr(
        Connection, "_waits", property(lambda each: looked_at.append(each) or waits(each))
    )
    served = serve(max_connections=40)
    held = [served.connect() for _ in range(40)]
    wait_for(lambda: served.open == 40)
    for _ in range(10):
        assert b"200 OK" in all_of(served.connect(HEALTH + b"Connection: close\r\n\r\n"))
        held.append(served.connect())
        wait_for(lambda: served.open == 40)
    assert held[0].recv(1) == b""  # the one that waited for longest
    assert 10 <= len(looked_at) <= 30
    for each in held:
        each.close()


def test_where_all_connections_are_answered_another_is_refused(serve):
    served = serve(max_connections=2)
    events = HEALTH.replace(b"/v1/health", b"/v1/events?seconds=5") + b"\r\n"
    streams = [served.connect(events) for _ in range(2)]
    for each in streams:
        assert each.recv(20).startswith(b"HTTP/1.1 200")
    status, detail = problem_in(all_of(served.connect(HEALTH + b"\r\n")))
    assert (status, detail) == (503, "the server has as many connections as it takes")
    for each in streams:
        each.close()


def test_who_reads_no_answer_is_not_waited_for(hurried: Served):
    greedy = socket.socket()
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    greedy.settimeout(SECONDS)
    greedy.connect(hurried.server.servers[0].sockets[0].getsockname())
    asked = HEALTH.replace(b"/v1/health", b"/v1/openapi.json") + b"\r\n"
    with greedy:
        greedy.sendall(asked * 100)
        wait_for(lambda: hurried.open == 1)
        wait_for(lambda: hurried.open == 0)


def test_who_asks_without_end_before_the_first_answer_is_cut_off(serve):
    served = serve()
    served.connect(HEALTH + b"\r\n").close()
    greedy = served.connect(HEALTH + b"\r\n" + (HEALTH + b"\r\n") * 1000)
    assert all_of(greedy).count(b"HTTP/1.1 200") < 1000


def test_head_leaves_the_connection_to_be_used_again(serve):
    head = HEALTH.replace(b"GET", b"HEAD")
    answer = all_of(serve().connect(head + b"\r\n" + HEALTH + b"Connection: close\r\n\r\n"))
    first, second = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.endswith(b"\r\n\r\n")
    assert json.loads(second.partition(b"\r\n\r\n")[2])["status"] == "ok"


def test_there_are_no_more_connections_than_files(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _what: (1024, 1024))
    assert Limits.possible(10_000, 1.0) == Limits(768, 1.0)
    assert Limits.possible(100, 1.0) == Limits(100, 1.0)
