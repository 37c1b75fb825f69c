"""The page of an arm: its trials as figures, and the log of each."""

import os
import re
from xml.etree import ElementTree

import pytest
from comparisons import comparison, enqueue, run
from documents import get
from light_trainer import PickyTrainer

from tuner.compare.figures.trials.registry import TRIAL_FIGURES
from tuner.search.queue import control
from tuner.search.watch import views


@pytest.mark.slow
def test_an_arm_shows_every_figure_with_its_caption_and_logs_its_trials(
    browser, store, monkeypatch
):
    seed = comparison().studies()[0].trial_seed(2)
    monkeypatch.setitem(os.environ, "POISON", str(seed))
    control.submit(store, comparison())
    run(store, trainer=PickyTrainer("cpu"))
    links = get(browser, "/comparisons/small").links
    assert "/comparisons/small/arms/old" in links
    assert "/comparisons/small/arms/old?study=small%2Fold" in links
    page = get(browser, "/comparisons/small/arms/old")
    pictures = [img["src"] for img in page.all("img") if "/arms/" in img["src"]]
    assert [re.split(r"[/.]", src)[5] for src in pictures] == list(TRIAL_FIGURES)
    for src in pictures:
        answer = browser.get(src)
        assert answer.headers["content-type"] == "image/svg+xml"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert ElementTree.fromstring(answer.text).tag == "{http://www.w3.org/2000/svg}svg"
    assert page.text.count("Left out: 1 without") == 3
    rows = [row for study in ("small/old", "small/old/selected", "small/old/retrain")
            for row in views.list_trials(store, study, limit=50)]  # fmt: skip
    logged = [link for link in page.links if link.startswith("/trials/")]
    assert sorted(logged) == sorted(f"/trials/{row.trial_id}" for row in rows)
    assert f"ArithmeticError: seed {seed} is poisonous" in page.text
    failed = get(browser, "/comparisons/small/arms/old?state=failed")
    assert len([link for link in failed.links if link.startswith("/trials/")]) == 1
    again = get(browser, "/comparisons/small/arms/old?study=small/old/retrain")
    headings = [given["id"] for given in again.all("h2")]
    assert headings == ["learning_curves", "log"]  # nothing was searched there
    trial = get(browser, logged[0])
    assert "/comparisons/small/arms/old?study=small%2Fold" in trial.links
    assert "What it reported 3 epochs Epoch Training loss Validation" in trial.text


def test_an_arm_whose_trials_wait_has_a_log_in_pages_and_no_figures(browser, store):
    enqueue(store, comparison(n_trials=60, retrain_seeds=0))
    page = get(browser, "/comparisons/small/arms/new")
    assert "drawn as soon as one has ended" in page.text
    seen: list[str] = []
    while True:
        seen += [link for link in page.links if link.startswith("/trials/")]
        further = [link for link in page.links if "cursor=" in link]
        if not further:
            break
        page = get(browser, further[0])
    assert len(seen) == len(set(seen)) == 60
    none = get(browser, "/comparisons/small/arms/new?state=done")
    assert "There is no such trial." in none.text


def test_what_an_arm_has_not_is_not_found(browser, store):
    enqueue(store, comparison())
    here = "/comparisons/small/arms"
    assert "has no arm 'newer'; it has old, new" in get(browser, f"{here}/newer", 404).text
    assert "has no study 'small/new'" in get(browser, f"{here}/old?study=small/new", 404).text
    get(browser, "/comparisons/none/arms/old", 404)
    get(browser, f"{here}/old?state=done%27", 422)
    get(browser, f"{here}/old?cursor=nonsense", 422)
    for name in ("slices", "nothing"):
        assert browser.get(f"{here}/old/{name}.svg").status_code == 404
    assert browser.get(f"{here}/old/slices.svg?study=other").status_code == 404


def test_a_trial_in_training_shows_what_it_reported_so_far(browser, client_of_rest, store):
    enqueue(store, comparison())
    (row, *_) = views.list_trials(store, "small/old", limit=1)
    for epoch, value in ((1, 0.25), (2, 0.375)):
        store.rdb.set_trial_intermediate_value(row.trial_id, epoch, value)
    page = get(browser, f"/trials/{row.trial_id}")
    assert "What it reported 2 epochs Epoch Validation 1 25.00% 2 37.50%" in page.text
    assert any(svg.get("aria-label", "").startswith("Validation") for svg in page.all("svg"))
    trial = client_of_rest(f"/v1/trials/{row.trial_id}")
    assert trial["reports"] == {"1": 0.25, "2": 0.375}


@pytest.fixture
def client_of_rest(browser):
    return lambda path: browser.get(path, headers={"Accept": "application/json"}).json()
