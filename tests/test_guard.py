"""Code of the user's that hangs, forks or leaves threads behind, beside its process."""

import os
import subprocess
import sys
import time
import traceback

import pytest

from tuner.guard import Overtime, TimeLimitReached, guarded


def hang() -> None:
    time.sleep(60)


def python(code: str) -> subprocess.CompletedProcess[str]:
    """What a program does with the guard."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


def test_what_hangs_is_ended_and_its_traceback_says_where_it_was():
    with (
        pytest.raises(TimeLimitReached, match=r"longer than 0\.05 seconds") as ended,
        guarded(0.05),
    ):
        hang()
    text = "".join(traceback.format_exception(ended.value))
    assert "time.sleep(60)" in text and text.endswith("say where it was\n")


@pytest.mark.slow
def test_it_is_ended_although_it_handles_whatever_is_raised():
    with pytest.raises(TimeLimitReached), guarded(0.05):
        try:
            hang()
        except BaseException:
            hang()


def test_what_ends_in_time_ends_as_it_would_and_nothing_rings_later():
    with guarded(0.05):
        pass
    time.sleep(0.1)
    with guarded(None), pytest.raises(ValueError, match="mine"):
        raise ValueError("mine")


def test_what_it_calls_of_ours_is_never_ended_in_the_middle():
    done = []

    def ours() -> None:
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            pass
        done.append("whole")

    with pytest.raises(TimeLimitReached) as ended, guarded(0.05) as guard:
        guard.sheltered(ours)()
        done.append("after")
    assert done == ["whole"] and isinstance(ended.value.__cause__, Overtime)


def test_a_copy_that_it_forked_returns_to_nobody():
    done = python(
        "import os\n"
        "from tuner.guard import guarded\n"
        "with guarded(None) as guard:\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        guard.sheltered(lambda: os.write(1, b'reported'))()\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 'once', flush=True)\n"
    )
    assert done.stdout == "1 once\n", done.stderr


def test_a_copy_that_returns_ends_where_it_would_leave_the_users_code():
    done = python(
        "import os\n"
        "from tuner.guard import guarded\n"
        "with guarded(None):\n"
        "    child = os.fork()\n"
        "print(child > 0, flush=True)\n"
    )
    assert done.stdout == "True\n", done.stderr


def test_threads_that_never_end_do_not_keep_the_process():
    done = python(
        "import threading, time\n"
        "from tuner.guard import leave\n"
        "threading.Thread(target=lambda: time.sleep(1000), name='mine').start()\n"
        "leave(3)\n"
    )
    assert done.returncode == 3
    assert "what was left running ends with this process: mine" in done.stderr


def test_what_never_comes_back_to_python_ends_with_its_process():
    done = python(
        "import itertools\n"
        "import tuner.guard\n"
        "tuner.guard._WATCHDOG_SECONDS = 0.1\n"
        "with tuner.guard.guarded(0.1):\n"
        "    sum(itertools.repeat(0))  # and holds Python's lock\n"
    )
    assert done.returncode == 1
    assert "Timeout" in done.stderr and 'File "<string>", line 5' in done.stderr


def test_a_process_is_no_copy_of_itself():
    before = os.getpid()
    with guarded(None) as guard:
        assert guard.sheltered(os.getpid)() == before
