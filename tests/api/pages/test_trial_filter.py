"""A trial's page draws what its filter makes of gradients."""

from dataclasses import asdict

import pytest
from comparisons import comparison, run
from documents import get
from light_trainer import LightTrainer

from tuner.api.pages.trial import filter_charts
from tuner.optim.equivalence import describe
from tuner.search.queue import control
from tuner.search.watch import views

TITLES = [
    "Share of an even gradient in s, by steps since it began",
    "What is left of an oscillation, by its period in steps",
]


class Describing(LightTrainer):
    """Says of each trial which filter it is, as ours does."""

    def describe(self, _workload, rule, settings, steps):
        return asdict(describe(rule, settings, steps))


@pytest.mark.slow
def test_the_page_of_a_trial_has_its_filters_curves(browser, store):
    control.submit(store, comparison())
    run(store, trainer=Describing("cpu"))
    for study, drawn in (("small/new", TITLES), ("small/old", TITLES)):
        (row, *_) = views.best_trials(store, study, 1)
        page = get(browser, f"/trials/{row.trial_id}")
        titles = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
        assert titles[-2:] == drawn
        assert "What its filter makes of gradients" in page.text


def test_the_curves_are_those_of_the_filter_recorded():
    recorded = asdict(describe("designed_filter", {"family": "bessel", "memory": 50.0}))
    answer, gain = filter_charts(recorded)
    assert [answer.title, gain.title] == TITLES
    assert answer.xs[0].label == "1" and gain.xs[0].label == "2"


@pytest.mark.parametrize(
    "written",
    [None, {}, {"sos": None}, {"sos": "x"}, {"sos": [[1, 2]]}, {"sos": [[1, 0, 0, 1, -2, 0]]}, 3],
)
def test_what_is_no_filter_has_no_curves(written):
    assert filter_charts(written) == ()
