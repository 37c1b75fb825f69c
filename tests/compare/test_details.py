"""What lies behind a verdict reaches the JSON, the page, the sheets and the pictures."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from made_reports import Drawings
from matplotlib.figure import Figure

from tuner.compare import Arm, Comparison, Protocol, compare
from tuner.compare.comparison import detailed
from tuner.compare.figures.gallery import FIGURES
from tuner.compare.report.data import to_json
from tuner.compare.report.evidence_rows import importance_in_words, importance_rows
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.ranking import Importance, Ranking
from tuner.compare.trial_filters import TrialFilters

N = 60


def filters(seed: int, **given: object) -> TrialFilters:
    rng = np.random.default_rng(seed)
    nothing = np.full(N, np.nan)
    values = {
        "alpha": 10 ** rng.uniform(-5, -1, N),
        "gamma": 10 ** rng.uniform(-3, 0, N),
        "learning_rate": nothing,
        "weight_decay": nothing,
        "decay": ("constant",) * N,
        "violated": {"alpha_not_inert": rng.random(N) < 0.3},
        "flip_ratio_law": 10 ** rng.uniform(-4, -2, N),
        "flip_ratio_measured": 10 ** rng.uniform(-4, -2, N),
    }
    return TrialFilters(**values | given)


@pytest.fixture
def arms(arm, retrained) -> list[Arm]:
    rng = np.random.default_rng(0)
    share = Estimate(0.5, 0.4, 0.6)
    ranking = Ranking({"alpha": share, "gamma": share}, Estimate(2, 1, 2), 0.9, 0.05)
    importance = Importance(ranking, None, N, N)
    found = [
        arm(
            name,
            rng.beta(9, 2, N),
            retrained=retrained(0.9),
            epochs=np.full(N, 20.0),
            filters=filters(number),
            importance=importance,
        )
        for number, name in enumerate(("new", "old"))
    ]
    repeat = np.repeat(np.arange(10), 6)
    return [
        *found,
        *(
            arm(f"{name}_tpe", rng.beta(9, 2, N), sampler="tpe", repeat=repeat)
            for name in ("new", "old")
        ),
    ]


PROTOCOL = Protocol(repeated=("new_tpe", "old_tpe"), target=0.9, k=3)


@pytest.fixture
def comparison(arms) -> Comparison:
    return detailed(compare(arms, PROTOCOL), arms)


@pytest.mark.slow
def test_every_figure_of_the_report_is_drawn_and_lies_in_the_page(arms, arm):
    arms += [arm(name, np.random.default_rng(5).random(N)) for name in ("third", "fourth")]
    comparison = detailed(compare(arms, PROTOCOL), arms)
    drawn = Drawings(comparison)
    assert list(drawn) == list(FIGURES)
    assert all(isinstance(one, Figure) for one in drawn.values())
    page = to_html(comparison)
    assert page.count("<svg") == len(drawn)
    for heading in ("All arms", "Budgets", "As gradient filters", "Which hyperparameters matter"):
        assert f"<h2>{heading}</h2>" in page
    assert "hold 90% of the importance" in page and "2 of 2 [1, 2]" in page
    assert "because alpha is inert, too small to matter in the run" in page
    assert "best score - fresh validation" in page
    assert comparison.verdict.repeated in page and comparison.verdict.speedup in page


@pytest.mark.slow
def test_trials_without_a_real_filter_or_a_flip_have_no_picture_of_them(arm):
    nothing = np.full(N, np.nan)
    blind = filters(0, alpha=nothing, gamma=nothing, flip_ratio_measured=np.zeros(N))
    arms = [arm(name, np.random.default_rng(3).random(N), filters=blind) for name in "ab"]
    comparison = detailed(compare(arms, Protocol()), arms)
    assert not {"filters", "flip_ratio"} & set(Drawings(comparison))
    assert "100.0%" in to_html(comparison)  # none has a real filter
    still = filters(0, flip_ratio_measured=np.zeros(N))
    arms = [arm(name, np.random.default_rng(3).random(N), filters=still) for name in "ab"]
    assert "flip_ratio" not in Drawings(detailed(compare(arms, Protocol()), arms))


def _intro(page):
    after = page.split("<h2>As gradient filters</h2>")[1]
    return after.split("<p>")[1].split("</p>")[0].replace("&#39;", "'")


@pytest.mark.slow
def test_the_words_above_the_filters_name_the_rows_below_and_no_other(arm):
    rates = 10.0 ** np.random.default_rng(4).uniform(-3, 0, (2, N))
    full = filters(0, learning_rate=rates[0], weight_decay=rates[1])
    arms = [arm(name, np.random.default_rng(3).random(N), filters=full) for name in "ab"]
    assert _intro(to_html(detailed(compare(arms, Protocol()), arms))) == (
        "Every trial as the filter that it is: how many of them differ, how often a condition "
        "fails under which two parametrizations are the same, how well a trial's score is "
        "predicted by alpha and gamma together, alpha, learning rate, weight decay, or learning "
        "rate * weight decay (leave-one-out rank correlation), and how the measured flip ratio "
        "compares with the law's."
    )
    nothing = np.full(N, np.nan)
    bare = filters(0, flip_ratio_law=nothing)
    arms = [arm(name, np.random.default_rng(3).random(N), filters=bare) for name in "ab"]
    told = _intro(to_html(detailed(compare(arms, Protocol()), arms)))
    assert "alpha and gamma together or alpha (leave-one-out" in told
    assert "learning rate" not in told and "weight decay" not in told and "flip" not in told
    blind = filters(0, alpha=nothing, gamma=nothing, flip_ratio_law=nothing)
    arms = [arm(name, np.ones(N), filters=blind) for name in "ab"]
    told = _intro(to_html(detailed(compare(arms, Protocol()), arms)))
    assert "rank correlation" not in told and told.endswith(
        "how many of them differ and how often a condition fails under which two "
        "parametrizations are the same."
    )


def test_where_nothing_is_said_of_importance_the_page_says_why(arm):
    silent = Importance(None, "needs at least 60 finished trials, got 12", 12)
    partly = Importance(
        Ranking({"alpha": Estimate(1.0, 1.0, 1.0)}, Estimate(1, 1, 1), 0.9, 0.0),
        None,
        90,
        90,
        left_out={"gamma": "it is fixed: every trial has the same value"},
        notes=("1 of 91 trials has no hyperparameters and is left out.",),
    )
    assert importance_in_words({"new": silent, "old": partly}) == (
        "new: nothing is said: needs at least 60 finished trials, got 12. "
        "old: gamma is left out: it is fixed: every trial has the same value. "
        "old: 1 of 91 trials has no hyperparameters and is left out."
    )
    assert importance_rows([silent, partly])[:2] == [
        ("hold 90% of the importance", ["-", "1 of 1 [1, 1]"]),
        ("of the ranks' variance explained, out of bag", ["-", "90%"]),
    ]
    arms = [arm(name, np.random.default_rng(3).random(N), importance=silent) for name in "ab"]
    page = to_html(detailed(compare(arms, Protocol()), arms))
    assert "<h2>Which hyperparameters matter</h2>" in page
    assert "a: nothing is said: needs at least 60 finished trials, got 12." in page


@pytest.mark.slow
def test_without_details_the_page_has_one_figure_and_no_empty_headings(arms):
    page = to_html(compare(arms, Protocol()))
    assert page.count("<svg") == 1
    assert "As gradient filters" not in page and "Budgets" not in page


def test_the_json_has_every_arm_s_details_and_no_nan(comparison):
    found = json.loads(json.dumps(to_json(comparison), allow_nan=False))
    assert found["schema_version"] == 4
    assert [one["arm"] for one in found["details"]] == ["new", "old", "new_tpe", "old_tpe"]
    new, tpe = found["details"][0], found["details"][2]
    assert new["edf"]["share"][-1] == 1.0
    assert {curve["axis"] for curve in new["budgets"]} == {"trials", "epochs", "seconds"}
    assert new["redundancy"]["n"] == N and new["traces"] is None
    assert new["importance"]["ranking"]["shares"]["alpha"]["value"] == 0.5
    assert new["importance"]["method"] == "permutation in a random forest, out of bag"
    assert tpe["redundancy"] is None and tpe["traces"]["lengths"] == [6] * 10
    assert len(tpe["traces"]["median"]) == 6
    assert found["contrasts"][0]["speedups"]["epochs"]["value"] > 0


@pytest.mark.slow
def test_long_lists_are_thinned_in_the_json_with_both_ends_kept(arm):
    n = 3000
    arms = [arm(name, np.random.default_rng(s).random(n)) for s, name in enumerate("ab")]
    found = to_json(detailed(compare(arms, Protocol()), arms))
    scores = found["details"][0]["edf"]["scores"]
    assert len(scores) == 500
    assert scores[0] == arms[0].scores.min() and scores[-1] == arms[0].scores.max()


def test_the_sheets_hold_every_trial_and_every_number_of_the_tables(comparison, arms):
    found = {name: list(csv.DictReader(io.StringIO(t))) for name, t in sheets(comparison).items()}
    assert set(found) == {"arms", "contrasts", "curves", "trials"}
    trials = [row for row in found["trials"] if row["arm"] == "new"]
    assert [float(row["score"]) for row in trials] == arms[0].scores.tolist()
    assert [float(row["alpha"]) for row in trials] == arms[0].filters.alpha.tolist()
    assert {row["violated"] for row in trials} == {"true", "false"}
    assert len(found["trials"]) == 4 * N
    assert {row["repeat"] for row in found["trials"] if row["arm"] == "old_tpe"} == set(
        map(str, range(10))
    )
    fewer = next(
        row for row in found["contrasts"] if row["measure"] == "times fewer trials to target"
    )
    assert float(fewer["value"]) == comparison.contrasts[0].speedups["trials"].value
    assert {row["axis"] for row in found["curves"]} == {"trials", "epochs", "seconds"}


def numbers(data):
    """Every number below some JSON, trees and lists included."""
    if isinstance(data, dict):
        return {x for value in data.values() for x in numbers(value)}
    if isinstance(data, list):
        return {x for value in data for x in numbers(value)}
    return {data} if isinstance(data, int | float) and not isinstance(data, bool) else set()


def test_every_number_of_the_tables_and_why_one_is_missing_is_in_a_sheet(comparison):
    told = to_json(comparison)
    found = {name: list(csv.DictReader(io.StringIO(t))) for name, t in sheets(comparison).items()}
    for name, left_out in (("arms", ("curve", "trace")), ("contrasts", ())):
        cells = {cell for row in found[name] for cell in row.values()}
        written = {float(cell) for cell in cells if cell.lstrip("-")[:1].isdigit()}
        for one in told[name]:
            kept = {key: value for key, value in one.items() if key not in left_out}
            if kept.get("retrained"):
                kept["retrained"] = {
                    key: kept["retrained"][key] for key in ("seeds", "val", "test")
                }
            for point in kept.get("best_of", []):
                point.pop("k")
            assert numbers(kept) <= written, numbers(kept) - written
    reasons = {
        speedup["reason"]
        for one in told["contrasts"]
        for speedup in (*one["speedups"].values(), (one["repeats"] or {}).get("speedup") or {})
        if speedup.get("reason")
    }
    assert reasons == {row["reason"] for row in found["contrasts"]} - {""}
    assert {row["sampler"] for row in found["arms"]} == {arm["sampler"] for arm in told["arms"]}


def test_unknown_values_are_empty_cells_and_what_no_arm_knows_has_no_column(arms):
    blind = [replace(arm, seconds=np.full(N, np.nan), epochs=None, filters=None) for arm in arms]
    for known, column in ((arms[1], ""), (blind[1], None)):
        pair = [blind[0], known]
        row = next(
            csv.DictReader(
                io.StringIO(sheets(detailed(compare(pair, Protocol()), pair))["trials"])
            )
        )
        assert row["seconds"] == ""
        assert row.get("epochs") == row.get("alpha") == column


def test_the_sheet_of_trials_has_a_column_for_each_hyperparameter(arms):
    settings = tuple({"lr": i / 10, "kind": "sgd"} for i in range(N))
    pair = [replace(arms[0], settings=settings), arms[1]]
    rows = list(
        csv.DictReader(io.StringIO(sheets(detailed(compare(pair, Protocol()), pair))["trials"]))
    )
    first, last = rows[1], rows[-1]
    assert (first["params_lr"], first["params_kind"]) == ("0.1", "sgd")
    assert last["arm"] == arms[1].name and last["params_lr"] == ""


def test_no_text_of_a_sheet_is_computed_by_a_spreadsheet(arms):
    settings = tuple({"=1+1": "@sum", "b": -1.5} for _ in range(N))
    pair = [replace(arms[0], name="=old", settings=settings), arms[1]]
    row = next(
        csv.DictReader(io.StringIO(sheets(detailed(compare(pair, Protocol()), pair))["trials"]))
    )
    assert row["arm"] == "'=old" and row["params_=1+1"] == "'@sum"
    assert row["params_b"] == "-1.5"


@pytest.mark.slow
def test_an_arm_that_searches_nothing_has_no_redundancy_and_is_not_in_the_pictures(arms):
    untuned = replace(arms[1], sampler="defaults")
    comparison = detailed(compare([arms[0], untuned], Protocol()), [arms[0], untuned])
    assert comparison.details[0].redundancy is not None
    assert comparison.details[1].redundancy is None
    titles = [axes.get_title("left") for axes in Drawings(comparison)["filters"].axes]
    assert "new" in titles and "old" not in titles
