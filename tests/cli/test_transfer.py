"""``tuner transfer``: what it prints, writes and refuses."""

import json
import math
import tomllib
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from tests.cli.commands import refused, tuner, write

pytestmark = pytest.mark.slow

MAPPING = """
steps = 20000
[settings]
learning_rate = {parameter = "log10_eta", scale = "log10"}
weight_decay = {parameter = "wd"}
momentum = 0.9
init_scale = 1e-30
"""


@pytest.fixture(autouse=True)
def _studies(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = optuna.create_study(storage="sqlite:///old.db", study_name="sgd", direction="maximize")
    kinds = {name: FloatDistribution(-10, 10) for name in ("log10_eta", "wd")}
    for decay in (1e-2, 1e-3, 1e-8):
        params = {"log10_eta": math.log10(0.1), "wd": decay}
        study.add_trial(create_trial(params=params, distributions=kinds, value=0.9))
    write(MAPPING, "mapping.toml")


CARRY = ("transfer", "old.db::sgd", "--to", "filter", "--mapping", "mapping.toml")


def test_what_is_carried_and_what_is_not_is_printed_with_the_reasons():
    shown = tuner(*CARRY)
    assert shown.exit_code == 0, shown.output
    text = " ".join(shown.stdout.split())
    assert "2 of 3 finished trials of sgd carried into filter, 2 of them exactly" in text
    assert "2 left out carried trial 2: alpha 1e-09 is outside the range" in text


def test_the_arm_that_is_written_is_one_of_a_study():
    assert tuner(*CARRY, "--arm", "warm.toml").exit_code == 0
    (arm,) = tomllib.loads(Path("warm.toml").read_text())["arms"]
    assert [trial["number"] for trial in arm["carried"]["trials"]] == [0, 1]
    assert arm["carried"]["minimized"] is False
    write(
        "n_trials = 4\nworkload = {dataset = 'digits', epochs = 2}\n"
        + Path("warm.toml").read_text()
        + "\n[[arms]]\nname = 'old'\nspace = 'magnitude'\n",
        "study.toml",
    )
    shown = tuner("workloads", "study.toml")
    assert shown.exit_code == 0, shown.output
    assert "8 trials in 2 arms" in shown.stdout


def test_the_study_that_is_made_holds_them_and_is_made_once():
    assert tuner(*CARRY, "--into", "warm.db::filter").exit_code == 0
    study = optuna.load_study(study_name="filter", storage="sqlite:///warm.db")
    assert [trial.params["alpha"] for trial in study.trials] == pytest.approx([1e-3, 1e-4])
    assert "there is a study 'filter' in warm.db; name another" in refused(
        *CARRY, "--into", "warm.db::filter"
    )


def test_of_two_objectives_one_is_to_be_named_by_its_option():
    two = optuna.create_study(
        storage="sqlite:///old.db", study_name="two", directions=["maximize", "minimize"]
    )
    params = {"learning_rate": 0.1, "weight_decay": 1e-2, "momentum": 0.9}
    kinds = dict.fromkeys(params, FloatDistribution(0, 1))
    two.add_trial(create_trial(params=params, distributions=kinds, values=[0.9, 3.0]))
    base = ("transfer", "old.db::two", "--to", "filter")
    assert "2 objectives (0, 1); choose one with --objective" in refused(*base)
    assert tuner(*base, "--objective", "1", "--arm", "warm.toml").exit_code == 0
    (arm,) = tomllib.loads(Path("warm.toml").read_text())["arms"]
    assert arm["carried"]["minimized"] is True
    assert [trial["value"] for trial in arm["carried"]["trials"]] == [3.0]


def test_all_of_it_is_there_for_programs():
    found = json.loads(tuner(*CARRY, "--json").stdout)
    assert [trial["weight"] for trial in found["carried"]] == [1.0, 1.0]
    assert found["left_out"][0]["number"] == 2


def test_bad_input_is_one_line_and_writes_nothing():
    write(MAPPING.replace('"wd"', '"decay"'), "wrong.toml")
    base = ("transfer", "old.db::sgd", "--to", "filter")
    assert "has no parameter 'decay' (it has log10_eta, wd)" in refused(
        *base, "--mapping", "wrong.toml", "--arm", "warm.toml"
    )
    assert "say by --mapping FILE what its parameters are" in refused(*base)
    assert "search space 'filtr' is unknown" in refused("transfer", "old.db::sgd", "--to", "filtr")
    assert "--weight: must be in (0, 1], got 0.0" in refused(*CARRY, "--weight", "0")
    assert "the folder nowhere does not exist" in refused(*CARRY, "--arm", "nowhere/warm.toml")
    assert "nothing.toml" in refused(*base, "--mapping", "nothing.toml")
