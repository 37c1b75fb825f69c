"""The process that makes reports: when it starts, ends, dies, and what becomes of its promises."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.api.reports import maker
from tuner.api.reports.maker import Maker, MakerDied
from tuner.errors import Conflict, InvalidInput, NoComparison, NotFound, UnknownName

pytestmark = pytest.mark.slow


def number() -> int:
    return os.getpid()


def refuse(kind: str) -> None:
    raise {
        "conflict": Conflict("not now"),
        "unknown": UnknownName("rule", "a", ["b"]),
        "deleted": NoComparison("a", ["b"]),
        "bug": KeyError("a bug"),
    }[kind]


def die(where: int) -> None:
    os.kill(os.getpid(), where)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Maker:
    monkeypatch.setattr(maker, "IDLE_SECONDS", 10.0)  # then it is gone, after the test too
    return Maker("numbers")


def gone(process_id: int) -> bool:
    """Whether the process ended; one that nobody asked about is as good as gone."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_one_process_makes_all_and_it_is_another_one(made: Maker):
    ids = [made.make(number).result(60) for _ in range(3)]
    assert len(set(ids)) == 1
    assert ids[0] != os.getpid()


def test_an_idle_process_ends_and_another_starts_when_it_is_needed(
    made: Maker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(maker, "IDLE_SECONDS", 0.1)
    first = made.make(number).result(60)
    until(lambda: gone(first))
    assert made.make(number).result(60) != first


def test_errors_come_back_in_their_own_words(made: Maker):
    for kind, error, words in (
        ("conflict", Conflict, "^not now$"),
        ("unknown", InvalidInput, "rule 'a' is unknown"),
        ("deleted", NotFound, "comparison 'a' is unknown"),
        ("bug", RuntimeError, "KeyError: 'a bug'"),
    ):
        with pytest.raises(error, match=words):
            made.make(refuse, kind).result(60)


def test_a_process_that_dies_breaks_its_promise_and_no_other(made: Maker):
    broken, next_one = made.make(die, signal.SIGKILL), made.make(number)
    with pytest.raises(MakerDied, match=r"numbers died \(exit status -9\), perhaps for want of"):
        broken.result(60)
    assert next_one.result(60) > 0


def test_a_process_that_was_killed_while_it_was_idle_is_replaced(made: Maker):
    first = made.make(number).result(60)
    os.kill(first, signal.SIGKILL)
    until(lambda: gone(first))
    assert made.make(number).result(60) != first


@pytest.mark.parametrize("end", ["os.kill(os.getpid(), signal.SIGKILL)", "sys.exit(3)"])
def test_it_ends_with_the_server_however_that_ends(end: str):
    """Even in the middle of making something, if there is time to tell it."""
    program = f"""
import os, signal, sys, time
from tuner.api.reports.maker import Maker
if __name__ == "__main__":
    maker = Maker("numbers")
    print(maker.make(os.getpid).result(60), flush=True)
    if {end!r}.startswith("sys"):
        maker.make(time.sleep, 600)
        time.sleep(0.5)
    {end}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (-signal.SIGKILL, 3), done.stderr
    process_id = int(done.stdout)
    until(lambda: gone(process_id))
