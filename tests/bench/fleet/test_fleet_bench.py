"""``tuner bench fleet``: real workers on a real PostgreSQL, whose training is a sleep."""

import json
from contextlib import closing
from dataclasses import replace
from multiprocessing import active_children

import pytest
from typer.testing import CliRunner

from tuner.bench.fleet import run
from tuner.bench.fleet.asks import asks
from tuner.bench.fleet.run import Row
from tuner.cli import fleet_bench
from tuner.cli.app import app
from tuner.search.database.finished import finished_trials
from tuner.search.database.store import open_store


def bench(*arguments, **environment):
    others = set(active_children())
    result = CliRunner(env={"TUNER_BENCH_POSTGRES": "", **environment}).invoke(
        app, ["bench", "fleet", *arguments]
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert set(active_children()) <= others
    return result


@pytest.mark.slow
def test_a_fleet_is_measured_on_the_database_that_it_works_on(
    empty_postgres_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(fleet_bench, "QUICK_FINISHED", (3, 10))
    shown = bench(
        *("--quick", "--workers", "3", "--training", "constant:0.2"),
        *("--json", str(tmp_path / "fleet.json")),
        TUNER_BENCH_POSTGRES=empty_postgres_url,
    )
    assert shown.exit_code == 0, shown.output
    results = json.loads((tmp_path / "fleet.json").read_text())
    (row,) = results["rows"]
    assert row["workers"] == 3 and row["wanted"] == pytest.approx(15)
    assert 0 < row["finished"] <= row["wanted"] and row["claimed"] > 0
    assert 0 < row["outside"] < 1
    assert row["connections"] >= 3 and row["database_cores"] > 0 and row["worker_cores"] > 0
    assert [ask["finished"] for ask in results["asks"]] == [3, 10]
    assert (row["reads"], row["reads_p95_ms"], results["batch"]) == (0, None, 1)
    assert "tpe thinks" in shown.output and "3        15" in shown.output
    assert "1 trial at a time" in shown.output
    again = bench("--quick", TUNER_BENCH_POSTGRES=empty_postgres_url)
    assert "its database must hold no comparison" in again.stderr


@pytest.mark.slow
def test_workers_train_batches_while_others_read_what_a_page_shows(
    empty_postgres_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(fleet_bench, "QUICK_FINISHED", (3,))
    shown = bench(
        *("--quick", "--workers", "2", "--training", "uniform:0.3,0.5"),
        *("--batch", "5", "--reads", "--json", str(tmp_path / "fleet.json")),
        TUNER_BENCH_POSTGRES=empty_postgres_url,
    )
    assert shown.exit_code == 0, shown.output
    assert "5 trials at a time" in shown.output
    results = json.loads((tmp_path / "fleet.json").read_text())
    (row,) = results["rows"]
    assert results["batch"] == 5 and row["wanted"] == pytest.approx(25)
    assert row["finished"] > row["claimed"] > 0
    assert row["reads"] > 0 and row["reads_p95_ms"] > 0
    with closing(open_store(empty_postgres_url)) as store:
        (spec,) = map(store.comparison, store.names())
        ran = [
            trial.user_attrs["run"]
            for study in spec.studies()
            for trial in finished_trials(store, study.study_name)
        ]
    assert {each["batch"] for each in ran} == {5} and len({each["worker"] for each in ran}) == 2


@pytest.mark.slow
def test_a_queue_that_was_empty_too_soon_gives_no_row(empty_postgres_url, monkeypatch):
    monkeypatch.setattr(run, "_MOST_A_SECOND", 0.1)
    shown = bench(
        *("--quick", "--workers", "2", "--training", "constant:0.2"),
        TUNER_BENCH_POSTGRES=empty_postgres_url,
    )
    assert shown.exit_code != 0
    assert "their queue was empty before" in shown.stderr


@pytest.mark.slow
def test_a_database_that_takes_no_more_connections_is_said(postgres):
    postgres.psql("create role few login connection limit 3; create database few owner few;")
    url = postgres.get_uri("few").replace("postgres:@", "few:@")
    try:
        shown = bench("--quick", "--workers", "4", TUNER_BENCH_POSTGRES=url)
        assert shown.exit_code != 0
        assert "of 4 did not start: database" in shown.stderr
        assert "too many connections" in shown.stderr
    finally:
        postgres.psql("drop database few with (force);")


def test_what_cannot_be_measured_is_refused_in_one_line(tmp_path):
    assert "set TUNER_BENCH_POSTGRES to" in bench().stderr
    database = f"sqlite:///{tmp_path}/tuner.db"
    assert "needs PostgreSQL" in bench(TUNER_BENCH_POSTGRES=database).stderr
    assert "got 'fast'" in bench("--training", "fast", TUNER_BENCH_POSTGRES=database).stderr
    assert "got 0" in bench("--workers", "0", TUNER_BENCH_POSTGRES=database).stderr
    assert bench("--batch", "0", TUNER_BENCH_POSTGRES=database).exit_code == 2
    assert "got ''" in bench("--training", "", TUNER_BENCH_POSTGRES=database).stderr
    assert "by itself" in bench("digits").stderr
    assert "leave --rounds out" in bench("--rounds", "3").stderr
    assert "add verdicts" in bench("--situation", "alike-20").stderr
    verdicts = CliRunner().invoke(app, ["bench", "verdicts", "--batch", "4"])
    assert "add fleet" in verdicts.stderr
    other = CliRunner().invoke(app, ["bench", "digits", "--workers", "3"])
    assert "add fleet" in other.stderr
    assert "add fleet" in CliRunner().invoke(app, ["bench", "digits", "--reads"]).stderr


def test_a_server_elsewhere_has_no_processors_that_were_seen():
    row = Row(128, 64.0, 60.0, 61.0, 0.02, 25, None, 0.5, None)
    assert "elsewhere" in fleet_bench._line(row)
    assert "0.25" in fleet_bench._line(replace(row, database_cores=0.25))
    assert fleet_bench._line(replace(row, reads=300, reads_p95_ms=41.6)).endswith("300      42")


def test_a_sampler_is_asked_after_each_number_of_trials():
    measured = asks((30, 12))
    assert [(ask.sampler, ask.finished) for ask in measured] == [("tpe", 12), ("tpe", 30)]
    assert all(ask.seconds > 0 for ask in measured)
