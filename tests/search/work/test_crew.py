"""Worker processes are announced before they are up, and forgotten if they never were."""

from collections.abc import Iterator

import pytest
from comparisons import comparison
from light_trainer import LightTrainer, LoadingTrainer

from tuner.errors import InvalidInput, TunerError
from tuner.search.database.store import Store, open_store
from tuner.search.queue.queue import Queue
from tuner.search.watch import views, waits
from tuner.search.work.crew import Crew, Task


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    opened.declare(comparison())
    yield opened
    opened.close()


class Talker:
    """Refuses to work, at more length than a pipe holds."""

    def __init__(self, _device: str) -> None:
        raise InvalidInput("workload.dataset: no " + "and no " * 200_000)


def states(store: Store) -> list[str]:
    return [row.state for row in views.list_workers(store)]


def note(store: Store) -> str | None:
    row = views.get_comparison(store, "small")
    return waits.note(store, row, views.arms_of(store, comparison()))


@pytest.mark.slow
def test_workers_that_still_load_what_they_need_are_starting(store: Store, database: str):
    task = Task(database, "small", LoadingTrainer, grace_seconds=0.0)
    crew = Crew(task, 2, Queue(store))
    try:
        assert states(store) == ["starting", "starting"]
        assert note(store) == "workers are starting"
    finally:
        crew.stop()
    assert states(store) == []
    assert note(store) == "no worker is running; start one with: tuner worker"


@pytest.mark.slow
def test_a_worker_that_is_up_says_so_itself(store: Store, database: str):
    crew = Crew(Task(database, "small", LightTrainer), 1, Queue(store))
    try:
        while "starting" in states(store):
            crew.watch(0.05)
        (worker,) = views.list_workers(store)
        assert worker.pid == crew.pids[0] and worker.state in ("idle", "working")
    finally:
        crew.stop()
    assert states(store) == ["stopped"]


@pytest.mark.slow
def test_a_worker_ends_however_much_it_has_to_say(store: Store, database: str):
    crew = Crew(Task(database, "small", Talker, grace_seconds=0.0), 1, Queue(store))
    (member,) = crew._members
    try:
        member.process.join(60)
        assert not member.process.is_alive()
        with pytest.raises(TunerError, match=r"^workload\.dataset: no and no"):
            crew.watch(0)
    finally:
        crew.stop()
