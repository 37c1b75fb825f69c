"""Pages of a comparison whose scores are no accuracies: their name, their sign, no per cent."""

import pytest
from comparisons import comparison, run
from documents import get

from tuner.search.queue import control
from tuner.search.watch import views

LOSSES = {
    "workload": {"epochs": 3, "metric": "loss"},
    "verdict": {"primary": ["new", "old"], "rope": 0.05, "target": 0.25},
}


@pytest.mark.slow
def test_every_page_calls_a_loss_by_its_name_and_shows_the_lowest_first(browser, store):
    control.submit(store, comparison(**LOSSES))
    run(store)
    rows = views.list_trials(store, "small/old", limit=50)
    lowest = min(row.value for row in rows if row.value is not None)
    page = get(browser, "/comparisons/small")
    assert "good is 0.25 and below" in page.text
    assert "differences within 0.05 do not matter" in page.text
    assert f"best {lowest:.4g}" in page.text
    assert "%" not in page.text.partition("What the searches found")[0].partition("Declared")[2]
    assert f"best {lowest:.4g}" in get(browser, "/").text
    arm = get(browser, "/comparisons/small/arms/old")
    assert "Loss after each epoch" in arm.text
    assert "from yellow, the highest, to purple, the lowest" in arm.text
    trial = get(browser, f"/trials/{rows[0].trial_id}")
    assert f"Validation loss {rows[0].value:.4g}" in trial.text
    assert "Validation loss after each epoch" in trial.text
    study = next(each for each in views.list_studies(store, limit=9) if each.arm == "old")
    best = browser.get(f"/v1/studies/{study.id}/best?limit=2").json()["items"]
    assert best[0]["value"] == lowest
    curve = browser.get(f"/v1/studies/{study.id}/tuning-curve").json()["points"]
    assert curve[0]["value"] >= curve[-1]["value"] >= lowest
    report = browser.get("/v1/comparisons/small/report").json()
    assert report["protocol"]["unit"] == "loss" and report["protocol"]["minimized"]
