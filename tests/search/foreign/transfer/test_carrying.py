"""Trials of latent-weight searches as filters: which are carried, how exactly, and which not."""

import math
from dataclasses import asdict
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from pydantic import ValidationError

from tuner.errors import InvalidInput, UnknownName
from tuner.optim.equivalence import decoupled_from_filter, describe
from tuner.optim.equivalence.maps import AlphaGamma
from tuner.search.declared.spaces import load_space
from tuner.search.declared.spec import ComparisonSpec
from tuner.search.foreign.record import StudyRecord, record_of
from tuner.search.foreign.transfer.carrying import transfer
from tuner.search.foreign.transfer.mapping import read_mapping
from tuner.search.foreign.transfer.warm_study import make_study

FILTER = load_space("filter")
WIDE = FloatDistribution(-1e6, 1e6)

MAPPING = """
steps = 20000
[settings]
learning_rate = {parameter = "log10_lr", scale = "log10"}
momentum = {parameter = "mom"}
weight_decay = {parameter = "wd"}
init_scale = 1e-30
"""


def study(*trials, direction="maximize", **given):
    """A study of trials (parameters, value)."""
    made = optuna.create_study(direction=direction, **given)
    for params, value in trials:
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
        made.add_trial(
            create_trial(
                params=params,
                distributions=dict.fromkeys(params, WIDE),
                value=value,
                state=state,
            )
        )
    return made


def sgd(alpha, gamma=0.1, rate=0.1):
    """Parameters of decoupled SGD that is this filter."""
    made = decoupled_from_filter(AlphaGamma(alpha, gamma))
    return {"log10_lr": math.log10(rate), "mom": made.momentum, "wd": made.product / rate}


@pytest.fixture
def mapping(tmp_path: Path):
    path = tmp_path / "mapping.toml"

    def made(text=MAPPING):
        path.write_text(text)
        return read_mapping(path)

    return made


def carry(record, *, least=0.5, **given):
    return transfer(record, FILTER, source="old", least=least, **given)


def test_a_foreign_trial_is_the_filter_that_its_learning_rate_and_weight_decay_make(mapping):
    record = record_of(study((sgd(1e-3), 0.9), (sgd(3e-2, gamma=0.5), 0.7)))
    found = carry(record, mapping=mapping())
    assert [(trial.number, trial.value, trial.weight) for trial in found.trials] == [
        (0, 0.9, 1.0),
        (1, 0.7, 1.0),
    ]
    for trial, (alpha, gamma) in zip(found.trials, ((1e-3, 0.1), (3e-2, 0.5)), strict=True):
        assert trial.settings["alpha"] == pytest.approx(alpha)
        assert trial.settings["gamma"] == pytest.approx(gamma)
        assert trial.settings["alpha_decay"] == "constant"
    assert not found.left_out and not found.reasons


def test_what_a_mapping_leaves_out_is_refused_where_the_rule_has_it_and_told_where_not(mapping):
    known = record_of(study(({**sgd(1e-2), "clip": 0.5}, 0.9)))
    with pytest.raises(InvalidInput, match=r"has clip, which latent_sgd has too.*--mapping FILE"):
        carry(known, mapping=mapping())
    foreign = record_of(study(({**sgd(1e-2), "dropout": 0.5}, 0.9)))
    found = carry(foreign, mapping=mapping())
    assert [trial.weight for trial in found.trials] == [0.5]
    assert found.reasons[0] == "what dropout did is not known: not in the mapping"


def test_names_like_ours_need_no_mapping_with_or_without_a_logarithm():
    plain = {"learning_rate": 0.1, "weight_decay": 0.01, "momentum": 0.9}
    written = {"log10_learning_rate": -1.0, "weight_decay": 0.01, "one_minus_momentum": 0.1}
    (one,), (other,) = (
        carry(record_of(study((params, 0.5)))).trials for params in (plain, written)
    )
    assert one.settings == pytest.approx(other.settings)
    assert one.settings["alpha"] == pytest.approx(1e-3)


def test_what_is_not_exactly_a_filter_is_named_with_the_reason(mapping):
    text = MAPPING + 'clip = {parameter = "clip"}\nscaling = {parameter = "scaling"}\n'
    made = study()
    for clip, scaling in ((math.inf, False), (1.0, False), (math.inf, True)):
        params = {**sgd(1e-2), "clip": min(clip, 1e300), "scaling": scaling}
        distributions = {**dict.fromkeys(params, FloatDistribution(-1e301, 1e301))}
        distributions["scaling"] = optuna.distributions.CategoricalDistribution((False, True))
        made.add_trial(create_trial(params=params, distributions=distributions, value=0.5))
    found = carry(record_of(made), mapping=mapping(text))
    weights = {trial.number: trial.weight for trial in found.trials}
    assert weights.get(1) == 0.5
    assert "clip" in found.reasons[1]
    (left_out,) = found.left_out
    assert left_out.number == 2
    assert left_out.reason.startswith("weight 0.25 is below 0.5: ")
    rough = carry(record_of(made), mapping=mapping(text), least=0.25)
    assert len(rough.trials) == 3 and not rough.left_out
    exact = carry(record_of(made), mapping=mapping(text), least=1.0)
    assert 1 in {each.number for each in exact.left_out}


def test_trials_that_cannot_be_carried_are_left_out_each_with_its_reason(mapping):
    record = record_of(
        study(
            (sgd(1e-7), 0.5),
            (sgd(1e-2), None),
            ({**sgd(1e-2), "wd": 100.0}, 0.5),
            ({**sgd(1e-2), "mom": 1.5}, 0.5),
            ({"log10_lr": 400.0, "mom": 0.0, "wd": 1.0}, 0.5),
            (sgd(1e-2), 0.6),
        )
    )
    found = carry(record, mapping=mapping())
    assert [trial.number for trial in found.trials] == [5]
    reasons = {each.number: each.reason for each in found.left_out}
    for number, words in (
        (0, "alpha 1e-07 is outside the range 1e-05 to 0.1 of space 'filter'"),
        (1, "it did not complete (fail)"),
        (2, "eta lambda = 10 is above 1"),
        (3, "latent_sgd.momentum must be in [0, 1)"),
        (4, "parameter log10_lr: 400 is no log10 of a number"),
    ):
        assert words in reasons[number]


def test_our_own_trials_are_the_filters_that_they_recorded():
    record = describe("bop", {"gamma": 0.02, "tau": 0.0}, 500)
    made = optuna.create_study(direction="maximize")
    for value in (0.4, 0.8):
        made.add_trial(
            create_trial(
                params={"gamma": 0.02},
                distributions={"gamma": WIDE},
                value=value,
                user_attrs={"run": {"filter": asdict(record)}},
            )
        )
    found = carry(record_of(made))
    assert [trial.settings for trial in found.trials] == [
        {"alpha": 0.02, "gamma": 1.0, "alpha_decay": "constant"}
    ] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MAPPING.replace('"wd"', '"decay"'), "study .* has no parameter 'decay' .it has log10_lr"),
        ("[settings]\nmomentum = 0.9\n", "needs learning_rate"),
        ("[settings]\nlearning_rate = {parameter = 3}\n", "parameter"),
        (MAPPING.replace('"log10"', '"log3"'), "scale"),
        ("steps = 0\n" + MAPPING.replace("steps = 20000\n", ""), "steps"),
    ],
)
def test_a_mapping_that_does_not_fit_is_one_clear_line(mapping, text, words):
    record = record_of(study((sgd(1e-3), 0.9)))
    with pytest.raises(InvalidInput, match=words) as error:
        carry(record, mapping=mapping(text))
    assert "\n" not in str(error.value)


def test_an_unknown_hyperparameter_in_a_mapping_gets_a_suggestion(mapping):
    with pytest.raises(InvalidInput, match="did you mean 'momentum'"):
        mapping(MAPPING.replace("momentum", "momentun"))


def test_studies_and_spaces_that_cannot_be_carried_are_refused(mapping):
    nameless = record_of(study(({"x": 1.0}, 0.5)))
    with pytest.raises(InvalidInput, match=r"no parameter learning_rate, .* --mapping FILE"):
        carry(nameless)
    two = StudyRecord("two", nameless.trials, directions=("maximize", "minimize"))
    with pytest.raises(InvalidInput, match=r"has 2 objectives .0, 1."):
        carry(two, mapping=mapping())
    with pytest.raises(InvalidInput, match="spaces of the rule filter_flip, and 'bop' is one of"):
        transfer(nameless, load_space("bop"), source="old", least=0.5)
    with pytest.raises(UnknownName):
        load_space("filters")
    none = carry(record_of(study((sgd(1e-7), 0.5))), mapping=mapping())
    with pytest.raises(InvalidInput, match=r"none of its 1 finished trial can be carried.*alpha"):
        assert none.carried


def test_a_study_of_optunas_is_made_whole_or_not_at_all(mapping, tmp_path):
    record = record_of(study((sgd(1e-3), 0.9), (sgd(1e-2), 0.7), direction="minimize"))
    found = carry(record, mapping=mapping())
    address = f"{tmp_path}/warm.db::filter"
    make_study(address, found)
    made = optuna.load_study(study_name="filter", storage=f"sqlite:///{tmp_path}/warm.db")
    assert made.best_value == 0.7
    assert made.user_attrs["carried"] == {"source": "old", "space": "filter"}
    assert [trial.user_attrs["carried"]["number"] for trial in made.trials] == [0, 1]
    assert made.trials[0].distributions == FILTER.distributions
    with pytest.raises(InvalidInput, match="there is a study 'filter' in"):
        make_study(address, found)
    with pytest.raises(InvalidInput, match="name the study to make"):
        make_study(f"{tmp_path}/warm.db", found)


def test_what_nobody_said_of_a_foreign_study_is_named_and_makes_it_inexact(mapping):
    record = record_of(study(({"lr": 0.1, "wd": 1e-2}, 0.9)))
    found = carry(record)
    assert [trial.weight for trial in found.trials] == [0.5]
    unsaid = "nobody said that it had momentum 0.0, coupled false: name them in --mapping FILE"
    assert found.reasons[0].startswith(unsaid)
    text = MAPPING.replace('"log10_lr", scale = "log10"', '"lr"').replace(
        '{parameter = "mom"}', "0.9"
    )
    (said,) = carry(record, mapping=mapping(text + "coupled = true\n")).trials
    assert said.settings["alpha"] > 9 * found.trials[0].settings["alpha"]


def with_optimizers():
    """A study that chose among optimizers, one of which has a momentum."""
    made = optuna.create_study(direction="maximize")
    for optimizer in ("sgd", "Adam", "mine"):
        params = {"optimizer": optimizer, "learning_rate": 0.1, "weight_decay": 1e-2}
        kinds = dict.fromkeys(("learning_rate", "weight_decay", "momentum"), WIDE)
        kinds["optimizer"] = optuna.distributions.CategoricalDistribution(("sgd", "Adam", "mine"))
        if optimizer == "sgd":
            params["momentum"] = 0.5
        kinds = {name: kinds[name] for name in params}
        made.add_trial(create_trial(params=params, distributions=kinds, value=0.5))
    return record_of(made)


def test_trials_of_another_optimizer_are_left_out_or_by_the_mapping_all_but_those_meant(mapping):
    found = carry(with_optimizers())
    assert [trial.number for trial in found.trials] == [0]
    assert {each.number: each.reason for each in found.left_out} == {
        1: "its optimizer is Adam, no SGD",
        2: "it has no parameter 'momentum'; say as `otherwise` in --mapping FILE what its "
        "momentum was",
    }
    settings = (
        'steps = 20000\n[settings]\nlearning_rate = {parameter = "learning_rate"}\n'
        'weight_decay = {parameter = "weight_decay"}\ninit_scale = 1e-30\n'
        'momentum = {parameter = "momentum", otherwise = 0.9}\n'
    )
    for meant, gamma in (("sgd", 0.5), ("mine", 0.1)):
        chosen = carry(
            with_optimizers(), mapping=mapping(f'{settings}[only]\noptimizer = "{meant}"\n')
        )
        assert [trial.weight for trial in chosen.trials] == [1.0]
        assert chosen.trials[0].settings["gamma"] == pytest.approx(gamma)
        assert f"and the mapping is of {meant} only" in chosen.left_out[0].reason
    with pytest.raises(InvalidInput, match=r"has no parameter 'opt' .it has optimizer"):
        carry(with_optimizers(), mapping=mapping(settings + "[only]\nopt = 1\n"))


def test_of_several_objectives_the_values_of_one_are_carried_with_its_direction():
    made = optuna.create_study(directions=["maximize", "minimize"])
    names = ("learning_rate", "weight_decay", "momentum")
    params = dict(zip(names, (0.1, 1e-2, 0.5), strict=True))
    kinds = dict.fromkeys(names, WIDE)
    made.add_trial(create_trial(params=params, distributions=kinds, values=[0.9, 0.2]))
    record = record_of(made)
    for chosen, value, minimized in (("0", 0.9, False), ("1", 0.2, True)):
        carried = carry(record, objective=chosen).carried
        assert [trial.value for trial in carried.trials] == [value]
        assert carried.minimized is minimized
    with pytest.raises(InvalidInput, match=r"has 2 objectives .0, 1.; choose one with objective"):
        carry(record)
    with pytest.raises(UnknownName, match="objective"):
        carry(record, objective="2")


def test_trials_whose_lower_values_are_better_begin_no_search_for_higher_ones(mapping):
    record = record_of(study((sgd(1e-3), 0.3), direction="minimize"))
    carried = carry(record, mapping=mapping()).carried
    arm = {"name": "warm", "space": "filter", "sampler": "tpe", "carried": carried.model_dump()}
    spec = {"name": "a", "workload": {"metric": "loss"}, "arms": [arm], "n_trials": 2}
    spec |= {"retrain_seeds": 0, "verdict": {"rope": 0.1}}
    assert ComparisonSpec.model_validate(spec).arms[0].carried == carried
    spec["workload"] = {}
    with pytest.raises(ValidationError, match=r"'warm' begins from trials whose lower values are"):
        ComparisonSpec.model_validate(spec)
