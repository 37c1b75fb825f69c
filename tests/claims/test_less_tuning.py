"""The claim of less tuning: what the intervals of a comparison say about it."""

import numpy as np
import pytest

from tuner.claims.claim import Means
from tuner.claims.kinds import load_claim
from tuner.claims.less_tuning import LessTuning, outcome_of
from tuner.compare import Arm, Protocol, Retrained, compare
from tuner.compare.arm import SelectedRuns
from tuner.search.declared.files import parse

SPREAD = np.linspace(-0.01, 0.01, 40)


def arm(name, level, *, test, spread=0.0002, chosen=True):
    """Forty trials around a level, thirteen searches' settings and an incumbent trained afresh."""
    scores = level + SPREAD
    again = test + spread * np.linspace(-1, 1, 30)
    none = np.zeros(40, dtype=bool)
    kept = Retrained({}, again, again)
    order = -1 if name == "filter" else 1
    fresh = scores[::3][:13][::order]
    runs = SelectedRuns(np.arange(13), fresh, fresh, 13) if chosen else None
    return Arm(name, scores, np.ones(40), none, none, "random", {}, kept, runs)


def outcome(filter_arm, magnitude_arm):
    return outcome_of(compare([filter_arm, magnitude_arm], Protocol(rope=0.003, k=3)))


@pytest.mark.parametrize(
    ("level", "verdict"), [(0.93, "holds"), (0.90, "not settled"), (0.85, "does not hold")]
)
def test_less_tuning_needs_the_whole_interval_above_minus_the_rope(level, verdict):
    found = outcome(arm("filter", level, test=0.95), arm("magnitude", 0.902, test=0.95))
    assert found.figures[0].verdict == verdict
    assert found.figures[1].verdict == "holds"
    assert found.figures[0].label == "settings selected, filter - magnitude"
    of_each = next(f for f in found.figures if f.label == "filter, settings selected")
    assert of_each.value == pytest.approx(level, abs=0.001) and of_each.verdict is None
    assert of_each.shown.endswith("%, median of 13 searches")


def test_less_tuning_is_not_settled_where_nothing_selected_was_trained_afresh():
    arms = (arm(name, 0.9, test=0.95, chosen=False) for name in ("filter", "magnitude"))
    found = outcome(*arms)
    assert (found.figures[0].value, found.figures[0].verdict) == (None, "not settled")
    assert found.verdict == "not settled"
    assert not any("settings selected" in figure.label for figure in found.figures[1:])


@pytest.mark.parametrize(
    ("test", "spread", "verdict"),
    [
        (0.951, 0.0002, "holds"),
        (0.951, 0.02, "not settled"),
        (0.96, 0.0002, "does not hold"),
        (0.94, 0.0002, "does not hold"),
    ],
)
def test_similar_accuracy_needs_the_whole_interval_inside_the_rope(test, spread, verdict):
    found = outcome(
        arm("filter", 0.93, test=test, spread=spread), arm("magnitude", 0.9, test=0.95)
    )
    assert found.figures[1].verdict == verdict
    assert found.verdict == verdict


def small_search() -> LessTuning:
    data = load_claim("less_tuning").model_dump(exclude_none=True)
    comparison = data["comparison"]
    workload = {**comparison["workload"], "widths": [16, 16], "epochs": 2, "n_train": 256}
    less = {"n_trials": 4, "retrain_seeds": 2, "workload": workload}
    return parse(LessTuning, {**data, "comparison": {**comparison, **less}}, "test")


@pytest.mark.slow
def test_a_real_search_is_run_and_found_again_in_the_database_given(tmp_path):
    address = f"sqlite:///{tmp_path}/claims.db"
    shares: list[float] = []
    claim = small_search()
    found = claim.check(Means(address, 1), shares.append)
    assert shares[-1] == 1.0 and shares == sorted(shares)
    assert [figure.verdict is None for figure in found.figures[:2]] == [False, False]
    assert any("incumbent on test" in figure.label for figure in found.figures)
    assert claim.check(Means(address, 1), shares.append) == found


def test_a_search_without_a_question_or_fresh_seeds_is_refused():
    data = load_claim("less_tuning").model_dump(exclude_none=True)
    data["comparison"]["retrain_seeds"] = 0
    with pytest.raises(ValueError, match="retrain_seeds of at least 2"):
        parse(LessTuning, data, "test")
