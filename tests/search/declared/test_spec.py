import json
from pathlib import Path
from typing import get_args

import pytest
from comparisons import SMALL, comparison

from tuner.errors import InvalidInput, UnknownName
from tuner.search.declared.arm_spec import Pruner, Sampler, Searching
from tuner.search.declared.files import parse
from tuner.search.declared.samplers import PRUNERS, SAMPLERS
from tuner.search.declared.spec import ComparisonSpec, declaration_hash, declared, load
from tuner.search.declared.whole_trials import STORED

DECLARATION = """
n_trials = 20
[workload]
dataset = "digits"
epochs = 3
[[arms]]
name = "new"
space = "filter"
[[arms]]
name = "old"
space = "magnitude"
[verdict]
primary = ["new", "old"]
"""


@pytest.fixture
def written(tmp_path: Path):
    """Writes the declaration with one piece replaced; returns its path."""

    def write(before: str = "", after: str = "") -> str:
        path = tmp_path / "mine.toml"
        assert before in DECLARATION
        path.write_text(DECLARATION.replace(before, after, 1) if before else DECLARATION)
        return str(path)

    return write


def test_a_comparison_is_named_after_its_file_unless_it_says_a_name(written):
    assert load(written()).name == "mine"
    assert load(written("n_trials", 'name = "other"\nn_trials')).name == "other"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            "n_trials",
            "n_trails",
            "key 'n_trails' is unknown; did you mean 'n_trials'",
        ),
        (
            "epochs",
            "epoks",
            r"toml: workload: key 'epoks' is unknown; did you mean 'epochs'",
        ),
        ("space =", "spaces =", r"mine\.toml: arms\.0: key 'spaces' is unknown; did you mean"),
        ("n_trials = 20", "", r"mine\.toml: n_trials: this key is required"),
        ("= 20", "= 0", r"n_trials: input should be greater than or equal to 1, got 0"),
        ("= 20", "= -5", r"n_trials: input should be greater than or equal to 1, got -5"),
        ("= 20", "= true", r"n_trials: input should be a valid integer, got True"),
        ("= 20", "= 20.5", r"n_trials: input should be a valid integer, got 20.5"),
        ("epochs = 3", "epochs = 0", r"mine\.toml: workload\.epochs: must be >= 1, got 0"),
        ('"digits"', '"digit"', r"data set 'digit' is unknown; did you mean 'digits'"),
        ('"filter"', '"filtr"', r"arms\.0\.space: search space 'filtr' is unknown; did you mean"),
        ('"old"', '"new"', r"arms: every arm needs a name of its own, 'new' occurs twice"),
        ('"old"', '"a/b"', r"arms\.1\.name: string should match pattern .* got 'a/b'"),
        ('["new",', '["newer",', r"verdict: arm 'newer' is unknown; did you mean 'new'"),
        ('["new",', '["old",', r"verdict\.primary: name two different arms"),
        ("[verdict]", "[verdict]\nk = 21", r"verdict\.k: must be at most n_trials=20, got 21"),
        (
            "[verdict]",
            "[verdict]\ntarget = 97.0",
            r"verdict\.target: .*accuracy in \(0, 1\)",
        ),
        ("[verdict]", "[verdict]\ntarget = nan", r"verdict\.target: .* finite number, got nan"),
        ("[verdict]", "[verdict]\nrope = inf", r"verdict\.rope: .* finite number, got inf"),
        (
            "[verdict]",
            "[verdict]\nlooks = [0.75, 0.5]",
            r"verdict\.looks: must rise",
        ),
        (
            "[verdict]",
            "[verdict]\nlooks = [0.5, 1.0]",
            r"verdict\.looks\.1: .* 1, got 1\.0",
        ),
        (
            "[verdict]",
            "[verdict]\nlooks = []",
            r"verdict\.looks: must have at least 1 item, got \[\]$",
        ),
        (
            "[verdict]",
            "[verdict]\nk = 2\nlooks = [0.5]",
            r"verdict\.looks: 0\.5 of 10 searches is 5, too few to say anything; leave that ",
        ),
        (
            "[verdict]",
            '[verdict]\nstop = "when settled"',
            r"verdict\.stop: 'when settled' needs looks to stop at, such as looks = \[",
        ),
        ("[verdict]", '[verdict]\nstop = "soon"', r"verdict\.stop: .*'when settled'.*got 'soon'"),
        ('"filter"', '"filter"\nsampler = "bayes"', r"arms\.0\.sampler: .*'tpe'.*, got 'bayes'"),
        (
            '"filter"',
            '"filter"\nsampler = "gp"\npruner = "asha"',
            r"arms\.0: arm 'new': the sampler 'gp' learns from trials that ran to their end "
            "alone, and the pruner 'asha' leaves it few; use the sampler 'tpe', or the pruner "
            "'none'",
        ),
        ("[workload]", "[workload", r"mine\.toml: is not valid TOML: .*line"),
    ],
)
def test_a_mistake_is_one_line_with_file_field_rule_and_value(written, before, after, words):
    with pytest.raises(InvalidInput, match=words) as refusal:
        load(written(before, after))
    assert "\n" not in str(refusal.value)
    assert "mine.toml" in str(refusal.value)


def test_looks_need_something_that_is_trained_afresh():
    for changes in ({"retrain_seeds": 0}, {"arms": [{"name": "new", "space": "filter"}]}):
        verdict = {"looks": [0.5]}
        with pytest.raises(ValueError, match="there is nothing to look at before the end"):
            comparison(**{"n_trials": 60, "verdict": verdict} | changes)


def test_looks_are_numbers_of_searches_and_budgets_end_there():
    """The smaller primary arm has 13 searches of three trials; an arm beside runs in full."""
    arms = [
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter", "n_trials": 41},
        {"name": "other", "space": "filter"},
    ]
    verdict = {"primary": ["new", "old"], "k": 3, "looks": [0.8, 0.99], "stop": "when settled"}
    spec = comparison(arms=arms, n_trials=60, verdict=verdict)
    assert spec.looks == (11,)
    at_look, at_end = spec.budgets(11), spec.budgets()
    short = {name.removeprefix("small/"): n for name, n in at_look.items()}
    assert short == {
        "old": 33,
        "old/selected": 11,
        "old/retrain": 0,
        "new": 33,
        "new/selected": 11,
        "new/retrain": 0,
        "other": 60,
        "other/selected": 20,
        "other/retrain": 2,
    }
    assert at_end == {study.study_name: study.n_trials for study in spec.every_study()}
    assert spec.undecided(at_look) and not spec.undecided(at_end)
    assert [study.stages for study in spec.studies()] == [(33,), (33,), None]


def test_of_repeated_searches_those_up_to_a_look_are_whole():
    verdict = {"k": 4, "looks": [0.5], "stop": "when settled"}
    spec = comparison(n_trials=12, repeats=10, verdict=verdict)
    assert spec.looks == (15,)
    budgets = spec.budgets(15)
    assert [budgets[f"small/old/{repeat}"] for repeat in range(10)] == [12] * 5 + [0] * 5


def test_trials_before_and_after_a_look_never_train_together():
    verdict = {"k": 2, "looks": [0.5], "stop": "when settled"}
    study = comparison(n_trials=40, verdict=verdict).studies()[0]
    batches = [study.batch_at(position, 8) for position in range(40)]
    assert list(dict.fromkeys(batches)) == [
        *(range(8), range(8, 16), range(16, 20)),
        *(range(20, 28), range(28, 36), range(36, 40)),
    ]
    assert all(position in batch for position, batch in enumerate(batches))


def test_a_missing_file_a_folder_and_a_binary_file_are_refused(tmp_path: Path):
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        load(str(tmp_path / "missing.toml"))
    with pytest.raises(InvalidInput, match="cannot be read: Is a directory"):
        load(str(tmp_path))
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not UTF-8 text"):
        load(str(tmp_path / "b.toml"))


def test_an_unknown_declared_comparison_is_refused():
    with pytest.raises(UnknownName, match="comparison 'no_such_thing' is unknown"):
        load("no_such_thing")


def test_every_declared_comparison_can_be_loaded_by_name():
    for name in declared():
        assert load(name).name == name


def test_a_comparison_survives_json():
    spec = comparison(seed=7)
    assert parse(ComparisonSpec, json.loads(spec.model_dump_json()), "body") == spec


def test_the_hash_covers_ranges_and_the_question_but_not_descriptions():
    plain = declaration_hash(comparison())
    assert declaration_hash(comparison(description="in other words")) == plain
    assert declaration_hash(comparison(seed=1)) != plain
    assert declaration_hash(comparison(verdict={"primary": ["old", "new"]})) != plain
    wider = SMALL["arms"][0] | {
        "space": {
            "name": "filter",
            "rule": "filter_flip",
            "parameters": {"alpha": {"low": 1e-6, "high": 0.1, "log": True}},
        }
    }
    longer = wider | {"space": wider["space"] | {"description": "long"}}
    assert declaration_hash(comparison(arms=[wider, SMALL["arms"][1]])) != plain
    assert declaration_hash(comparison(arms=[wider, SMALL["arms"][1]])) == declaration_hash(
        comparison(arms=[longer, SMALL["arms"][1]])
    )


def test_trial_i_has_the_same_seed_in_every_arm_and_another_in_every_repeat():
    studies = comparison(repeats=2).studies()
    seeds = {(s.arm.name, s.repeat): [s.trial_seed(i) for i in range(50)] for s in studies}
    assert seeds["old", 0] == seeds["new", 0]
    assert not set(seeds["old", 0]) & set(seeds["old", 1])
    assert len(set(seeds["old", 0])) == 50


def test_the_arms_parameters_are_drawn_independently():
    old, new = comparison().studies()
    assert not {old.sampler_seed(i) for i in range(50)} & {new.sampler_seed(i) for i in range(50)}


def test_seeds_are_stable_across_versions_and_machines():
    study = comparison().studies()[0]
    assert study.trial_seed(0) == 8410113968918288
    assert study.sampler_seed(0) == 19220365


def test_no_retrained_trial_shares_its_seed_with_a_searched_one():
    spec = comparison(repeats=2)
    searched = {study.trial_seed(i) for study in spec.studies() for i in range(200)}
    assert not searched & {spec.retraining(spec.arms[0]).trial_seed(i) for i in range(200)}


def test_studies_are_named_after_comparison_arm_and_repeat():
    assert [study.study_name for study in comparison().studies()] == ["small/old", "small/new"]
    assert [study.study_name for study in comparison(repeats=2).studies()] == [
        "small/old/0",
        "small/new/0",
        "small/old/1",
        "small/new/1",
    ]


def test_the_budget_of_the_endpoint_is_a_twentieth_of_the_trials_or_as_declared():
    assert comparison(n_trials=200).k == 10
    assert comparison(n_trials=6).k == 2
    assert comparison(n_trials=1).k == 1
    assert comparison(n_trials=6, verdict={"k": 3}).k == 3


@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("pruner", get_args(Pruner))
def test_a_pruner_goes_with_every_sampler_but_those_that_it_keeps_from_learning(
    sampler: str, pruner: str
):
    arms = [{"name": "new", "space": "filter", "sampler": sampler, "pruner": pruner}]
    if sampler in ("cmaes", "gp") and pruner != "none":
        with pytest.raises(ValueError, match="use the sampler 'tpe', or the pruner 'none'"):
            comparison(arms=arms, verdict={})
        stored = ComparisonSpec.model_validate(
            SMALL | {"arms": arms, "verdict": {}}, context=STORED
        )
        assert stored.arms[0].pruner == pruner
    else:
        assert comparison(arms=arms, verdict={}).arms[0].pruner == pruner


def test_every_sampler_and_pruner_that_may_be_declared_can_be_made():
    assert set(SAMPLERS) == set(get_args(Searching))
    assert set(PRUNERS) == set(get_args(Pruner))
