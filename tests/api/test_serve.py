"""``tuner serve`` as a real process: it answers, says no in one line, and leaves nobody behind."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from comparisons import comparison
from sqlalchemy import select

from tuner.cli.commands.serve import _listen
from tuner.search.database import keys
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import open_store
from tuner.search.database.tables import VERSION_TABLE, workers
from tuner.search.work import launch

ROOT = Path(__file__).resolve().parents[2]
HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
Start = Callable[..., subprocess.Popen[str]]
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what is the same on any database."""


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Start]:
    """Starts ``tuner serve`` on a free port, with some arguments; it does not outlive the test."""
    with ExitStack() as stack:

        def begin(*arguments: str, port: int = 0) -> subprocess.Popen[str]:
            log = stack.enter_context((tmp_path / "log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tuner", "serve", "--port", str(port), *arguments],
                env={**os.environ, "TUNER_DATABASE_URL": database, "PYTHONPATH": str(ROOT)},
                cwd=tmp_path,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            stack.enter_context(process.stdout)
            return process

        yield begin


def address(process: subprocess.Popen[str]) -> str:
    """Where it says it is; it answers there once it is up."""
    return process.stdout.readline().split()[0]


def refusal(process: subprocess.Popen[str], tmp_path: Path) -> str:
    """The one line that a refused server prints."""
    assert process.wait(timeout=60) == 2
    (line,) = (tmp_path / "log").read_text().splitlines()
    return line


def children(pid: int) -> list[int]:
    """The processes that a process started."""
    text = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in text for child in each.read_text().split()]


def everyone_below(pid: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    return [each for child in children(pid) for each in (child, *everyone_below(child))]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def at_work(database: str) -> int | None:
    """A process that is there to train, as it says in the roster."""
    with closing(open_store(database)) as store, store.engine.connect() as connection:
        query = select(workers.c.pid).where(workers.c.state == "idle")
        return next((pid for pid in connection.scalars(query) if not gone(pid)), None)


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("database", "told"),
    [("sqlite", signal.SIGINT), ("postgresql", signal.SIGTERM)],
    indirect=["database"],
)
def test_the_server_answers_logs_each_request_once_and_stops_when_told(start, told, tmp_path):
    process = start("--log-format", "json")
    where = address(process)
    assert httpx.get(f"{where}/v1/health", timeout=60).json()["status"] == "ok"
    assert httpx.get(
        f"{where}/v1/comparisons", headers={"X-Request-Id": "mine"}, timeout=60
    ).is_success
    process.send_signal(told)
    assert process.wait(timeout=30) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    mine = [line for line in lines if line.get("request_id") == "mine"]
    assert [(line["method"], line["path"], line["status"]) for line in mine] == [
        ("GET", "/v1/comparisons", 200)
    ]
    assert len([line for line in lines if "method" in line]) == 2


def test_no_answer_waits_until_the_client_acknowledged_the_one_before():
    async def accept() -> int:
        accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        class Once(asyncio.Protocol):
            def connection_made(self, transport):
                made = transport.get_extra_info("socket")
                accepted.set_result(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
                transport.close()

        listening = _listen("127.0.0.1", 0)
        server = await asyncio.get_running_loop().create_server(Once, sock=listening)
        async with server:
            with socket.create_connection(listening.getsockname()):
                return await accepted

    assert asyncio.run(accept())


@pytest.mark.slow
@on_sqlite
@pytest.mark.parametrize("trusted", [False, True])
def test_nobody_is_believed_to_be_a_proxy_unless_named(start, database, trusted, monkeypatch):
    monkeypatch.setenv("TUNER_REQUESTS_PER_MINUTE", "5")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with closing(open_store(database)) as store:
        keys.create(store, "me", ["read"])
    where = address(start(*(["--trusted-proxies", "10.0.0.0/8, 127.0.0.1"] if trusted else [])))
    said = [
        httpx.get(
            f"{where}/v1/comparisons", headers={"X-Forwarded-For": f"192.0.2.{i}"}, timeout=60
        ).status_code
        for i in range(10)
    ]
    assert (429 not in said) is trusted, "each address has a number of requests of its own"


@pytest.mark.slow
@on_sqlite
def test_a_proxy_that_is_no_address_is_one_line(start, tmp_path):
    line = refusal(start("--trusted-proxies", "10.0.0.1,my-proxy"), tmp_path)
    assert line.startswith("tuner: --trusted-proxies: 'my-proxy' is no address and no network")


@pytest.mark.slow
@on_sqlite
def test_idle_connections_and_requests_that_do_not_end_are_closed_in_time(start, monkeypatch):
    monkeypatch.setenv("TUNER_REQUEST_SECONDS", "1")
    monkeypatch.setenv("TUNER_KEEP_ALIVE_SECONDS", "2")
    place = urlsplit(address(start()))
    for sent, last in ((b"GET / HTTP/1.1\r\nX-", b" 408 "), (HEALTH, b" 200 ")):
        with socket.create_connection((place.hostname, place.port), timeout=60) as connection:
            connection.sendall(sent)
            answer = connection.makefile("rb").read()  # until the server closes it
        assert last in answer.partition(b"\r\n")[0]


@pytest.mark.slow
@on_sqlite
def test_a_port_in_use_is_one_line(start, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        line = refusal(start(port=port), tmp_path)
    assert line == f"tuner: 127.0.0.1:{port}: Address already in use; give another --port"


@pytest.mark.slow
@on_sqlite
def test_without_a_key_no_other_address_is_served_and_with_one_it_is(start, database, tmp_path):
    line = refusal(start("--host", "0.0.0.0"), tmp_path)
    assert "--host 0.0.0.0: without an API key" in line
    assert "tuner keys create" in line
    store = open_store(database)
    key = keys.create(store, "me", ["read"])
    store.close()
    where = address(start("--host", "0.0.0.0")).replace("0.0.0.0", "127.0.0.1")
    assert httpx.get(f"{where}/v1/comparisons", timeout=60).status_code == 401
    mine = {"Authorization": f"Bearer {key}"}
    assert httpx.get(f"{where}/v1/comparisons", headers=mine, timeout=60).status_code == 200
    (warned,) = [each for each in (tmp_path / "log").read_text().splitlines() if "WARN" in each]
    assert "secret: TUNER_SECRET is not set: sessions of browsers end at each restart" in warned
    assert "openssl rand -hex 32" in warned


@pytest.mark.slow
def test_a_database_of_another_version_is_one_line(start, database, tmp_path):
    store = open_store(database)
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"update {VERSION_TABLE} set version_num = '0001'")
    store.close()
    assert re.search(
        r"bring them up to date with: \S*python\S* -m tuner db upgrade", refusal(start(), tmp_path)
    )


@pytest.mark.slow
@on_sqlite
def test_a_setting_out_of_range_is_one_line(start, monkeypatch, tmp_path):
    monkeypatch.setenv("TUNER_MAX_TRIALS", "many")
    process = start()
    assert process.wait(timeout=60) == 2
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last.startswith("tuner: TUNER_MAX_TRIALS: must be a whole number of at least 1")


@pytest.mark.slow
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_workers_beside_the_server_are_replaced_and_end_with_it(start, database):
    process = start("--with-workers", "1")
    assert httpx.get(f"{address(process)}/v1/health", timeout=60).is_success
    wait_for(lambda: children(process.pid))
    (first,) = children(process.pid)
    assert database not in Path(f"/proc/{first}/cmdline").read_text()
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: children(process.pid) not in ([first], []))
    (second,) = children(process.pid)
    wait_for(lambda: at_work(database) in everyone_below(second))
    everyone = everyone_below(second)
    process.terminate()
    assert process.wait(timeout=60) == 0
    assert gone(second)
    wait_for(lambda: all(map(gone, everyone)))


@pytest.mark.slow
@on_sqlite
def test_what_lies_in_the_working_directory_is_not_run_in_place_of_a_package(
    start, database, tmp_path
):
    for name in ("tuner", "queue", "optuna", "torch"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('{name}.py was run')\n")
    process = start("--with-workers", "1")
    wait_for(lambda: at_work(database) in everyone_below(process.pid))
    assert "was run" not in (tmp_path / "log").read_text()


@pytest.mark.slow
@on_sqlite
def test_workers_end_when_the_server_is_killed(start, database):
    process = start("--with-workers", "1")
    assert httpx.get(f"{address(process)}/v1/health", timeout=60).is_success
    wait_for(lambda: at_work(database) in everyone_below(process.pid))
    everyone = everyone_below(process.pid)
    process.kill()
    wait_for(lambda: all(map(gone, everyone)))


@pytest.mark.slow
@on_sqlite
def test_a_server_killed_and_started_again_in_the_middle_changes_no_result(
    start, database, tmp_path
):
    spec = comparison(
        n_trials=40, retrain_seeds=3, workload={"epochs": 30, "widths": [16, 16], "n_train": 500}
    )
    process = start("--with-workers", "1")
    body = spec.model_dump(mode="json")
    where = f"{address(process)}/v1/comparisons"
    assert httpx.post(where, json=body, timeout=60).status_code == 202

    def done() -> int:
        arms = httpx.get(f"{where}/small", timeout=60).json()["arms"]
        return sum(arm["done"] + arm["retrained"] for arm in arms)

    wait_for(lambda: done() > 0)
    process.kill()
    process.wait()
    with closing(open_store(database)) as store:
        assert store.status("small") == "active", "it was killed too late to see anything"
    process = start("--with-workers", "1")
    where = f"{address(process)}/v1/comparisons"
    wait_for(lambda: done() == 2 * 40 + 2 * (20 + 3), 120)
    undisturbed = f"sqlite:///{tmp_path}/undisturbed.db"
    launch.run(spec, database=undisturbed, workers=1)
    outcomes = []
    for url in (database, undisturbed):
        with closing(open_store(url)) as store:
            outcomes.append(
                [
                    (study.study_name, trial.params, trial.value, trial.user_attrs["seed"])
                    for study in spec.every_study()
                    for trial in finished_trials(store, study.study_name)
                ]
            )
    assert outcomes[0] == outcomes[1]
    assert len(outcomes[0]) == 126
