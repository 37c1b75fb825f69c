"""A caption says what its figure shows, and who is left out."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_reports import Drawings, captions, full_report

from tuner.compare import Arm, Protocol, Retrained, compare
from tuner.compare.comparison import detailed
from tuner.compare.report.html import to_html

Make = Callable[..., Arm]
Again = Callable[..., Retrained]
SINGLE = "magnitude_narrow_0, magnitude_narrow_1"
OTHERS = "Left out: new_tpe, old_tpe (repeated searches); untuned (no search)."


@pytest.mark.slow
def test_every_figure_has_a_caption_that_names_who_is_left_out(
    arm: Make, retrained: Again
) -> None:
    comparison = full_report(arm, retrained, n_arms=2)
    found = captions(comparison)
    assert list(found) == list(Drawings(comparison))
    for name, caption in found.items():
        if name != "repeated_searches":
            assert OTHERS in caption, name
    assert (
        f"Left out: {SINGLE} (searched once); untuned (no search)." in (found["repeated_searches"])
    )
    assert found["tuning_curves"].endswith(
        "Beside it, incumbents trained again with fresh seeds: each run on the test set, and the "
        "median with its 95% interval. Not beside it: new_tpe, old_tpe (repeated searches); "
        "untuned (not trained afresh)."
    )
    page = to_html(comparison)
    assert all(f"<figcaption>{caption[:40]}" in page for caption in found.values())


def test_captions_mention_nothing_that_is_not_drawn(arm: Make) -> None:
    rng = np.random.default_rng(0)
    arms = [arm(name, -rng.random(8), seconds=np.full(8, np.nan)) for name in ("new", "old")]
    unbounded = detailed(compare(arms, Protocol(unit="negated loss")), arms)
    assert captions(unbounded) == {
        "tuning_curves": "Median best of k random trials. Marked: that of k* trials.",
        "budgets": "The same arms against what their trials cost; their epochs and seconds are "
        "not known. Shaded: the curves' 95% bands.",
        "distribution": "The share of trials that score this or less; marked: the median. Shaded: "
        "a 95% band of the whole distribution.",
    }
    learning = [replace(one, sampler="tpe") for one in arms]
    steps = captions(detailed(compare(learning, Protocol(unit="negated loss")), learning))
    assert steps["tuning_curves"] == "Steps: the best score so far (new, old)."
    assert steps["budgets"].endswith(
        "Steps: the best score so far, at what the trials really cost."
    )
    assert "Shaded" not in steps["distribution"]
    titles = [Drawings(unbounded)[name].axes[0].get_title("left") for name in ("tuning_curves",)]
    assert titles == ["Tuning curves"]


def test_captions_mention_failures_hollow_trials_and_methods_only_where_there_are_any(
    arm: Make, retrained: Again
) -> None:
    comparison = full_report(arm, retrained, n_arms=2)
    found = captions(comparison)
    assert "Hollow" in found["filters"] and "Hollow" in found["flip_ratio"]
    assert "how much worse a forest that learned from other trials" in found["importance"]
    assert "Failed" not in found["distribution"]
    plain = [
        replace(
            one.arm,
            failed=np.arange(one.arm.n) < 2,
            filters=one.arm.filters and replace(one.arm.filters, violated={}),
        )
        for one in comparison.details
    ]
    plain[2] = replace(plain[2], filters=None, importance=None, retrained=None)
    found = captions(detailed(compare(plain, comparison.protocol), plain))
    assert "Hollow" not in found["filters"] + found["flip_ratio"]
    assert "Failed trials stay in" in found["distribution"]
    assert "magnitude_narrow_0 (no trial with a real filter)" in found["filters"]
    assert "magnitude_narrow_0 (no importance computed)" in found["importance"]
    assert "magnitude_narrow_0, untuned (not trained afresh)" in found["tuning_curves"]


@pytest.mark.slow
def test_no_table_of_eight_arms_scrolls_sideways(
    arm: Make, retrained: Again, tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        why = "there is no Chromium here; install one, such as Debian's package chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    page = tmp_path / "report.html"
    page.write_text(to_html(full_report(arm, retrained, n_arms=8)), encoding="utf-8")
    wider = "table => table.scrollWidth > table.clientWidth"
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1100, "height": 900})
        tab.goto(page.as_uri())
        found = tab.evaluate(f"[...document.querySelectorAll('.wide')].filter({wider}).length")
        browser.close()
    assert found == 0
