"""Where two declarations differ, as a refusal says it."""

from typing import Any

import pytest
from comparisons import SMALL, comparison

from tuner.search.declared.differences import differences
from tuner.search.declared.spec import ComparisonSpec

OLD, NEW = SMALL["arms"]
LOOKS = {"primary": ["new", "old"], "k": 2, "looks": [0.5]}


def told(there: ComparisonSpec, here: ComparisonSpec) -> list[str]:
    return differences(there.model_dump(mode="json"), here.model_dump(mode="json"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_trials": 7}, "n_trials 6 there, 7 here"),
        ({"workload": {"epochs": 3, "widths": [8, 8]}}, "workload.widths [] there, [8, 8] here"),
        ({"verdict": {"primary": ["old", "new"]}}, "verdict.primary ['new', 'old'] there, "
         "['old', 'new'] here"),
        ({"verdict": {"primary": ["new", "old"], "k": 2}}, "verdict.k not given there, 2 here"),
        ({"arms": [NEW, OLD]}, "arms ['old', 'new'] there, ['new', 'old'] here"),
        ({"arms": [OLD, NEW, NEW | {"name": "more"}]}, "arms ['old', 'new'] there, ['old', 'new', "
         "'more'] here"),
        ({"arms": [OLD, NEW | {"n_trials": 4}]}, "arms.new.n_trials not given there, 4 here"),
    ],
)  # fmt: skip
def test_a_field_that_differs_is_named_with_both_values(changes: dict[str, Any], words: str):
    assert told(comparison(), comparison(**changes)) == [words]


def test_what_is_declared_on_one_side_alone_is_not_given_on_the_other():
    there = comparison(n_trials=40, verdict=LOOKS)
    here = comparison(n_trials=40, verdict=LOOKS | {"looks": [0.5, 0.75], "stop": "when settled"})
    assert told(there, here) == [
        "verdict.looks [0.5] there, [0.5, 0.75] here",
        "verdict.stop not given there, 'when settled' here",
    ]
    assert told(here, there)[1] == "verdict.stop 'when settled' there, not given here"


def test_a_range_is_named_by_arm_and_hyperparameter():
    def arm(high: float) -> dict[str, Any]:
        alpha = {"low": 0.001, "high": high}
        return NEW | {"space": {"rule": "filter_flip", "parameters": {"alpha": alpha}}}

    there, here = (comparison(arms=[OLD, arm(high)]) for high in (0.1, 0.2))
    assert told(there, here) == ["arms.new.space.parameters.alpha.high 0.1 there, 0.2 here"]


def test_descriptions_may_differ_and_of_many_fields_the_first_are_named():
    assert told(comparison(), comparison(description="in other words")) == []
    here = comparison(n_trials=7, repeats=2, seed=3, retrain_seeds=4, workload={"epochs": 5})
    assert told(comparison(), here) == [
        "workload.epochs 3 there, 5 here",
        "n_trials 6 there, 7 here",
        "repeats 1 there, 2 here",
        "and 2 more",
    ]


def test_long_values_are_cut():
    long = comparison(workload={"epochs": 3, "widths": [16] * 50})
    (difference,) = told(comparison(), long)
    assert difference.endswith("... here") and len(difference) < 120
