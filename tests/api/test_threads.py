"""Readers wait neither for writers nor for reports."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from comparisons import comparison, enqueue, work_here
from sqlalchemy import update

from tuner.api import reports
from tuner.api.threads import THREADS
from tuner.search.database.store import Store
from tuner.search.database.tables import comparisons

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
def test_readers_are_answered_while_reports_are_made(
    client, store: Store, monkeypatch: pytest.MonkeyPatch
):
    enqueue(store, comparison(retrain_seeds=0))
    work_here(store)
    may_go_on = threading.Event()
    really = reports._report

    def make(*arguments: object) -> reports.Report:
        may_go_on.wait(60)
        return really(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reports, "_report", make)
    with ThreadPoolExecutor(MANY + 1) as pool:
        report = "/v1/comparisons/small/report"
        waiting = [pool.submit(client.get, report) for _ in range(MANY)]
        reading = pool.submit(client.get, "/v1/comparisons/small")
        try:
            assert reading.result(timeout=30).status_code == 200
            assert not any(one.done() for one in waiting)
        finally:
            may_go_on.set()
        assert {one.result(timeout=60).status_code for one in waiting} == {200}
