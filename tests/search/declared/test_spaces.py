import math

import optuna
import pytest
from optuna.trial import FixedTrial

from tuner.errors import InvalidInput
from tuner.rules import complete
from tuner.search.declared.files import parse
from tuner.search.declared.spaces import Range, Space, declared_spaces, load_space, suggest

ALPHA = {"low": 1e-3, "high": 1e-1, "log": True}


def space(**changes: object) -> Space:
    plain = {"name": "mine", "rule": "filter_flip", "parameters": {"alpha": ALPHA}}
    return parse(Space, plain | changes, "mine.toml")


@pytest.mark.parametrize("name", declared_spaces())
def test_every_suggestion_and_every_default_is_legal(name: str):
    declared = load_space(name)
    assert declared.name == name
    assert declared.description
    assert complete(declared.rule, declared.defaults)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(50):
        settings = suggest(declared, study.ask())
        assert complete(declared.rule, settings)
        assert set(settings) == set(declared.parameters) | set(declared.fixed)


@pytest.mark.parametrize("name", declared_spaces())
def test_the_documented_default_of_a_space_is_off_or_lies_in_its_ranges(name: str):
    declared = load_space(name)
    for parameter, value in declared.defaults.items():
        searched = declared.parameters.get(parameter)
        if isinstance(searched, Range) and value != 0:
            assert min(searched.ends) <= float(value) <= max(searched.ends)


def test_the_magnitude_space_searches_all_seven_hyperparameters():
    assert set(load_space("magnitude").parameters) == {
        "init_scale",
        "learning_rate",
        "learning_rate_decay",
        "clip",
        "scaling",
        "momentum",
        "weight_decay",
    }


def test_the_filter_space_searches_three():
    assert set(load_space("filter").parameters) == {"alpha", "gamma", "alpha_decay"}


def test_one_minus_momentum_has_the_prior_of_gamma():
    momentum = load_space("magnitude").distributions["one_minus_momentum"]
    assert momentum == load_space("filter").distributions["gamma"]


def test_a_complement_is_searched_as_one_minus_the_setting():
    narrow = space(
        rule="latent_sgd", parameters={"momentum": {"low": 0.1, "high": 0.5, "complement": True}}
    )
    assert suggest(narrow, FixedTrial({"one_minus_momentum": 0.25})) == {"momentum": 0.75}
    assert narrow.ranges == {"one_minus_momentum": "0.1 .. 0.5"}


def test_fixed_settings_go_into_every_trial():
    settings = suggest(space(fixed={"gamma": 0.5}), FixedTrial({"alpha": 0.01}))
    assert settings == {"alpha": 0.01, "gamma": 0.5}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"rule": "filterflip"},
            "rule 'filterflip' is unknown; did you mean 'filter_flip'",
        ),
        ({"parameters": {"alpah": ALPHA}}, "hyperparameter of filter_flip 'alpah' is unknown"),
        ({"parameters": {"alpha": {"low": 0.1, "high": 0.01}}}, "low must be below high, got"),
        ({"parameters": {"alpha": {"low": 0.1, "high": 0.1}}}, "low must be below high, got"),
        ({"parameters": {"alpha": {"low": 0.1, "high": 1.5}}}, r"alpha must be in .*, got 1\.5"),
        ({"parameters": {"alpha": {"low": 0.0, "high": 1.0}}}, r"alpha must be in .*, got 0\.0"),
        ({"parameters": {"alpha": {"low": math.nan, "high": 1.0}}}, "finite number, got nan"),
        (
            {"parameters": {"alpha": {"low": 0.0, "high": 1.0, "log": True}}},
            r"parameters\.alpha: low must be > 0 where log=true, got 0\.0",
        ),
        (
            {"parameters": {"alpha": {"low": 0.1}}},
            r"alpha\.high: this key is required",
        ),
        ({"parameters": {"alpha": ALPHA | {"lgo": True}}}, "key 'lgo' is unknown; did you mean"),
        ({"parameters": {}}, "parameters: .* at least 1 item"),
        ({"parameters": {"alpha_decay": {"choices": []}}}, "choices: .* at least 1 item"),
        (
            {"parameters": {"alpha_decay": {"choices": ["slow"]}}},
            "alpha_decay must be one of constant, linear, cosine, step, got 'slow'",
        ),
        ({"fixed": {"alpha": 0.1}}, r"alpha is both in \[fixed\] and in \[parameters\]"),
        (
            {"rule": "designed_filter", "parameters": {"memory": {"low": 0.5, "high": 9.0}}},
            "memory must be at least 1 step, got 0.5; a share of the run takes memory_unit",
        ),
        (
            {"rule": "designed_filter", "parameters": {"order": {"low": 1, "high": 5}}},
            "order must be a whole number from 1 to 4, got 5.0",
        ),
        (
            {"rule": "designed_filter", "parameters": {"order": {"low": 1, "high": 4}}},
            r"parameters.order is a whole number; add integer = true",
        ),
        ({"fixed": {"gamma": 2.0}}, r"gamma must be in .*, got 2\.0"),
        ({"defaults": {"gamma": 0.0}}, r"gamma must be in .*, got 0\.0"),
    ],
)
def test_a_bad_space_is_refused_in_one_line(changes: dict[str, object], words: str):
    with pytest.raises(InvalidInput, match=words) as refusal:
        space(**changes)
    assert str(refusal.value).startswith("mine.toml: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"low": 0.5}, "must be whole where integer=true, got 0.5 and 4.0"),
        ({"complement": True}, "a complement is of a share"),
        ({"low": 0, "log": True}, "low must be > 0"),
    ],
)
def test_a_range_of_whole_numbers_is_refused_where_it_is_none(changes, words: str):
    whole = {"low": 1, "high": 4, "integer": True}
    with pytest.raises(InvalidInput, match=words):
        space(rule="own", parameters={"n": whole | changes})


def test_a_space_without_an_update_rule_has_hyperparameters_of_any_name():
    parameters = {
        "depth": {"low": 1, "high": 100, "log": True, "integer": True},
        "rate": {"low": 0.0, "high": 1.0},
        "kind": {"choices": ["a", "b"]},
    }
    mine = space(rule="own", parameters=parameters, fixed={"width": 3})
    assert mine.middle == {"width": 3, "depth": 10, "rate": 0.5, "kind": "a"}
    settings = suggest(mine, FixedTrial({"depth": 7, "rate": 0.25, "kind": "b"}))
    assert settings == {"width": 3, "depth": 7, "rate": 0.25, "kind": "b"}
    with pytest.raises(InvalidInput, match="rate is both in"):
        space(rule="own", parameters=parameters, fixed={"rate": 3})


def test_what_existed_before_whole_numbers_is_declared_as_it_was():
    assert "integer" not in space().model_dump_json()
