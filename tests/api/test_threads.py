"""Readers wait neither for writers nor for reports."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from comparisons import comparison, enqueue, work_here
from sqlalchemy import update

from tuner.api.reports import remembered
from tuner.api.threads import THREADS
from tuner.search.database.store import Store
from tuner.search.database.tables import comparisons
from tuner.search.work.keeper import Keeper

MANY = 3 * max(THREADS.values())


@pytest.mark.slow
def test_readers_are_answered_while_writers_wait_for_each_other(client, store: Store):
    store.declare(comparison())
    bodies = [comparison(name=f"c{number}").model_dump(mode="json") for number in range(MANY)]
    with ThreadPoolExecutor(MANY + 1) as pool:
        with store.engine.begin() as connection:
            row = comparisons.c.name == "small"
            connection.execute(update(comparisons).where(row).values(revision=1))
            if store.engine.dialect.name == "sqlite":  # one writer at a time
                writing = [pool.submit(client.post, "/v1/comparisons", json=b) for b in bodies]
            else:
                pause = "/v1/comparisons/small/pause"
                writing = [pool.submit(client.post, pause) for _ in bodies]
            reading = pool.submit(client.get, "/v1/comparisons/small")
            assert reading.result(timeout=30).json()["status"] == "active"
            assert not any(one.done() for one in writing)
        answers = [one.result(timeout=60).status_code for one in writing]
    assert answers == [202] * MANY or sorted(answers) == [200] + [409] * (MANY - 1)


@pytest.mark.slow
def test_readers_are_answered_while_reports_are_made(client, store: Store, tmp_path: Path):
    enqueue(store, comparison(retrain_seeds=0))
    work_here(store)
    Keeper(store).tend()
    may_go_on = tmp_path / "go on"
    busy = remembered._reports.make(wait_for, str(may_go_on))
    with ThreadPoolExecutor(MANY + 1) as pool:
        report = "/v1/comparisons/small/report"
        waiting = [pool.submit(client.get, report) for _ in range(MANY)]
        try:
            page = pool.submit(client.get, "/comparisons/small/report")
            assert "The report is being made" in page.result(timeout=30).text
            for path in ("/v1/comparisons/small", "/comparisons/small", "/"):
                reading = pool.submit(client.get, path)
                assert reading.result(timeout=30).status_code == 200
            figure = pool.submit(client.get, "/v1/comparisons/small/figure.svg")
            assert figure.result(timeout=60).status_code == 200
            assert not any(one.done() for one in waiting)
        finally:
            may_go_on.touch()
        assert busy.result(timeout=60) == str(may_go_on)
        assert {one.result(timeout=60).status_code for one in waiting} == {200}
        shown = client.get("/comparisons/small/report", follow_redirects=True)
        assert "</svg>" in shown.text


def wait_for(path: str) -> str:
    """What a process is busy with until a file is there."""
    while not Path(path).exists():
        time.sleep(0.01)
    return path
