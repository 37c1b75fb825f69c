"""Which independent searches select a setting, and which studies train those afresh."""

from typing import Any

import pytest
from comparisons import comparison

from tuner.search.declared.spec import ComparisonSpec, Selection
from tuner.search.declared.study_spec import StudySpec


def arm(**changes: Any) -> dict[str, Any]:
    return {"name": "new", "space": "filter", **changes}


def one_arm(n_trials: int = 7, **changes: Any) -> ComparisonSpec:
    """A comparison of one arm, k = 2."""
    return comparison(arms=[arm(**changes)], n_trials=n_trials, verdict={"k": 2})


def selections(spec: ComparisonSpec) -> list[Selection]:
    return spec.selections(spec.arms[0])


def test_random_trials_are_as_many_searches_of_k_as_they_fill():
    assert selections(one_arm(7)) == [
        Selection(0, range(2)),
        Selection(0, range(2, 4)),
        Selection(0, range(4, 6)),
    ]
    assert selections(one_arm(2)) == [Selection(0, range(2))]


def test_each_repeat_of_a_random_search_fills_searches_of_its_own():
    assert selections(one_arm(3, repeats=2)) == [
        Selection(0, range(2)),
        Selection(1, range(2)),
    ]


@pytest.mark.parametrize(
    "changes", [{"sampler": "tpe"}, {"pruner": "median"}, {"sampler": "tpe", "pruner": "asha"}]
)
def test_of_a_sampler_that_learns_or_a_pruner_each_repeat_is_one_search(changes):
    assert selections(one_arm(**changes)) == []
    assert selections(one_arm(repeats=3, **changes)) == [
        Selection(repeat, range(7)) for repeat in range(3)
    ]


def test_what_searches_nothing_or_is_not_trained_afresh_selects_nothing():
    assert selections(one_arm(sampler="defaults", repeats=2)) == []
    spec = comparison(retrain_seeds=0)
    assert [spec.selections(each) for each in spec.arms] == [[], []]
    assert [spec.afresh(each) for each in spec.arms] == [[], []]
    assert spec.n_afresh == 0


def test_an_arm_has_a_study_of_what_its_searches_selected_and_one_of_its_incumbent():
    spec = comparison(
        arms=[
            {"name": "old", "space": "magnitude"},
            arm(n_trials=5),
            arm(name="untuned", sampler="defaults"),
            arm(name="once", sampler="tpe"),
        ]
    )
    sizes = {study.study_name: study.n_trials for a in spec.arms for study in spec.afresh(a)}
    assert sizes == {
        "small/old/selected": 3,
        "small/old/retrain": 2,
        "small/new/selected": 2,
        "small/new/retrain": 2,
        "small/untuned/retrain": 2,
        "small/once/retrain": 2,
    }
    assert spec.n_afresh == sum(sizes.values())
    assert [study.study_name for study in spec.every_study()][-6:] == list(sizes)
    assert spec.selected(spec.arms[2]) is None


def test_what_is_trained_afresh_has_seeds_of_its_own_the_same_in_every_arm():
    spec = comparison()
    seeds = {
        study.study_name: [study.trial_seed(index) for index in range(50)]
        for study in spec.every_study()
    }
    for part in ("selected", "retrain"):
        assert seeds[f"small/old/{part}"] == seeds[f"small/new/{part}"]
    distinct = {
        seed
        for name in ("small/old", "small/old/selected", "small/old/retrain")
        for seed in seeds[name]
    }
    assert len(distinct) == 150


@pytest.mark.parametrize(("retrain", "part"), [(True, "retrain"), (False, "search")])
def test_a_study_that_version_0_1_wrote_down_is_read(retrain: bool, part: str):
    spec = comparison()
    study = spec.retraining(spec.arms[0]) if retrain else spec.studies()[0]
    written = study.model_dump(mode="json")
    assert written.pop("part") == part
    assert StudySpec.model_validate({**written, "retrain": retrain}) == study


def test_the_number_of_selections_is_known_without_listing_them():
    for changes in ({}, {"repeats": 3}, {"sampler": "tpe"}, {"sampler": "tpe", "repeats": 3}):
        spec = one_arm(**changes)
        assert spec.n_selections(spec.arms[0]) == len(selections(spec))
    absurd = one_arm(1_000_000, repeats=1_000_000)
    assert absurd.n_afresh == 2 + 1_000_000 * 500_000
