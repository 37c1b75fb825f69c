"""Searches that begin from trials of another study: declared, asked, and told of."""

import json

import optuna
import pytest
from comparisons import SMALL, comparison
from optuna.study import Study
from optuna.trial import Trial, TrialState

from tuner.errors import InvalidInput
from tuner.search.declared.carried import CarriedTrial, past_of
from tuner.search.declared.files import parse
from tuner.search.declared.samplers import make_sampler
from tuner.search.declared.spaces import load_space, suggest
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.with_past import with_past

FILTER = load_space("filter")


def trials(n=30, alpha=1e-2):
    """Carried trials, the better the nearer to alpha."""
    found = []
    for number in range(n):
        factor = 10 ** ((number - n / 2) / n * 2)
        settings = {"alpha": alpha * factor, "gamma": 0.1, "alpha_decay": "cosine"}
        value = 1 - abs(number - n / 2) / n
        found.append({"number": number, "settings": settings, "value": value, "weight": 1.0})
    return found


def carried(**changes):
    return {"source": "old.db::sgd", "trials": trials()} | changes


def warm(**changes):
    arm = {"name": "warm", "space": "filter", "sampler": "tpe", "carried": carried()}
    return comparison(arms=[arm | changes, {"name": "old", "space": "magnitude"}], verdict={})


def test_what_is_carried_is_declared_and_stays_what_it_is():
    spec = warm()
    (arm, _) = spec.arms
    assert arm.carried.exact == 30
    words = arm.carried.in_words("digits")
    assert words.startswith("30 trials carried from old.db::sgd, 30 of them exactl")
    again = ComparisonSpec.model_validate(json.loads(spec.model_dump_json()))
    assert again == spec
    assert declaration_hash(again) == declaration_hash(spec)
    assert "carried" not in comparison().model_dump_json()


def test_trials_of_another_workload_are_named_as_such_where_both_are_known():
    said = warm(carried=carried(workload="digits, 1 epoch")).arms[0].carried
    assert said.in_words("digits, 20 epochs").endswith(", which trained digits, 1 epoch")
    for alike in (said.in_words("digits, 1 epoch"), said.in_words(None)):
        assert "trained" not in alike


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "random"}, "the sampler 'random' takes no carried trials; use 'tpe' or 'gp'"),
        ({"sampler": "cmaes"}, "takes no carried trials"),
        ({"space": "bop"}, "carried trial 0: has no tau"),
        (
            {"carried": carried(trials=trials(alpha=1e-9))},
            r"alpha 1e-10 is outside the range 1e-05 to 0.1 of space 'filter'",
        ),
        ({"carried": carried(trials=[])}, "carried"),
        ({"carried": carried(trials=[trials()[0] | {"weight": 0.0}])}, "weight"),
    ],
)
def test_what_cannot_be_carried_is_refused(changes, words):
    if changes.get("space") == "bop":
        few = [trials()[0] | {"settings": {"gamma": 0.1}}]
        changes = changes | {"carried": carried(trials=few)}
    arm = {"name": "warm", "space": "filter", "sampler": "tpe", "carried": carried()} | changes
    with pytest.raises(InvalidInput, match=words):
        parse(ComparisonSpec, SMALL | {"arms": [arm], "verdict": {}}, "mine.toml")


def test_a_choice_that_the_space_has_not_is_refused():
    one = CarriedTrial(number=3, settings=trials()[0]["settings"] | {"alpha_decay": "no"}, value=1)
    with pytest.raises(InvalidInput, match="carried trial 3: alpha_decay 'no' is no choice"):
        one.in_space(FILTER)


def test_a_sampler_begins_from_what_was_carried_and_nothing_is_written():
    (arm, _) = warm().arms
    assert near_the_best(()) < 10 < near_the_best(past_of(arm.carried, arm.space))


def near_the_best(past):
    """How many of 20 trials are asked for near the alpha that was best among the carried."""
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, direction="maximize")
    asked = Study(study.study_name, with_past(storage, past))
    own = []
    for seed in range(20):
        trial_id = storage.create_new_trial(study._study_id)
        asked.sampler = make_sampler("tpe", seed)
        own.append(suggest(FILTER, Trial(asked, trial_id))["alpha"])
        storage.set_trial_state_values(trial_id, TrialState.COMPLETE, [0.0])
    assert [trial.number for trial in asked.trials] == list(range(len(past) + 20))
    assert [trial.number for trial in study.trials] == list(range(20))
    assert asked.get_trials(states=(TrialState.RUNNING,)) == []
    return sum(2e-3 < alpha < 5e-2 for alpha in own)
