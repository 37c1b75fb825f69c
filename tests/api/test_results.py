"""What came out of comparisons: computed once, and anew whenever it changes."""

import csv
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree

import optuna
import pytest
from comparisons import comparison, enqueue, work_here
from optuna.trial import TrialState

from tuner.api.reports import making, remembered
from tuner.compare import compare
from tuner.compare.comparison import detailed
from tuner.compare.report.data import to_json
from tuner.errors import Conflict
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store
from tuner.search.queue import control
from tuner.search.queue.claims import TrialOutcome
from tuner.search.queue.queue import Queue
from tuner.search.results.arms import arms_in_full
from tuner.search.work.keeper import Keeper

REPORT = "/v1/comparisons/small/report"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The comparisons whose report was computed."""
    names: list[str] = []
    really = remembered._reports.make

    def make(function: Any, database: str, name: str) -> Any:
        assert function is making.report
        names.append(name)
        return really(function, database, name)

    monkeypatch.setattr(remembered._reports, "make", make)
    yield names


ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""For what is made of trials, once they are read."""


def run(store: Store, **changes: object) -> None:
    enqueue(store, comparison(retrain_seeds=0, **changes))
    work_here(store)
    Keeper(store).tend()


@pytest.mark.slow
def test_a_report_is_computed_once_for_all_its_forms(client, store, computed):
    run(store)
    for path in (REPORT, REPORT, f"{REPORT}?format=html", "/v1/comparisons/small/figure.svg"):
        assert client.get(path).status_code == 200
    assert computed == ["small"]
    found, protocol = arms_in_full(store, "small")
    expected = to_json(detailed(compare(found, protocol), found))
    assert client.get(REPORT).json() == json.loads(json.dumps(expected))
    assert [one["redundancy"]["n"] for one in expected["details"]] == [6, 6]


@pytest.mark.slow
@ON_SQLITE
@pytest.mark.usefixtures("complete")
def test_the_page_of_a_comparison_does_not_wait_for_its_report(client, computed):
    assert client.get("/comparisons/small").status_code == 200
    assert client.get("/v1/comparisons/small/figure.svg").status_code == 200
    assert computed == []


@ON_SQLITE
def test_studies_that_are_deleted_once_all_is_complete_are_named_with_the_way_out(store):
    run(store)
    assert store.status("small") == "complete"
    optuna.delete_study(storage=store.rdb, study_name="small/old")
    words = r"^comparison 'small': small/old: deleted in Optuna .* and submit it anew$"
    with pytest.raises(Conflict, match=words):
        making.compared(store.engine.url.render_as_string(hide_password=False), "small")


@pytest.mark.slow
def test_a_report_grows_with_its_trials(client, store, computed):
    enqueue(store, comparison(retrain_seeds=0))
    queue = Queue(store)
    for end in (2, 4):
        for arm in ("old", "new"):
            ids = queue.claim(f"small/{arm}", "w", range(end - 2, end)).trial_ids
            queue.finish("w", {i: TrialOutcome(TrialState.COMPLETE, i / 100) for i in ids})
        assert [arm["n"] for arm in client.get(REPORT).json()["arms"]] == [end, end]
    assert computed == ["small", "small"]


@pytest.mark.slow
def test_a_report_of_a_deleted_comparison_is_not_that_of_the_next_of_its_name(client, store):
    run(store)
    before = client.get(REPORT).json()
    control.delete(store, "small")
    run(store, seed=5)
    after = client.get(REPORT).json()
    assert [arm["n"] for arm in after["arms"]] == [arm["n"] for arm in before["arms"]]
    assert after["protocol"]["declaration_hash"] != before["protocol"]["declaration_hash"]
    assert after["arms"][0]["best"] != before["arms"][0]["best"]


@pytest.mark.slow
def test_a_retried_trial_counts_in_the_report(client, store):
    enqueue(store, comparison(retrain_seeds=0))
    queue = Queue(store, retries=0)
    queue.fail("w", queue.claim("small/old", "w", range(2)).trial_ids, "Traceback")
    work_here(store)
    Keeper(store).tend()
    assert client.get(REPORT).json()["arms"][0]["failed"] == 2
    assert client.post("/v1/comparisons/small/retry").status_code == 200
    work_here(store)
    arm = client.get(REPORT).json()["arms"][0]
    assert (arm["n"], arm["failed"]) == (6, 0)


@pytest.mark.slow
@pytest.mark.usefixtures("complete")
def test_the_table_holds_every_finished_trial_with_its_settings(client, store):
    answer = client.get(f"{REPORT}?format=csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    studies = [study.study_name for study in store.comparison("small").every_study()]
    trials = [trial for name in studies for trial in finished_trials(store, name)]
    assert len(studies) == 6
    assert [row["val_accuracy"] for row in rows] == [str(trial.value) for trial in trials]
    assert [json.loads(row["params"]) for row in rows] == [trial.params for trial in trials]
    settings = [trial.user_attrs["run"]["settings"] for trial in trials]
    assert [json.loads(row["settings"]) for row in rows] == settings
    assert [row["seed"] for row in rows] == [str(trial.user_attrs["seed"]) for trial in trials]
    assert {row["state"] for row in rows} == {"COMPLETE"}


@pytest.mark.slow
@ON_SQLITE
@pytest.mark.usefixtures("complete")
def test_the_picture_is_a_file_that_stands_alone(client):
    answer = client.get("/v1/comparisons/small/figure.svg")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert ElementTree.fromstring(answer.text).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.slow
@ON_SQLITE
@pytest.mark.usefixtures("complete")
def test_the_page_says_what_made_it_and_nothing_of_the_server(client, store):
    page = client.get(f"{REPORT}?format=html").text
    assert "tuner compare small" in page
    assert str(store.engine.url.database) not in page


@pytest.mark.slow
@ON_SQLITE
@pytest.mark.usefixtures("complete")
def test_many_who_ask_at_once_wait_for_one_computation(client, computed):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: client.get(REPORT).status_code, range(8)))
    assert answers == [200] * 8
    assert computed == ["small"]
