"""Comparisons from one database to another and back: everything arrives, or nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from comparisons import comparison, enqueue, work_here
from light_trainer import LightTrainer
from sqlalchemy import select

from tuner.compare import compare
from tuner.compare.report import to_json
from tuner.errors import InvalidInput, UnknownName
from tuner.search import control, results
from tuner.search.keeper import Keeper
from tuner.search.queue import Queue
from tuner.search.store import Store, open_store
from tuner.search.studies import finished_trials
from tuner.search.tables import comparisons, studies
from tuner.search.transfer import export, load

SPEC = comparison(n_trials=20)


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    opened = open_store(database)
    yield opened
    opened.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(f"sqlite:///{tmp_path}/other.db")
    yield opened
    opened.close()


def go_on(store: Store) -> None:
    for _ in range(3):
        Keeper(store).tend()
        work_here(store, trainer=LightTrainer("cpu"))
    Keeper(store).tend()


@pytest.fixture
def eventful(store: Store) -> Store:
    """A comparison with trials done, failed, retried, in training, and waiting; and another."""
    enqueue(store, SPEC)
    enqueue(store, comparison(name="other", n_trials=2))
    control.change_comparison(store, "other", "cancel")
    queue = Queue(store, retries=0)
    unlucky = queue.claim("small/old", "a", range(2)).trial_ids
    queue.fail("a", unlucky, "Traceback: out of luck")
    control.retry_failed(store, "small")
    ids = queue.claim("small/old", "a", range(2, 4)).trial_ids
    queue.report("a", 1, dict.fromkeys(ids, 0.5))
    lost = queue.claim("small/new", "a", range(1)).trial_ids
    queue.fail("a", lost, "Traceback: again")
    return store


def lines(store: Store) -> list[str]:
    return list(export(store, sorted(store.names())))


def test_what_is_exported_and_imported_is_exported_the_same_again(eventful: Store, other: Store):
    first = lines(eventful)
    taken, skipped = load(other, first)
    assert (sorted(taken), skipped) == (["other", "small"], [])
    assert lines(other) == first
    states = [json.loads(line).get("state") for line in first]
    assert "RUNNING" not in states
    assert {"FAIL", "WAITING"} < set(states)


def test_times_arrive_in_another_time_zone_as_they_were(
    eventful: Store, other: Store, monkeypatch: pytest.MonkeyPatch
):
    first = lines(eventful)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        load(other, first)
        assert lines(other) == first
    finally:
        monkeypatch.undo()
        time.tzset()
    assert any(json.loads(line).get("ended") for line in first)


def test_a_half_run_comparison_goes_on_elsewhere_to_the_same_results(store: Store, other: Store):
    enqueue(store, SPEC)
    queue = Queue(store)
    queue.claim("small/old", "gone", range(3))
    load(other, lines(store))
    queue.release(["gone"])
    for each in (store, other):
        go_on(each)
    for study in SPEC.every_study():
        there, here = (
            [(t.params, t.value) for t in finished_trials(each, study.study_name)]
            for each in (other, store)
        )
        assert there == here != []
    reports = [to_json(compare(*results.arms(each, "small"))) for each in (store, other)]
    for report in reports:
        for arm in report["arms"]:
            del arm["seconds"], arm["seconds_per_trial"]
    assert reports[0] == reports[1]


def test_a_comparison_that_is_there_is_left_alone_and_another_of_its_name_refuses_all(
    eventful: Store, other: Store, tmp_path: Path
):
    first = lines(eventful)
    load(other, first)
    go_on(other)
    before = lines(other)
    assert load(other, first) == ([], ["other", "small"])
    assert lines(other) == before
    with closing(open_store(f"sqlite:///{tmp_path}/third.db")) as third:
        enqueue(third, comparison(name="other", n_trials=7))
        with pytest.raises(InvalidInput, match=r"'other'.*another declaration.*nothing was imp"):
            load(third, first)
        assert third.names() == ["other"]


def changed(line: str, **values: object) -> str:
    return json.dumps({**json.loads(line), **values})


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda x: x[:-1], "is cut off"),
        (lambda x: x[:3], "is cut off"),
        (lambda x: [*x[:-2], x[-1]], "is cut off"),
        (lambda _: [], "is empty"),
        (lambda x: [*x[:4], x[4][:-9], *x[5:]], "line 5 of the export is damaged"),
        (lambda x: [*x[:4], '{"kind": "trial"}', *x[5:]], "line 5 of the export is damaged"),
        (lambda x: [*x[:4], "[" * 100_000, *x[5:]], "line 5 of the export is damaged"),
        (lambda x: [x[0], changed(x[1], name="else"), *x[2:]], "line 2 of the export is damaged"),
        (lambda x: [x[0], changed(x[1], status="odd"), *x[2:]], "line 2 of the export is damag"),
        (lambda x: [*x[:2], changed(x[2], study_name="small/x"), *x[3:]], "line 2 of the export"),
        (lambda x: [*x[:3], changed(x[3], values=[0.5]), *x[4:]], "line 4 of the export is dam"),
        (lambda x: [*x[:3], changed(x[3], user_attrs={}), *x[4:]], "line 4 of the export is dam"),
        (lambda x: [*x[:3], changed(x[3], params={"a": 1}), *x[4:]], "line 4 of the export is"),
        (lambda x: x[1:], "not a file of tuner db export"),
        (lambda x: [x[0].replace('"version":1', '"version":7'), *x[1:]], "is of version 7"),
    ],
)
def test_of_a_damaged_file_nothing_is_imported(eventful: Store, other: Store, damage, words):
    with pytest.raises(InvalidInput, match=words):
        load(other, damage(lines(eventful)))
    for table in (comparisons, studies):
        with other.engine.connect() as connection:
            assert connection.execute(select(table)).all() == []
    assert other.rdb.get_all_studies() == []


def test_an_import_that_breaks_off_leaves_nothing(eventful: Store, other: Store):
    class Fault(Exception):
        pass

    def fault(_n_trials: int) -> None:
        raise Fault

    with pytest.raises(Fault):
        load(other, lines(eventful), on_trials=fault)
    assert other.names() == []
    assert other.rdb.get_all_studies() == []


def test_an_unknown_comparison_is_not_exported(store: Store):
    with pytest.raises(UnknownName, match="comparison 'x' is unknown"):
        list(export(store, ["x"]))
