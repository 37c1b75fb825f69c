"""Whatever dies: each accepted trial is finished once, and the result is an undisturbed run's."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from comparisons import comparison
from light_trainer import LightTrainer
from sqlalchemy import select

from tests.postgres_server import restart
from tuner.search.database.events import events_after
from tuner.search.database.finished import finished_trials
from tuner.search.database.patience import patiently
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import workers
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.control import submit
from tuner.search.watch.progress import progress
from tuner.search.work import launch

HERE = Path(__file__).parents[1]
N_TRIALS = 80
ONE_ARM: list[dict[str, Any]] = [{"name": "new", "space": "filter"}]
SPEC = comparison(
    arms=ONE_ARM, verdict={}, n_trials=N_TRIALS, retrain_seeds=3, workload={"epochs": 12}
)

SCRIPT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from light_trainer import SlowTrainer
from tuner.search.work import surroundings
from tuner.search.work.service import work
surroundings.IMPORTED = ["tuner.search.work.crew"]  # this trainer needs no torch
if __name__ == "__main__":
    work(sys.argv[1], processes=4, make_trainer=SlowTrainer)
"""


@pytest.fixture
def crew(database: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Four workers of a database, kept by a process of their own."""
    with closing(open_store(database)) as store:
        submit(store, SPEC)
    script = tmp_path / "crew.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script), database])
    yield process
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def working(store: Store) -> list[int]:
    """The process ids of the workers that are training."""
    query = select(workers.c.pid).where(workers.c.state == "working")
    with store.engine.connect() as connection:
        return list(connection.scalars(query))


def trace(store: Store, spec: ComparisonSpec) -> list[tuple[object, ...]]:
    """Of every trial: study, index, parameters, curve, value."""
    return [
        (
            study.study_name,
            trial.user_attrs["index"],
            trial.params,
            trial.user_attrs["run"]["curve"]["val_accuracy"],
            trial.value,
        )
        for study in spec.every_study()
        for trial in finished_trials(store, study.study_name)
    ]


@pytest.mark.slow
def test_workers_and_database_killed_again_and_again_change_nothing(
    crew: subprocess.Popen[bytes], database: str, tmp_path: Path, request: pytest.FixtureRequest
):
    store = open_store(database)
    postgres = request.getfixturevalue("postgres") if "postgres" in database else None
    chance, kills, restarts = random.Random(0), 0, 0
    deadline = time.monotonic() + 300
    while not (now := patiently(lambda: progress(store, SPEC))).complete:
        assert crew.poll() is None
        assert time.monotonic() < deadline, now
        time.sleep(0.6)
        if kills < 8 and (pids := patiently(lambda: working(store))):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(pids), signal.SIGKILL)
                kills += 1
        if postgres is not None and restarts < 2 and kills > 2 * restarts:
            restart(postgres)
            restarts += 1
    assert kills >= 4
    assert restarts == (0 if postgres is None else 2)
    assert SPEC.n_afresh == 20 + 3
    arm = now.arms[0]
    assert (arm.done, arm.running, arm.failed, arm.retrained) == (N_TRIALS, 0, 0, SPEC.n_afresh)
    study_id = store.rdb.get_study_id_from_name("small/new")
    states = [trial.state.name for trial in store.rdb.get_all_trials(study_id)]
    assert states == ["COMPLETE"] * N_TRIALS
    events = events_after(store.engine, 0, limit=10_000)
    ended = [event for event in events if event.kind == "finished"]
    assert sum(event.data["n"] for event in ended) == N_TRIALS + SPEC.n_afresh
    undisturbed = f"sqlite:///{tmp_path}/undisturbed.db"
    launch.run(SPEC, database=undisturbed, workers=1, make_trainer=LightTrainer)
    with closing(open_store(undisturbed)) as other:
        assert trace(store, SPEC) == trace(other, SPEC)
    store.close()
