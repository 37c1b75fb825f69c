"""A backup that is taken while workers run: restored elsewhere, nothing of it is lost or wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from comparisons import comparison
from light_trainer import LightTrainer, SlowTrainer
from sqlalchemy import select

from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.database.tables import DONE, FAILED, trials
from tuner.search.database.transfer import export, load
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import kept
from tuner.search.work.worker import Worker

SPEC = comparison(n_trials=16, verdict={"primary": ["new", "old"], "k": 4})
OTHER = comparison(name="other", n_trials=8, retrain_seeds=0)
NAMES = (SPEC.name, OTHER.name)
Results = dict[tuple[str, int], tuple[object, ...]]


def complete(store: Store) -> bool:
    return all(store.status(name) == "complete" for name in NAMES)


@contextmanager
def working(url: str, trainer: type[LightTrainer]) -> Iterator[Store]:
    """Two workers and a keeper on a database, each with connections of its own."""
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(open_store(url))) for _ in range(3)]
        stop = threading.Event()
        threads = [
            threading.Thread(
                target=Worker(
                    Queue(store),
                    trainer("cpu"),
                    name=f"worker-{number}-{trainer.__name__}",
                    stopping=lambda: stop.is_set() or complete(stores[0]),
                ).run
            )
            for number, store in enumerate(stores[1:])
        ]
        stack.enter_context(kept(stores[0], every_seconds=0.1))
        for thread in threads:
            thread.start()
        try:
            yield stores[0]
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)


def n_finished(store: Store) -> int:
    return sum(each.finished for name in NAMES for each in study_progress(store, name).values())


def results(store: Store) -> Results:
    """What each finished trial came to, by its study and index."""
    return {
        (study.study_name, trial.user_attrs["index"]): (
            trial.state,
            trial.value,
            trial.params,
            trial.user_attrs["seed"],
            trial.user_attrs.get("test_accuracy"),
        )
        for spec in (SPEC, OTHER)
        for study in spec.every_study()
        for trial in finished_trials(store, study.study_name)
    }


def assert_whole(store: Store) -> None:
    """Queue and Optuna agree about every trial."""
    with store.engine.connect() as connection:
        rows = connection.execute(select(trials)).all()
    for row in rows:
        known = store.rdb.get_trial(row.trial_id)
        assert known.state.is_finished() == (row.state in (DONE, FAILED))
        assert known.value == row.value


@pytest.mark.slow
def test_a_backup_taken_beside_running_workers_is_restored_and_goes_on(
    database: str, empty_postgres_url: str, tmp_path: Path
):
    backups: list[list[str]] = []
    with closing(open_store(database)) as store:
        for spec in (SPEC, OTHER):
            store.declare(spec)
        with working(database, SlowTrainer):
            for least in (4, 20):
                wait_for(lambda least=least: n_finished(store) >= least)
                backups.append(list(export(store)))
            wait_for(lambda: complete(store))
        undisturbed = results(store)
    for number, backup in enumerate(backups):
        for url in (f"sqlite:///{tmp_path}/restored-{number}.db", empty_postgres_url):
            with closing(open_store(url)) as restored:
                if url == empty_postgres_url and number:
                    continue  # it holds them by now
                assert load(restored, backup) == ([*NAMES], [])
                assert_whole(restored)
                before = results(restored)
                assert 0 < len(before) < len(undisturbed)
                assert before.items() <= undisturbed.items()
            with working(url, LightTrainer) as restored:
                wait_for(lambda restored=restored: complete(restored))
                assert results(restored) == undisturbed
                assert load(restored, backup) == ([], [*NAMES])


@pytest.mark.slow
def test_all_comparisons_of_a_backup_are_from_the_same_moment(database: str):
    """And those that come or go meanwhile are not, or still, in it."""
    with closing(open_store(database)) as store, closing(open_store(database)) as another:
        for spec in (SPEC, OTHER):
            store.declare(spec)
        before = list(export(store))
        read: list[str] = []

        def meanwhile(name: str) -> None:
            read.append(name)
            if len(read) == 1:
                another.declare(comparison(name="later"))
                with another.begin() as connection:
                    connection.exec_driver_sql("update tuner_comparisons set revision = 77")

        during = list(export(store, on_comparison=meanwhile))
        assert read == [*NAMES]
        assert during[1:-1] == before[1:-1]
        assert len(list(export(store))) > len(before)
