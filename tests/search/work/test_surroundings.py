"""How processes that compute begin: what they inherit, what they hear, how they end."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from tuner.search.work.surroundings import (
    HAS_FORK_SERVER,
    KEEP_MEMORY,
    ONE_THREAD,
    left_alone,
    prepare,
    spawn,
)

ROOT = Path(__file__).resolve().parents[3]
forked = pytest.mark.skipif(not HAS_FORK_SERVER, reason="processes are not forked here")


def tell(question: str, device: str, pipe: Connection) -> None:
    """Answers a question about this process."""
    pipe.send(eval(question, globals() | {"device": device}))


def server() -> Path:
    """The folder of the process that this one was forked from."""
    return Path("/proc", str(os.getppid()))


def unshared() -> int:
    """How much of this process's memory is its own by now, in kB."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return sum(map(int, re.findall(r"^Private_\w+: +(\d+)", rollup, re.MULTILINE)))


def taken_by_looking_for_garbage() -> int:
    """How much memory is no longer shared, in kB, after all objects were looked through."""
    before = unshared()
    gc.collect()
    return unshared() - before


def asked(question: str, slot: int = 0) -> Any:
    process, pipe = spawn(tell, question, slot=slot)
    answer = pipe.recv()
    process.join()
    assert process.exitcode == 0
    return answer


def test_a_process_has_the_environment_of_the_moment_in_which_it_was_asked_for(monkeypatch):
    for value in ("first", "second"):
        monkeypatch.setenv("GIVEN", value)
        environment = asked("dict(os.environ)")
        assert environment == {**os.environ, **ONE_THREAD, **KEEP_MEMORY}


def test_processes_share_the_gpus_in_turn_and_without_any_take_the_processor(monkeypatch):
    question = "(device, os.environ.get('CUDA_VISIBLE_DEVICES'))"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    answers = [asked(question, slot) for slot in range(3)]
    assert answers == [("cuda", "GPU-a"), ("cuda", "GPU-b"), ("cuda", "GPU-a")]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert asked(question) == ("cpu", "")


def test_a_process_imports_from_where_this_one_does_and_is_where_it_is(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/nowhere")
    path, folder = asked("(sys.path, os.getcwd())")
    assert path == sys.path
    assert folder == str(tmp_path)


def test_a_process_is_deaf_to_ctrl_c_and_hears_sigterm():
    assert asked("signal.pthread_sigmask(signal.SIG_BLOCK, [])") == {signal.SIGINT}
    process, pipe = spawn(wait_for_word, slot=0)
    assert pipe.recv() == "ready"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGTERM)
    process.join()
    assert process.exitcode == -signal.SIGTERM


def wait_for_word(_device: str, pipe: Connection) -> None:
    pipe.send("ready")
    pipe.recv()


@pytest.mark.slow
@forked
def test_the_server_has_imported_torch_has_one_thread_and_shares_what_it_imported():
    """In a process of its own: in this one a server may run that was asked for less."""
    questions = (
        "'torch' in sys.modules and 'tuner.train' in sys.modules",
        "len(list((server() / 'task').iterdir()))",
        "(server() / 'environ').read_text().split('\\0')",
        "taken_by_looking_for_garbage()",
    )
    asks = "import json\nfrom tests.search.work.test_surroundings import asked\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{asks}print(json.dumps([asked(q) for q in {questions!r}]))"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=True,
    )
    imported, threads, variables, taken = json.loads(done.stdout)
    assert imported is True
    assert threads == 1
    assert taken < 4096
    assert {f"{name}={value}" for name, value in (ONE_THREAD | KEEP_MEMORY).items()} <= {
        *variables
    }


@pytest.mark.slow
@forked
def test_a_file_named_as_a_library_in_the_folder_at_hand_is_not_taken_for_it(tmp_path):
    (tmp_path / "torch.py").write_text("print('this is not torch')")
    (tmp_path / "asks.py").write_text(
        "import os, sys\n"
        "from tests.search.work.test_surroundings import asked\n"
        "if __name__ == '__main__':\n"
        "    del sys.path[0]\n"
        "    print(asked('sys.modules[\"torch\"].__file__'))\n"
    )
    done = subprocess.run(
        [sys.executable, str(tmp_path / "asks.py")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout.endswith(f"torch{os.sep}__init__.py\n")
    assert "not torch" not in done.stdout
    assert done.stderr == ""


@forked
@pytest.mark.slow
def test_where_no_server_can_be_had_a_process_does_without(tmp_path):
    deep = tmp_path / ("deeper_than_a_socket_may_lie_" * 4)
    deep.mkdir()
    asks = "from tests.search.work.test_surroundings import asked\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{asks}print(asked('sys.modules.get(\"torch\")'))"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(deep)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("None\n", "")


LAUNCHER = """
import sys, time
from tests.search.work.test_surroundings import spawn, watch
from tuner.search.work import surroundings
surroundings.IMPORTED = []  # they watch, and need no torch
if __name__ == "__main__":
    started = [spawn(watch, slot=slot) for slot in range(2)]
    print(*(pipe.recv() for _, pipe in started), flush=True)
    time.sleep(60)
"""


def watch(_device: str, pipe: Connection) -> None:
    """Goes on until it is left alone."""
    gone = left_alone()
    pipe.send(f"{os.getpid()} {os.getppid()}")
    while not gone():
        time.sleep(0.05)


@pytest.fixture
def launched() -> Iterator[tuple[subprocess.Popen[str], set[int]]]:
    """A process that started two others, in a session of its own, and the ids of all others."""
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        others = {int(number) for number in process.stdout.readline().split()}
        yield process, others - {process.pid}
        process.kill()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_all_end_without_a_word_when_their_launcher_is_killed(launched):
    process, others = launched
    process.kill()
    wait_until(lambda: all(map(gone, others)))
    assert process.communicate() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_what_every_process_is_told_ends_the_launcher_and_the_others_with_it(launched, told):
    process, others = launched
    os.killpg(process.pid, told)
    _, words = process.communicate()
    wait_until(lambda: all(map(gone, others)))
    assert words.count("Traceback") == (told == signal.SIGINT)  # the launcher's own


@forked
@pytest.mark.slow
def test_forked_processes_stop_when_their_server_is_killed_and_another_is_begun():
    prepare()
    process, pipe = spawn(watch, slot=0)
    pid, first = map(int, pipe.recv().split())
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: gone(pid))
    process.join()
    assert process.exitcode == 255
    assert asked("os.getppid()") not in (first, os.getpid())
