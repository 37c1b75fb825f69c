"""``tuner compare`` and the folder it writes, as a person meets them."""

import datetime
import json
from pathlib import Path

import optuna
import pytest
from typer.testing import CliRunner

from tests.cli.commands import SPEC, refused, tuner, write
from tuner.cli.app import app


@pytest.mark.slow
@pytest.mark.usefixtures("finished")
def test_a_folder_holds_report_data_sheets_and_every_figure():
    made = {path.name for path in Path("all").iterdir()}
    figures = {"tuning_curves", "budgets", "distribution", "filters", "flip_ratio"}
    assert made == {
        *("report.html", "report.json", "arms.csv", "contrasts.csv", "curves.csv", "trials.csv"),
        *(f"{name}.{kind}" for name in figures for kind in ("png", "svg")),
    }
    report = json.loads(Path("all/report.json").read_text())
    assert [one["arm"] for one in report["details"]] == ["filter", "magnitude"]
    why = report["details"][0]["importance"]["reason"]
    assert "needs at least 60 finished trials, got 8" in why
    assert len(Path("all/trials.csv").read_text().splitlines()) == 1 + 16
    Path("all/importance.png").touch()
    Path("all/repeated_searches.svg").touch()
    for own in ("notes.csv", "filters.pdf"):
        Path("all", own).write_text("mine")
    before = {path: path.read_bytes() for path in Path("all").iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tuner.cli.comparing.pictures", lambda _: 1 / 0)
        assert isinstance(
            CliRunner().invoke(app, ["compare", "mine", "--folder", "all"]).exception,
            ZeroDivisionError,
        )
    assert "no-such" in refused("compare", "no-such", "--folder", "all")
    assert {path: path.read_bytes() for path in Path("all").iterdir()} == before
    result = tuner("compare", "mine", "--folder", "all")
    assert result.exit_code == 0
    assert (
        "report: importance of the hyperparameters of filter\n"
        "report: importance of the hyperparameters of magnitude\n"
        "report: comparing the arms\n\n"
    ) in result.output
    left = {path.name for path in Path("all").iterdir()}
    assert left == made | {"notes.csv", "filters.pdf"}
    Path("file").touch()
    assert "--folder: file cannot be written to" in refused("compare", "mine", "--folder", "file")


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
    assert any("recorded no gradient filter" in note for note in unknown["notes"])
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
    assert "others maximize" in refused("compare", studies[0], "sqlite:///up.db::up")
    turned = tuner("compare", *studies, "--direction", "maximize", "--json", "-").stdout
    assert (
        "old: the study says minimize; --direction maximize overrides it"
        in (json.loads(turned)["notes"])
    )


@pytest.mark.slow
@pytest.mark.usefixtures("finished")
def test_a_sampler_that_the_study_contradicts_is_noted():
    addresses = [f"sqlite:///tuner.db::mine/{arm}" for arm in ("filter", "magnitude")]
    notes = {
        sampler: json.loads(
            tuner("compare", *addresses, "--sampler", sampler, "--json", "-").stdout
        )["notes"]
        for sampler in ("tpe", "random")
    }
    told = "mine/filter: the study says random; --sampler tpe overrides it"
    assert told in notes["tpe"] and told not in notes["random"]


def test_a_study_whose_trials_all_failed_is_refused_with_the_reason():
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    study = optuna.create_study(storage="sqlite:///bad.db", study_name="bad")
    study.optimize(lambda _: 1 / 0, n_trials=3, catch=ZeroDivisionError)
    told = refused("compare", "sqlite:///bad.db::bad", "sqlite:///bad.db::bad")
    assert "none of its 3 finished trials has a value: all failed" in told
    assert "run the study" not in told.replace("run the study again", "")


@pytest.mark.slow
@pytest.mark.usefixtures("finished")
def test_studies_of_different_workloads_are_not_compared():
    short = SPEC.replace("n_trials = 8", "n_trials = 2").replace("seeds = 2", "seeds = 0")
    write(short.replace("epochs = 2", "epochs = 3"), "other.toml")
    assert tuner("run", "other.toml").exit_code == 0
    addresses = [f"sqlite:///tuner.db::{name}/filter" for name in ("mine", "other")]
    told = refused("compare", *addresses, "--unit", "accuracy")
    assert "trained different workloads (epochs: 2 and 3)" in told


@pytest.mark.slow
def test_failed_trials_cannot_lift_a_study():
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    good = optuna.create_study(storage="sqlite:///a.db", study_name="good", direction="maximize")
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
            trial = optuna.trial.create_trial(value=index / 20)
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
