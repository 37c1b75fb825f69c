"""The pages of suites: what is declared, what is launched, what came out."""

import json

import pytest
from comparisons import keep_and_finish

from tuner.search.declared import suite_spec
from tuner.search.declared.suite_spec import declared_suites, load_suite

SUITE = """
description = "The same little comparison twice."
arms = ["filter", "magnitude"]

[common]
n_trials = 4
retrain_seeds = 0
workload = {dataset = "digits", widths = [8, 8], epochs = 1}
arms = [{name = "filter", space = "filter"}, {name = "magnitude", space = "magnitude"}]
verdict = {primary = ["filter", "magnitude"], k = 2, target = 0.5}

[[comparisons]]
name = "first"

[[comparisons]]
name = "second"
verdict = {target = 0.4}
"""


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """The only declared suite."""
    path = tmp_path / "pair.toml"
    path.write_text(SUITE, encoding="utf-8")
    monkeypatch.setattr(suite_spec, "studies_dir", lambda: tmp_path)
    (tmp_path / "suites").mkdir()
    path.rename(tmp_path / "suites" / "pair.toml")
    return load_suite("pair")


@pytest.mark.slow
@pytest.mark.usefixtures("pair")
def test_a_suite_is_shown_launched_once_and_says_that_nothing_came_out(browser):
    page = browser.get("/suites").text
    assert "The same little comparison twice." in page
    assert page.count("not launched") == 2 and "/suites/pair/report" not in page
    assert browser.post("/suites/pair").headers["location"] == "/suites"
    page = browser.get("/suites").text
    assert "not launched" not in page and "Launch what is missing" not in page
    assert '<a href="/comparisons/second">second</a>' in page
    assert browser.post("/suites/pair").status_code == 303
    answer = browser.get("/v1/suites/pair/report", headers={"Accept": "application/json"})
    assert answer.status_code == 409
    assert "none of its comparisons has come out yet" in answer.text
    assert declared_suites().keys() == {"pair"}


def test_only_declared_suites_can_be_asked_for(browser, tmp_path):
    (tmp_path / "mine.toml").write_text(SUITE, encoding="utf-8")
    for name in ("mine.toml", "nothing"):
        assert browser.get(f"/suites/{name}/report").status_code == 404
        assert browser.post(f"/suites/{name}").status_code == 404


@pytest.mark.slow
def test_what_came_out_is_a_page_and_json(browser, store, pair):
    browser.post("/suites/pair")
    for name in ("first", "second"):
        keep_and_finish(store, name)
    page = browser.get("/suites/pair/report")
    assert page.status_code == 200, page.text
    assert "ver 2 workloads" in page.text
    document = json.loads(browser.get("/v1/suites/pair/report").text)
    assert document["suite"]["declaration_hash"] == pair.declaration_hash
    assert [each["comparison"] for each in document["workloads"]] == ["first", "second"]
    html = browser.get("/v1/suites/pair/report?format=html")
    assert html.headers["content-type"].startswith("text/html") and "<svg" in html.text
