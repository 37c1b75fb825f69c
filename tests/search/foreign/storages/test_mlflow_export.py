import math
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.storages.kinds import opened


def read(path: Path) -> dict[str, StudyRecord]:
    with opened(Address(str(path), None)) as studies:
        return dict(studies)


def write_run(
    experiment: Path,
    name: str,
    *,
    metrics: dict[str, str],
    status: str = "3",
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    stage: str = "active",
) -> None:
    run = experiment / name
    for kind, files in (("metrics", metrics), ("params", params or {}), ("tags", tags or {})):
        (run / kind).mkdir(parents=True)
        for file, text in files.items():
            (run / kind / file).parent.mkdir(exist_ok=True)
            (run / kind / file).write_text(text, encoding="utf-8")
    (run / "meta.yaml").write_text(
        f"run_id: {name}\nstatus: {status}\nlifecycle_stage: {stage}\n"
        "start_time: 1700000000000\nend_time: 1700000060000\nrun_name: 'a: b'\n",
        encoding="utf-8",
    )


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "mlruns" / "7"
    folder.mkdir(parents=True)
    (folder / "meta.yaml").write_text("name: 'my: study'\n", encoding="utf-8")
    return folder


def test_a_folder_has_a_study_for_each_experiment(experiment):
    steps = "1700000000000 0.9 0\n1700000050000 0.5 2\n1700000020000 0.7 1\n"
    write_run(experiment, "r1", metrics={"loss": steps}, params={"lr": "0.1", "opt": "adam"})
    write_run(experiment, "r2", metrics={"loss": "1700000000000 0.9 0\n"}, status="4")
    record = read(experiment.parent)["my: study"]
    first, second = record.trials
    assert (record.objectives, record.directions) == (("loss",), ())
    assert (first.state, first.values) == (TrialState.COMPLETE, [0.5])
    assert first.intermediate_values == {0: 0.9, 1: 0.7, 2: 0.5}
    assert first.params == {"lr": 0.1, "opt": "adam"}
    assert first.datetime_start == datetime.fromtimestamp(1700000000, UTC)
    assert first.datetime_complete == datetime.fromtimestamp(1700000060, UTC)
    assert (second.state, second.values) == (TrialState.FAIL, None)
    assert any("ranges are not in it" in note for note in record.notes)
    assert read(experiment)["my: study"].trials == record.trials


def test_a_metric_with_a_slash_in_its_name_is_in_a_folder(experiment):
    write_run(experiment, "r1", metrics={"val/loss": "1 NaN 0\n2 0.5 1\n"})
    assert read(experiment.parent)["my: study"].objectives == ("val/loss",)


def test_what_is_no_trial_is_left_out(experiment):
    metrics = {"loss": "1 0.5 0\n"}
    write_run(experiment, "parent", metrics={})
    write_run(experiment, "child", metrics=metrics, tags={"mlflow.parentRunId": "parent"})
    write_run(experiment, "deleted", metrics=metrics, stage="deleted")
    write_run(experiment, "torn", metrics=metrics)
    (experiment / "torn" / "meta.yaml").write_text("", encoding="utf-8")
    (experiment / "models" / "m-1").mkdir(parents=True)
    (experiment.parent / ".trash" / "1" / "r").mkdir(parents=True)
    record = read(experiment.parent)["my: study"]
    assert len(record.trials) == 1
    assert any("1 run is left out, such as torn: its" in note for note in record.notes)


def test_a_last_line_of_a_metric_that_was_cut_off_is_left_out(experiment):
    write_run(experiment, "r1", metrics={"loss": "1 0.5 0\n2 0.2"})
    record = read(experiment.parent)["my: study"]
    assert record.trials[0].values == [0.5]
    assert any("last lines of 1 metrics are cut off" in note for note in record.notes)


@pytest.mark.parametrize(
    ("metric", "status", "words"),
    [
        ("1 fast 0\n2 0.5 1\n", "3", "loss: line 1: must be a time, a value and a step"),
        ("1 0.5 0\n", "99", "status must be one of RUNNING.*got '99'"),
    ],
)
def test_what_may_not_stand_in_a_folder_is_refused_with_its_place(
    experiment, metric, status, words
):
    write_run(experiment, "r1", metrics={"loss": metric}, status=status)
    with pytest.raises(InvalidInput, match=words):
        read(experiment.parent)


TABLES = """
CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
CREATE TABLE runs (run_uuid TEXT, status TEXT, start_time BIGINT, end_time BIGINT,
    lifecycle_stage TEXT, experiment_id INTEGER);
CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT,
    is_nan BOOLEAN);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
INSERT INTO experiments VALUES (0, 'Default', 'active'), (1, 'mine', 'active'),
    (2, 'gone', 'deleted');
INSERT INTO runs VALUES ('parent', 'FINISHED', 1000, 9000, 'active', 1),
    ('b', 'FINISHED', 3000, 4000, 'active', 1), ('a', 'FINISHED', 2000, 4000, 'active', 1),
    ('x', 'FINISHED', 2000, 4000, 'deleted', 1), ('y', 'KILLED', 5000, NULL, 'active', 1),
    ('z', 'FINISHED', 2000, 4000, 'active', 2);
INSERT INTO metrics VALUES ('loss', 0.5, 10, 'a', 0, 0), ('loss', 0.25, 20, 'a', 1, 0),
    ('loss', 1.7976931348623157e308, 10, 'b', 0, 0), ('acc', 0, 10, 'b', 0, 1);
INSERT INTO params VALUES ('lr', '0.1', 'a'), ('lr', '0.2', 'b');
INSERT INTO tags VALUES ('mlflow.parentRunId', 'parent', 'a');
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)
    return path


def test_a_database_has_a_study_for_each_experiment(database):
    studies = read(database)
    assert set(studies) == {"mine"}
    first, second, killed = studies["mine"].trials
    assert studies["mine"].objectives == ("loss", "acc")
    assert first.values[0] == 0.25
    assert second.values[0] == math.inf
    assert math.isnan(second.values[1])
    assert (first.params, second.params) == ({"lr": 0.1}, {"lr": 0.2})
    assert killed.state == TrialState.FAIL


def test_an_address_of_a_database_of_mlflow_is_read_and_left_as_it_was(database):
    before = database.read_bytes()
    with opened(Address(f"sqlite:///{database}", None)) as studies:
        assert len(studies["mine"].trials) == 3
    assert database.read_bytes() == before
    assert list(database.parent.iterdir()) == [database]


def test_a_database_of_neither_is_still_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.db")) as connection:
        connection.executescript("CREATE TABLE runs (run_uuid TEXT)")
    with pytest.raises(DatabaseProblem, match="holds no Optuna studies"):
        read(tmp_path / "other.db")


SEARCHED = (
    "run_id,experiment_id,status,artifact_uri,start_time,end_time,metrics.loss,params.lr,"
    "tags.mlflow.parentRunId\n"
    "p,1,FINISHED,/x,2024-05-23 09:00:00.261000+00:00,2024-05-23 09:31:29.394000+00:00,,,\n"
    "b,1,FINISHED,/x,2024-05-23 09:31:23.261000+00:00,2024-05-23 09:31:29.394000+00:00,0.5,0.1,p\n"
    "a,1,RUNNING,/x,2024-05-23 09:20:00+00:00,,0.9,0.2,p\n"
)


def test_a_table_of_search_runs_is_read(tmp_path):
    (tmp_path / "found.csv").write_text(SEARCHED, encoding="utf-8")
    running, complete = read(tmp_path / "found.csv")["found"].trials
    assert (running.state, running.values) == (TrialState.RUNNING, None)
    assert (complete.values, complete.params) == ([0.5], {"lr": 0.1})
    assert complete.datetime_start.tzinfo is not None


def test_a_table_of_several_experiments_has_a_study_for_each(tmp_path):
    text = SEARCHED.replace("a,1,", "a,2,")
    (tmp_path / "found.csv").write_text(text, encoding="utf-8")
    assert set(read(tmp_path / "found.csv")) == {"1", "2"}


def test_a_table_of_the_page_is_parted_where_the_alphabet_begins_anew(tmp_path):
    text = (
        "Start Time,Duration,Run ID,Name,Source Type,Source Name,User,Status,lr,tol,accuracy,n\n"
        "2024-09-18 03:02:04,5.8min,r1,a,LOCAL,s,u,FINISHED,0.1,1,0.75,3\n"
    )
    (tmp_path / "runs.csv").write_text(text, encoding="utf-8")
    record = read(tmp_path / "runs.csv")["runs"]
    assert record.objectives == ("accuracy", "n")
    assert record.trials[0].params == {"lr": 0.1, "tol": 1}
    assert record.trials[0].datetime_start == datetime(2024, 9, 18, 3, 2, 4)
    assert any("taken as metrics: accuracy, n" in note for note in record.notes)


def test_a_search_whose_columns_were_renamed_is_parted_by_their_names(tmp_path):
    text = "run_id,experiment_id,status,lr,val_f1,depth,mlflow.user\nr,1,FINISHED,0.1,0.5,3,ann\n"
    (tmp_path / "runs.csv").write_text(text, encoding="utf-8")
    record = read(tmp_path / "runs.csv")["runs"]
    assert record.objectives == ("val_f1",)
    assert record.trials[0].params == {"lr": 0.1, "depth": 3}


def test_a_metric_that_is_no_number_is_refused_with_its_place(tmp_path):
    (tmp_path / "found.csv").write_text(SEARCHED.replace(",0.5,", ",fast,"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"line 3, column 'metrics.loss': must be a number"):
        read(tmp_path / "found.csv")


def of_optuna(number: int, **more: str) -> dict[str, str]:
    """The tags of a run that Optuna's MLflowCallback wrote (optuna-integration 4)."""
    return {
        "number": str(number),
        "direction": "MAXIMIZE",
        "state": "COMPLETE",
        "lr_distribution": "FloatDistribution(high=1.0, log=True, low=1e-05, step=None)",
        "opt_distribution": "CategoricalDistribution(choices=('adam', '5', None))",
        "n_distribution": "IntUniformDistribution(high=9, low=1, step=2)",
        **more,
    }


DRAWN = {"lr": "0.1", "opt": "5", "n": "3", "power": "2"}


def test_optunas_callback_says_number_direction_state_and_ranges(experiment):
    accuracy = {"accuracy": "1700000000000 0.9 0\n"}
    write_run(experiment, "a", metrics=accuracy, params=DRAWN, tags=of_optuna(1))
    write_run(
        experiment,
        "b",
        metrics=accuracy,
        params={**DRAWN, "opt": "None"},
        tags=of_optuna(0, state="TrialState.PRUNED"),
    )
    record = read(experiment.parent)["my: study"]
    assert record.directions == ("maximize",)
    assert record.ranges_known and not record.notes
    assert [trial.number for trial in record.trials] == [0, 1]
    assert [trial.state for trial in record.trials] == [TrialState.PRUNED, TrialState.COMPLETE]
    assert [trial.params["opt"] for trial in record.trials] == [None, "5"]
    last = record.trials[-1]
    assert last.params == {"lr": 0.1, "opt": "5", "n": 3}
    assert last.distributions["lr"] == FloatDistribution(1e-5, 1.0, log=True)
    assert last.distributions["n"] == IntDistribution(1, 9, step=2)


@pytest.mark.parametrize(
    ("tags", "params"),
    [
        ({"opt_distribution": "CategoricalDistribution(choices=('adam', '5..."}, DRAWN),
        ({}, {**DRAWN, "opt": "sgd"}),
        ({}, {"lr": "0.1"}),
    ],
)
def test_ranges_are_known_only_where_they_fit_every_parameter_of_every_run(
    experiment, tags, params
):
    accuracy = {"accuracy": "1700000000000 0.9 0\n"}
    write_run(experiment, "a", metrics=accuracy, params=DRAWN, tags=of_optuna(0))
    write_run(experiment, "b", metrics=accuracy, params=params, tags=of_optuna(1, **tags))
    record = read(experiment.parent)["my: study"]
    assert not record.ranges_known
    assert record.trials[0].params["opt"] == 5


def test_no_direction_is_taken_where_it_is_not_known_whose_it_is(experiment):
    both = {"loss": "1700000000000 0.9 0\n", "accuracy": "1700000000000 0.9 0\n"}
    write_run(experiment, "a", metrics=both, params=DRAWN, tags=of_optuna(0))
    assert read(experiment.parent)["my: study"].directions == ()
    write_run(
        experiment,
        "b",
        metrics=both,
        params=DRAWN,
        tags=of_optuna(0, direction="['MINIMIZE', 'MAXIMIZE']"),
    )
    record = read(experiment.parent)["my: study"]
    assert record.directions == ()
    assert [trial.number for trial in record.trials] == [0, 1]  # two studies in one experiment
