"""``tuner compare`` and the folder it writes, as a person meets them."""

import datetime
import json
import sys

import optuna
import pytest

from tests.cli.commands import refused, tuner
from tuner.cli.present import provenance


@pytest.mark.slow
def test_compare_takes_studies_that_other_software_made():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name, sign in (("old", 3.0), ("new", 1.0)):
        study = optuna.create_study(
            storage=f"sqlite:///{name}.db",
            study_name=name,
            sampler=optuna.samplers.RandomSampler(seed=1),
        )
        study.optimize(lambda t, sign=sign: sign * t.suggest_float("x", 0.1, 1), n_trials=60)
    studies = ("sqlite:///new.db::new", "sqlite:///old.db::old")
    result = tuner("compare", *studies, "--sampler", "random", "--target", "0.3", "--json", "-")
    report = json.loads(result.stdout)
    for name in ("old", "new"):
        assert f"report: importance of the hyperparameters of {name}\n" in result.stderr
    by_name = {arm["name"]: arm for arm in report["arms"]}
    # losses: reaching a target of 0.3 means staying below it
    assert by_name["new"]["target"]["hits"] > by_name["old"]["target"]["hits"] >= 0
    assert report["verdict"]["winner"] == "new"
    assert (report["contrasts"][0]["first"], report["contrasts"][0]["second"]) == ("new", "old")
    unknown = json.loads(tuner("compare", *studies, "--json", "-").stdout)
    assert unknown["arms"][0]["curve"] == []
    assert any("--sampler" in note for note in unknown["notes"])
    assert "The best so far by trial 6: 0." in unknown["verdict"]["text"]
    detail = report["details"][0]
    assert detail["redundancy"] is None
    assert "nobody recorded the sampler" in unknown["details"][0]["importance"]["reason"]
    assert detail["importance"]["ranking"]["shares"]["x"] == {
        "value": 1.0,
        "low": 1.0,
        "high": 1.0,
    }
    assert "must be maximize or minimize" in refused("compare", *studies, "--direction", "up")
    points = refused("compare", *studies, "--unit", "accuracy", "--rope", "0.3")
    assert "0.3 is ±30 points; for ±0.3 points give 0.003" in points
    optuna.create_study(storage="sqlite:///up.db", study_name="up", direction="maximize").optimize(
        lambda t: t.suggest_float("x", 0, 1), n_trials=3
    )
    assert "others maximize (up)" in refused("compare", studies[0], "sqlite:///up.db::up")
    turned = tuner("compare", *studies, "--direction", "maximize", "--json", "-").stdout
    assert (
        "new, old: the study says minimize; --direction maximize overrides it"
        in (json.loads(turned)["notes"])
    )


def test_a_report_shows_how_it_was_made_and_no_password(monkeypatch: pytest.MonkeyPatch):
    given = ["tuner", "compare", "postgresql://u:secret@host/db::a b", "c.db"]
    monkeypatch.setattr(sys, "argv", given)
    assert provenance()["Command"] == "tuner compare 'postgresql://u:***@host/db::a b' c.db"


def test_a_study_whose_trials_all_failed_is_refused_with_the_reason():
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    for name in ("bad", "worse"):
        study = optuna.create_study(storage="sqlite:///bad.db", study_name=name)
        study.optimize(lambda _: 1 / 0, n_trials=3, catch=ZeroDivisionError)
    told = refused("compare", "sqlite:///bad.db::bad", "sqlite:///bad.db::worse")
    assert "none of its 3 finished trials has a value: all failed" in told
    assert "run the study" not in told.replace("run the study again", "")


@pytest.mark.slow
def test_failed_trials_cannot_lift_a_study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    good = optuna.create_study(storage="sqlite:///a.db", study_name="good", direction="maximize")
    good.sampler = optuna.samplers.RandomSampler(seed=0)
    good.optimize(lambda t: t.suggest_float("x", 0.5, 0.9), n_trials=30)
    bad = optuna.create_study(storage="sqlite:///a.db", study_name="bad", direction="maximize")
    for state, value in [(optuna.trial.TrialState.FAIL, None)] * 29 + [
        (optuna.trial.TrialState.COMPLETE, 0.99)
    ]:
        bad.add_trial(optuna.trial.create_trial(state=state, value=value))
    studies = ("sqlite:///a.db::bad", "sqlite:///a.db::good")
    for unit in ("accuracy", "score"):
        result = tuner("compare", *studies, "--sampler", "random", "--unit", unit, "--json", "-")
        report = json.loads(result.stdout)
        assert report["contrasts"][0]["best_of_k"]["value"] < 0, unit
        assert report["verdict"]["winner"] != "bad"


@pytest.mark.slow
def test_equal_durations_of_other_software_are_no_batches():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    began = datetime.datetime(2026, 1, 1)
    for name, seconds in (("old", 2), ("new", 3)):
        study = optuna.create_study(
            storage="sqlite:///a.db", study_name=name, direction="maximize"
        )
        for index in range(20):
            trial = optuna.trial.create_trial(value=7 * index % 20 / 20)
            trial.datetime_start = began
            # every other trial of "new" is a second longer: batches of 10 against 20, were it ours
            longer = index % 2 if name == "new" else 0
            trial.datetime_complete = began + datetime.timedelta(seconds=seconds + longer)
            study.add_trial(trial)
    addresses = [f"sqlite:///a.db::{name}" for name in ("new", "old")]
    options = ("--sampler", "random", "--target", "0.5", "--json", "-")
    report = json.loads(tuner("compare", *addresses, *options).stdout)
    assert not any("trained together" in note for note in report["notes"])
    assert report["contrasts"][0]["speedups"]["seconds"]["value"] == pytest.approx(2 / 3.5)
