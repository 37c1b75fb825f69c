import csv
import io
import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.storages import wandb_export
from tuner.search.foreign.storages.kinds import opened

PAGE = (
    '"Name","State","Notes","User","Tags","Created","Runtime","Sweep",'
    '"batch_size","lr","optimizer.name","epoch","train/loss","val_acc"\n'
    '"b","finished","-","ann","","2025-11-13T09:48:11.000Z","60","s1",'
    '"64","0.1","adam","9","0.5","0.75"\n'
    '"a","running","-","ann","","2025-11-13T08:00:00.000Z","30","s1",'
    '"32","0.2","sgd","4","0.9","0.25"\n'
    '"c","finished","-","ann","","2025-11-13T10:00:00.000Z","90","s2",'
    '"32","0.4","sgd","9","NaN",""\n'
)


def read(path: Path) -> dict[str, StudyRecord]:
    assert wandb_export.recognises(path)
    with opened(Address(str(path), None)) as studies:
        return dict(studies)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_each_sweep_is_a_study_with_its_runs_in_their_order(tmp_path):
    studies = read(written(tmp_path / "runs.csv", PAGE))
    assert set(studies) == {"s1", "s2"}
    first, second = studies["s1"].trials
    assert (first.number, first.state, first.values) == (0, TrialState.RUNNING, None)
    assert (second.number, second.state) == (1, TrialState.COMPLETE)
    assert studies["s1"].objectives == ("train/loss", "val_acc")
    assert second.values == [0.5, 0.75]
    assert second.params == {"batch_size": 64, "lr": 0.1, "optimizer.name": "adam"}
    assert second.datetime_start == datetime(2025, 11, 13, 9, 48, 11, tzinfo=UTC)
    assert second.datetime_complete == datetime(2025, 11, 13, 9, 49, 11, tzinfo=UTC)


def test_runs_of_no_sweep_are_a_study_of_their_own(tmp_path):
    studies = read(written(tmp_path / "runs.csv", PAGE.replace('"s2"', '""')))
    assert {name: len(each.trials) for name, each in studies.items()} == {"s1": 2, "runs": 1}


def test_what_was_taken_as_results_is_noted(tmp_path):
    record = read(written(tmp_path / "runs.csv", PAGE))["s1"]
    assert any("taken as results: train/loss, val_acc" in note for note in record.notes)
    assert any("ranges are not in it" in note for note in record.notes)


def test_a_run_that_lacks_one_of_several_results_has_nan_there(tmp_path):
    text = PAGE.replace('"NaN",""', '"0.5",""')
    record = read(written(tmp_path / "runs.csv", text.replace('"s2"', '"s1"')))["runs"]
    assert math.isnan(record.trials[2].values[1])


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        ("failed", TrialState.FAIL),
        ("crashed", TrialState.FAIL),
        ("killed", TrialState.FAIL),
        ("stopped", TrialState.PRUNED),
        ("Finished", TrialState.COMPLETE),
    ],
)
def test_states_are_those_of_optuna(tmp_path, state, wanted):
    text = f'"Name","State","Created","lr","val_loss"\n"a","{state}","2025-01-01","0.1","1"\n'
    assert read(written(tmp_path / "runs.csv", text))["runs"].trials[0].state == wanted


def test_results_of_any_name_are_those_after_the_alphabet_begins_anew(tmp_path):
    text = (
        '"Name","State","alpha","loss_fn","zeta","Best Loss","flips","val"\n'
        '"a","finished","1","mse","2","0.5","3","4"\n'
    )
    record = read(written(tmp_path / "runs.csv", text))["runs"]
    assert record.objectives == ("Best Loss", "flips", "val")
    assert record.trials[0].params == {"alpha": 1, "loss_fn": "mse", "zeta": 2}


def test_where_columns_were_moved_their_names_decide(tmp_path):
    text = (
        '"Name","seed","data","val_acc","lr","early_epoch","loss","train/f1"\n'
        '"a","1","x","0.5","0.1","3","mse","0.25"\n'
    )
    record = read(written(tmp_path / "runs.csv", text))["runs"]
    assert record.objectives == ("val_acc", "train/f1")
    assert record.trials[0].params == {
        "seed": 1,
        "data": "x",
        "lr": 0.1,
        "early_epoch": 3,
        "loss": "mse",
    }


def test_a_setting_that_was_moved_before_the_results_is_none_of_them(tmp_path):
    text = (
        '"Name","State","lr","wd","augment","epoch","val_f1"\n"a","finished","1","2","3","4","5"\n'
    )
    record = read(written(tmp_path / "runs.csv", text))["runs"]
    assert record.objectives == ("val_f1",)
    assert record.trials[0].params == {"lr": 1, "wd": 2, "augment": 3}


def test_a_frame_of_runs_is_known_by_what_wandb_logs(tmp_path):
    text = "lr,loss,_runtime,_step,_timestamp\n0.1,0.5,3,4,5\n"
    record = read(written(tmp_path / "runs.csv", text))["runs"]
    assert record.objectives == ("loss",)
    assert record.trials[0].params == {"lr": 0.1}


RUN = {
    "name": "a",
    "state": "finished",
    "created_at": "2025-01-01T00:00:00",
    "config": {"lr": 0.1, "model": {"width": 8}, "layers": [1, 2], "_wandb": {"v": 1}},
    "summary": {"loss": 0.5, "_step": 9, "_runtime": 3.5, "table": {"_type": "file", "size": 7}},
}


@pytest.mark.parametrize("text", [json.dumps(RUN) + "\n", json.dumps([RUN], indent=1)])
def test_runs_of_the_api_have_their_settings_and_results_apart(tmp_path, text):
    record = read(written(tmp_path / "runs.json", text))["runs"]
    assert record.objectives == ("loss",)
    assert record.trials[0].values == [0.5]
    assert record.trials[0].params == {"lr": 0.1, "model.width": 8, "layers": "[1, 2]"}


def test_settings_with_descriptions_are_their_values(tmp_path):
    run = {**RUN, "config": {"lr": {"value": 0.1, "desc": None}}}
    record = read(written(tmp_path / "runs.jsonl", json.dumps(run)))["runs"]
    assert record.trials[0].params == {"lr": 0.1}


def test_the_frame_of_wandbs_own_documentation_is_read(tmp_path):
    cells = io.StringIO()
    table = csv.writer(cells)
    table.writerow(["", "summary", "config", "name"])
    table.writerow([0, {"loss": float("nan"), "acc": float("-inf")}, {"lr": 0.1}, "a"])
    table.writerow([1, {"loss": 0.5, "acc": 1}, {"lr": 0.2, "on": True}, "b"])
    record = read(written(tmp_path / "project.csv", cells.getvalue()))["project"]
    assert record.objectives == ("loss", "acc")
    assert record.trials[0].values[1] == -math.inf
    assert record.trials[1].params == {"lr": 0.2, "on": True}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('"Name","State","loss"\n"a","done","1"\n', "line 2, column 'State': must be one of fini"),
        ('"Name","State","lr"\n"a","failed","1"\n', "none of its columns is known as a result"),
        ("summary,config\n{'a': 1},{b}\n", "line 2, column 'config': must be an object"),
    ],
)
def test_what_may_not_stand_in_a_table_is_refused_with_its_place(tmp_path, text, words):
    with pytest.raises(InvalidInput, match=words):
        read(written(tmp_path / "runs.csv", text))


@pytest.mark.parametrize("text", ["Name,Age\na,1\n", "x,state\n1,2\n", '{"config": 1}'])
def test_other_tables_are_none_of_wandbs(tmp_path, text):
    assert not wandb_export.recognises(written(tmp_path / "other", text))
