"""What the command makes of a comparison that has been run to its end."""

import json
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from tests.cli.commands import SPEC, refused, tuner, write
from tuner.cli.app import app
from tuner.search.database.store import open_store
from tuner.search.database.tables import comparisons, studies

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("finished")]


def test_run_compares_two_spaces_and_a_second_run_changes_nothing():
    report = json.loads(Path("a.json").read_text())
    assert [arm["n"] for arm in report["arms"]] == [8, 8]
    for arm in report["arms"]:
        assert [point["k"] for point in arm["curve"]] == list(range(1, 9))
        values = [point["value"] for point in arm["curve"]]
        assert values == sorted(values)
        assert values[-1] == pytest.approx(arm["best"])
        assert len(arm["retrained"]["test_scores"]) == 2
        assert (arm["selected"]["n"], arm["selected"]["planned"]) == (4, 4)
    assert report["verdict"]["text"] in " ".join(Path("a.html").read_text().split())
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")
    second = tuner("run", "mine.toml", "--json", "b.json")
    assert second.exit_code == 0
    assert json.loads(Path("b.json").read_text()) == report


def test_json_alone_is_on_standard_output():
    result = tuner("compare", "mine", "--json", "-")
    assert json.loads(result.stdout)["schema_version"] == 4
    status = json.loads(tuner("status", "--json").stdout)
    assert {arm["name"]: arm["done"] for arm in status["mine"]["arms"]} == {
        "filter": 8,
        "magnitude": 8,
    }
    assert "8/8" in tuner("status").output


def test_status_names_what_records_the_end_that_a_killed_run_did_not():
    store = open_store("sqlite:///tuner.db")
    with store.begin() as connection:  # as it is between the last trial and the end
        connection.execute(update(comparisons).values(status="active"))
        connection.execute(update(studies).values(status="active"))
    store.close()
    told = " ".join(tuner("status").output.split())
    assert "start one with" not in told
    assert "all trials have ended, only the end of the comparison is not recorded" in told
    assert "finish it with: tuner run and the file it is from" in told
    tuner("run", "mine.toml")
    assert "mine, complete" in tuner("status").output


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


def test_a_sampler_that_the_study_contradicts_is_noted_and_an_unknown_one_refused():
    addresses = [f"sqlite:///tuner.db::mine/{arm}" for arm in ("filter", "magnitude")]
    notes = {
        sampler: json.loads(
            tuner("compare", *addresses, "--sampler", sampler, "--json", "-").stdout
        )["notes"]
        for sampler in ("tpe", "random")
    }
    told = "mine/filter, mine/magnitude: the study says random; --sampler tpe overrides it"
    assert told in notes["tpe"] and told not in notes["random"]
    unknown = refused("compare", *addresses, "--sampler", "rnadom")
    assert "'rnadom' is unknown; did you mean 'random'" in unknown


def test_studies_of_different_workloads_are_not_compared():
    short = SPEC.replace("n_trials = 8", "n_trials = 2").replace("seeds = 2", "seeds = 0")
    write(short.replace("epochs = 2", "epochs = 3"), "other.toml")
    assert tuner("run", "other.toml").exit_code == 0
    addresses = [f"sqlite:///tuner.db::{name}/filter" for name in ("mine", "other")]
    told = refused("compare", *addresses, "--unit", "accuracy")
    assert "trained different workloads (epochs: 2 and 3)" in told
