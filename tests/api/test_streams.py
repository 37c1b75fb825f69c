"""Event streams end when they should; what was not to be seen is not."""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest
from comparisons import comparison, enqueue

from tuner.api import auth
from tuner.api.routes import events
from tuner.search.database import keys
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
