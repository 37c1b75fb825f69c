"""Trials that end their process: they fail alone, with what is known, and nobody else gives up."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from comparisons import comparison
from light_trainer import PoisonedTrainer
from sqlalchemy import select

from tuner.errors import TunerError
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import workers
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.queue.control import submit
from tuner.search.watch import views, waits
from tuner.search.watch.progress import progress
from tuner.search.work import launch, surroundings

HERE = Path(__file__).parents[1]
ONE_ARM = [{"name": "new", "space": "filter"}]
SPEC = comparison(arms=ONE_ARM, verdict={}, retrain_seeds=0)
ENDS = {
    "9": "the last one by signal 9 (SIGKILL)",
    "11": "the last one by signal 11 (SIGSEGV)",
    "exit 3": "the last one by exit status 3",
}


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "IMPORTED", ["tuner.search.work.crew"])


def poison(monkeypatch: pytest.MonkeyPatch, how: str, *positions: int) -> None:
    seeds = [SPEC.studies()[0].trial_seed(position) for position in positions]
    monkeypatch.setenv("POISON", ",".join(map(str, seeds or [-1])))
    monkeypatch.setenv("HOW", how)


def run(spec: ComparisonSpec, database: str, workers: int = 1) -> launch.Progress:
    return launch.run(spec, database=database, workers=workers, make_trainer=PoisonedTrainer)


def outcomes(database: str) -> dict[int, tuple[object, ...]]:
    with closing(open_store(database)) as store:
        return {
            trial.user_attrs["index"]: (trial.state.name, trial.value, trial.params)
            for trial in finished_trials(store, "small/new")
        }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, tuple[object, ...]]:
    """What comes of the trials where none of them ends its process."""
    database = f"sqlite:///{tmp_path_factory.mktemp('undisturbed')}/tuner.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "IMPORTED", ["tuner.search.work.crew"])
        poison(patch, "9")
        run(SPEC, database)
    return outcomes(database)


def error(database: str) -> str:
    with closing(open_store(database)) as store:
        trials = finished_trials(store, "small/new")
        (found,) = (trial.user_attrs["error"] for trial in trials if "error" in trial.user_attrs)
        return str(found)


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDS)
def test_a_trial_that_ends_its_process_fails_alone_and_its_mates_end_as_undisturbed(
    database: str,
    undisturbed: dict[int, tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
):
    poison(monkeypatch, how, 1)
    assert run(SPEC, database).complete
    expected, found = dict(undisturbed), outcomes(database)
    assert expected.pop(1)[0] == "COMPLETE"
    assert found.pop(1)[0] == "FAIL"
    assert found == expected
    lines = error(database).splitlines()
    assert "these were its last words" in lines
    assert ENDS[how] in lines[-1]
    assert "at last alone" in lines[-1]


@pytest.mark.slow
def test_many_that_end_their_process_stop_no_crew_that_can_do_the_others(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    spec = comparison(arms=ONE_ARM, verdict={}, retrain_seeds=0, n_trials=16)
    poison(monkeypatch, "9", 0, 5, 6, 15)
    end = run(spec, sqlite_url, workers=2)
    assert end.complete
    assert [(arm.done, arm.failed) for arm in end.arms] == [(16, 4)]


@pytest.mark.slow
def test_a_machine_on_which_everything_dies_fails_no_trial(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
):
    spec = comparison(retrain_seeds=0)
    poison(monkeypatch, "9", *range(6))
    with pytest.raises(TunerError, match=r"4 worker processes stopped .* signal 9 .* to resume"):
        run(spec, sqlite_url)
    assert outcomes(sqlite_url) == {}


SCRIPT = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from light_trainer import PoisonedTrainer
if __name__ == "__main__":
    from tuner.search.work import surroundings
    from tuner.search.work.service import work
    surroundings.IMPORTED = ["tuner.search.work.crew"]  # this trainer needs no torch
    work(sys.argv[1], processes=1, make_trainer=PoisonedTrainer)
"""


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url)
    yield opened
    opened.close()


def wait_until(true: Callable[[], bool], seconds: float = 240.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_a_study_that_only_kills_is_left_out_and_the_rest_goes_on(
    store: Store, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    many = comparison(
        name="deadly",
        arms=ONE_ARM,
        verdict={},
        n_trials=200,
        retrain_seeds=0,
        seed=7,
    )
    seeds = [many.studies()[0].trial_seed(position) for position in range(200)]
    monkeypatch.setenv("POISON", ",".join(map(str, seeds)))
    monkeypatch.setenv("HOW", "9")
    submit(store, many)
    submit(store, comparison(name="before", retrain_seeds=0))
    script = tmp_path / "crew.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script), sqlite_url])
    try:
        wait_until(lambda: store.status("before") == "complete")
        wait_until(lambda: "is left out here: worker processes" in (note(store, "deadly") or ""))
        submit(store, comparison(name="after", retrain_seeds=0))
        wait_until(lambda: store.status("after") == "complete")
        assert process.poll() is None
        assert progress(store, many).arms[0].failed == 0
        with store.engine.connect() as connection:
            messages = set(connection.scalars(select(workers.c.message)))
        assert any("signal 9 (SIGKILL)" in (message or "") for message in messages)
    finally:
        process.terminate()
        assert process.wait(60) == 0


def note(store: Store, name: str) -> str | None:
    row = views.get_comparison(store, name)
    return waits.note(store, row, views.arms_of(store, store.comparison(name)))
