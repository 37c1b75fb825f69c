"""Worker processes of a whole database, started as ``tuner worker`` starts them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from comparisons import comparison
from sqlalchemy import select

from tuner.errors import InvalidInput
from tuner.search.database.store import Store
from tuner.search.database.tables import comparisons, workers
from tuner.search.queue.control import submit
from tuner.search.watch.progress import study_progress
from tuner.search.work import service

HERE = Path(__file__).parents[1]
SPEC = comparison(n_trials=24, retrain_seeds=2, workload={"epochs": 6})

SCRIPT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
import light_trainer
from tuner.search.work import surroundings
from tuner.search.work.service import work
surroundings.IMPORTED = ["tuner.search.work.crew"]  # these trainers need no torch
if __name__ == "__main__":
    options = {{key: float(value) for key, value in (o.split("=") for o in sys.argv[3:])}}
    if "parent" in options:
        options["parent"] = int(options["parent"])
    work(sys.argv[1], processes=2, make_trainer=getattr(light_trainer, sys.argv[2]), **options)
"""


@pytest.fixture
def start(tmp_path: Path, database: str) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts two worker processes on the database."""
    script = tmp_path / "crew.py"
    script.write_text(SCRIPT)
    started: list[subprocess.Popen[str]] = []

    def begin(trainer: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(script), database, trainer, *options]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def running(store: Store) -> int:
    return sum(study.running for study in study_progress(store, "small").values())


def done(store: Store) -> int:
    return sum(study.done for study in study_progress(store, "small").values())


def status(store: Store) -> str | None:
    with store.engine.connect() as connection:
        return connection.scalar(select(comparisons.c.status))


def roster_states(store: Store) -> list[str]:
    with store.engine.connect() as connection:
        return list(connection.scalars(select(workers.c.state)))


@pytest.mark.slow
def test_workers_run_what_is_submitted_to_its_end_without_a_server(start, store: Store):
    start("LightTrainer")
    submit(store, SPEC)
    wait_until(lambda: status(store) == "complete")
    assert done(store) == 2 * 24 + 2 * (12 + 2)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_them_gracefully_and_nothing_stays_running(
    start, store: Store, number: int
):
    submit(store, SPEC)
    process = start("SlowTrainer")
    wait_until(lambda: done(store) > 0 and running(store) > 0)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert running(store) == 0
    assert 0 < done(store) < 76
    assert roster_states(store) == ["stopped", "stopped"]


@pytest.mark.slow
def test_they_stop_at_the_end_of_the_walltime(start, store: Store):
    submit(store, SPEC)
    process = start("SlowTrainer", "walltime_seconds=3")
    assert process.wait(60) == 0
    assert running(store) == 0


@pytest.mark.slow
def test_they_stop_when_their_parent_is_another(start, store: Store):
    submit(store, SPEC)
    assert start("SlowTrainer", "parent=1").wait(60) == 0
    process = start("SlowTrainer", f"parent={os.getpid()}")
    wait_until(lambda: done(store) > 0)
    assert process.poll() is None


@pytest.mark.slow
def test_processes_that_die_again_and_again_end_in_their_last_words(start, store: Store):
    submit(store, SPEC)
    process = start("DyingTrainer")
    _, words = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "6 worker processes stopped without finishing a trial" in words
    assert running(store) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"processes": 0}, "processes must be at least 1, got 0"),
        ({"retries": -1}, "retries must be at least 0, got -1"),
        ({"walltime_seconds": float("nan")}, "walltime must be positive, got nan"),
        ({"grace_seconds": -1.0}, "grace must be at least 0 seconds, got -1"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_starts(
    tmp_path: Path, options: dict[str, float], words: str
):
    with pytest.raises(InvalidInput, match=words):
        service.work(f"sqlite:///{tmp_path}/a.db", **options)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
