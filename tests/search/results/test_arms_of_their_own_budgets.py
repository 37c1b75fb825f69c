"""Arms with budgets of their own: repeated searches, documented defaults, the exact map."""

from collections.abc import Iterator
from typing import Any

import pytest
from comparisons import SMALL, comparison, enqueue, enqueue_afresh, work_here

from tuner.compare import compare
from tuner.errors import InvalidInput
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import Store, open_store
from tuner.search.declared.files import parse
from tuner.search.declared.spaces import load_space, suggest
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.results.arms import arms

REPEATED: dict[str, Any] = {
    "arms": [
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter"},
        {"name": "exact", "space": "magnitude_exact"},
        {"name": "untuned", "space": "magnitude", "sampler": "defaults", "n_trials": 4},
        {"name": "old_tpe", "space": "magnitude", "sampler": "tpe", "n_trials": 3, "repeats": 2},
        {"name": "new_tpe", "space": "filter", "sampler": "tpe", "n_trials": 3, "repeats": 2},
    ],
    "verdict": {"primary": ["new", "old"], "repeated": ["new_tpe", "old_tpe"], "exact": "exact"},
}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = open_store(sqlite_url)
    yield store
    store.close()


def test_an_arm_may_have_a_budget_of_its_own():
    spec = comparison(**REPEATED)
    budgets = {study.study_name: study.n_trials for study in spec.studies()}
    assert budgets == {
        "small/old": 6,
        "small/new": 6,
        "small/exact": 6,
        "small/untuned": 4,
        "small/old_tpe/0": 3,
        "small/new_tpe/0": 3,
        "small/old_tpe/1": 3,
        "small/new_tpe/1": 3,
    }
    assert spec.n_searched == sum(budgets.values()) == 34


def test_what_an_arm_does_not_say_is_no_part_of_the_declaration():
    spec = comparison()
    arm = spec.model_dump()["arms"][0]
    assert "n_trials" not in arm and "repeats" not in arm
    assert ComparisonSpec.model_validate_json(spec.model_dump_json()) == spec
    longer = [arm | {"n_trials": 6} for arm in SMALL["arms"]]
    assert declaration_hash(comparison(arms=longer)) != declaration_hash(spec)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"repeated": ["new", "newer"]}, "verdict: arm 'newer' is unknown"),
        ({"repeated": ["new", "new"]}, "verdict.repeated: name two different arms"),
        (
            {"repeated": ["new_tpe", "untuned"]},
            r"verdict.repeated: both arms need the same repeats, got \[1, 2\]",
        ),
        (
            {"repeated": ["old", "untuned"]},
            r"verdict.repeated: both arms need the same n_trials, got \[6, 4\]",
        ),
        ({"exact": "old"}, "verdict.exact: must be a third arm, not 'old' again"),
        ({"k": 7}, "verdict.k: must be at most n_trials=6, got 7"),
        (
            {"control": "untuned", "k": 5},
            "verdict.k: must be at most n_trials=4, got 5",
        ),
    ],
)
def test_parts_that_do_not_fit_the_arms_are_refused(changes, words):
    verdict = {"primary": ["new", "old"]} | changes
    with pytest.raises(InvalidInput, match=words):
        parse(ComparisonSpec, SMALL | REPEATED | {"verdict": verdict}, "here")


def test_a_search_of_defaults_needs_a_space_that_has_them():
    space = {"rule": "filter_flip", "parameters": {"alpha": {"low": 0.1, "high": 0.2}}}
    with pytest.raises(InvalidInput, match=r"'defaults' needs a space that has \[defaults\]"):
        arm = {"name": "a", "space": space, "sampler": "defaults"}
        parse(ComparisonSpec, SMALL | {"arms": [arm]}, "here")


@pytest.mark.slow
def test_the_arm_of_defaults_tries_the_documented_setting_with_other_seeds(store):
    spec = comparison(**REPEATED)
    enqueue(store, spec)
    work_here(store)
    enqueue_afresh(store, spec)
    work_here(store)
    for study in ("small/untuned", "small/untuned/retrain"):
        trials = finished_trials(store, study)
        documented = load_space("magnitude").defaults | {"coupled": False}
        assert all(trial.user_attrs["run"]["settings"] == documented for trial in trials)
        assert len({trial.user_attrs["seed"] for trial in trials}) == len(trials) > 1


@pytest.mark.slow
def test_the_repeated_searches_are_held_against_each_other_only(store):
    spec = comparison(**REPEATED)
    enqueue(store, spec)
    work_here(store)
    found = compare(*arms(store, "small"))
    untuned = next(arm for arm in found.arms if arm.name == "untuned")
    assert untuned.ranges["weight_decay"] == "0.0001 (fixed)"
    pairs = [(contrast.first, contrast.second) for contrast in found.contrasts]
    expected = [("new", "old"), ("new", "exact"), ("new", "untuned"), ("new_tpe", "old_tpe")]
    assert pairs == expected
    repeats = found.contrasts[-1].repeats
    assert repeats is not None and repeats.n == 2
    assert found.verdict.repeated is not None
    assert "2 pairs of searches" in found.verdict.repeated
    assert "too few to rest anything on" in found.verdict.repeated
    assert any(note.startswith("Check: exact searches the old space") for note in found.notes)


def test_the_exact_map_visits_the_filters_of_the_filter_space():
    import optuna

    from tuner.optim.equivalence import describe

    new, exact = load_space("filter"), load_space("magnitude_exact")
    for seed in range(20):
        settings = []
        for space in (new, exact):
            study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
            settings.append(suggest(space, study.ask()))
        filters = [
            describe(space.rule, one, 1000)
            for space, one in zip((new, exact), settings, strict=True)
        ]
        assert filters[1].alpha == pytest.approx(filters[0].alpha, rel=1e-12)
        assert filters[1].gamma == pytest.approx(filters[0].gamma, rel=1e-12)
        assert settings[1]["learning_rate_decay"] == settings[0]["alpha_decay"]
        broken = {c.name for c in filters[1].conditions if not c.holds}
        assert broken <= {"alpha_not_inert"}
