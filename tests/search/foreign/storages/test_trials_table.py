import bz2
import csv
import gzip
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.arm import Reading, arm_of
from tuner.search.foreign.record import StudyRecord, record_of
from tuner.search.foreign.storages import trials_table
from tuner.search.foreign.storages.kinds import opened

FRAME = (
    "number,value,datetime_start,datetime_complete,duration,params_c,params_lr,params_n,"
    "user_attrs_note,state\n"
    "1,,2022-03-10 11:54:47.313529,2022-03-10 12:16:39.660893,0 days 00:21:52,b,0.1,,,FAIL\n"
    '0,0.5,2022-03-10 11:50:00,2022-03-10 11:51:00,0 days 00:01:00,"a,1",0.25,3,hello,COMPLETE\n'
    "2,0.25,2022-03-10 12:20:00,,,True,0.5,8,,PRUNED\n"
)


def read(path: Path) -> StudyRecord:
    assert trials_table.recognises(path)
    with opened(Address(str(path), None)) as studies:
        (record,) = studies.values()
    return record


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_trials_dataframe_gives_the_trials_by_number(tmp_path):
    record = read(written(tmp_path / "my.trials.csv", FRAME))
    assert record.name == "my"
    assert (record.objectives, record.directions) == ((), ())
    assert [trial.number for trial in record.trials] == [0, 1, 2]
    states = [TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED]
    assert [trial.state for trial in record.trials] == states
    assert [trial.values for trial in record.trials] == [[0.5], None, [0.25]]
    first = record.trials[0]
    assert first.params == {"c": "a,1", "lr": 0.25, "n": 3}
    assert first.datetime_start == datetime(2022, 3, 10, 11, 50)
    assert first.datetime_complete == datetime(2022, 3, 10, 11, 51)


@pytest.mark.parametrize(
    "limits", ["[0.25, -1.0]", "(0.25, -1.0)", "[np.float64(0.25), np.float64(-1.0)]"]
)
def test_what_optuna_wrote_of_trials_is_read(tmp_path, limits):
    text = (
        "number,value,params_x,system_attrs_constraints,system_attrs_fixed_params,"
        "system_attrs_nsga2:generation,state\n"
        f'0,0.5,0.1,"{limits}","{{\'x\': 0.1}}",3,COMPLETE\n'
        '1,0.25,0.2,"[-0.5, -1.0]",,,COMPLETE\n'
    )
    first, second = read(written(tmp_path / "t.csv", text)).trials
    assert first.system_attrs == {
        "constraints": [0.25, -1.0],
        "fixed_params": {"x": 0.1},
        "nsga2:generation": 3,
    }
    assert second.system_attrs == {"constraints": [-0.5, -1.0]}


def test_a_table_is_compared_as_its_study_is(tmp_path):
    sampler = RandomSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({"x": 0.99, "y": 0.0})

    def objective(trial: optuna.Trial) -> float:
        x, y = (trial.suggest_float(name, 0, 1) for name in ("x", "y"))
        trial.set_constraint("half", x - 0.5)
        return x - y / 10

    study.optimize(objective, n_trials=40)
    path = tmp_path / "t.csv"
    wrote = ("constraints:half", "fixed_params")
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        titles = (f"system_attrs_{name}" for name in wrote)
        rows.writerow(("number", "value", "params_x", "params_y", *titles, "state"))
        for trial in study.trials:
            known = (trial.system_attrs.get(name, "") for name in wrote)
            numbers = (trial.number, trial.value, *trial.params.values())
            rows.writerow((*numbers, *known, trial.state.name))
    reading = Reading(sampler="random", direction="maximize")
    table, stored = (
        arm_of(record, name="a", reading=reading) for record in (read(path), record_of(study))
    )
    assert 0 < stored.without.sum() < len(stored.without) == 39
    assert np.array_equal(table.arm.scores, stored.arm.scores)
    assert {note for note in stored.notes if "a: " in note} <= set(table.notes)


def test_ranges_are_of_the_values_seen_and_a_note_says_so(tmp_path):
    record = read(written(tmp_path / "t.csv", FRAME))
    assert record.trials[0].distributions == {
        "c": CategoricalDistribution(("a,1", "b", True)),
        "lr": FloatDistribution(0.1, 0.5),
        "n": IntDistribution(3, 8),
    }
    assert set(record.trials[1].distributions) == {"c", "lr"}
    assert any("ranges are not in it" in note for note in record.notes)


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_other_separators_and_a_mark_of_the_byte_order_are_read(tmp_path, separator):
    plain = FRAME.replace('"a,1"', "a").replace(",", separator)
    record = read(written(tmp_path / "t.csv", "\ufeff" + plain))
    assert record.trials[0].values == [0.5]


def test_a_decimal_comma_is_one_where_semicolons_part_cells(tmp_path):
    text = "number;value;params_lr;state\n0;0,5;0,25;COMPLETE\n"
    trial = read(written(tmp_path / "t.csv", text)).trials[0]
    assert (trial.values, trial.params) == ([0.5], {"lr": 0.25})


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_packed_tables_are_read(tmp_path, pack):
    (tmp_path / "t.csv.packed").write_bytes(pack(FRAME.encode()))
    assert len(read(tmp_path / "t.csv.packed").trials) == 3


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    text = "number,value,datetime_start,state\r\n0,1,2020/10/25 9:05,COMPLETE\r\n"
    (tmp_path / "t.csv").write_bytes(text.encode("utf-16"))
    assert read(tmp_path / "t.csv").trials[0].datetime_start == datetime(2020, 10, 25, 9, 5)


def test_two_header_rows_and_an_index_are_read(tmp_path):
    text = (
        "Unnamed: 0,number,value,params,params,intermediate_values,state\n"
        ",Unnamed: 1_level_1,,lr,kind,3,\n"
        "0,0,0.5,0.1,a,0.7,TrialState.COMPLETE\n"
    )
    trial = read(written(tmp_path / "t.csv", text)).trials[0]
    assert (trial.params, trial.intermediate_values) == ({"lr": 0.1, "kind": "a"}, {3: 0.7})
    again = read(written(tmp_path / "t.csv", text.replace("params,params", "params,params.1")))
    assert again.trials[0].params == trial.params


@pytest.mark.parametrize(
    ("header", "objectives"),
    [
        ("values_0,values_1", ()),
        ("values_loss,values_acc", ("loss", "acc")),
    ],
)
def test_several_objectives_are_read(tmp_path, header, objectives):
    text = f"number,{header},params_x,state\n0,0.5,2,1,COMPLETE\n1,0.25,,1,COMPLETE\n"
    record = read(written(tmp_path / "t.csv", text))
    assert record.objectives == objectives
    assert record.trials[0].values == [0.5, 2.0]


def test_a_table_of_the_dashboard_is_read(tmp_path):
    text = "Number,State,loss,Param lr,UserAttribute a\r\n0,COMPLETE,0.5,0.1,9\r\n"
    record = read(written(tmp_path / "t.csv", text))
    assert record.objectives == ("loss",)
    assert (record.trials[0].values, record.trials[0].params) == ([0.5], {"lr": 0.1})


NESTED = {"number": 0, "value": 0.5, "params": {"lr": 0.1, "layers": [1, 2]}, "state": "COMPLETE"}


@pytest.mark.parametrize(
    "rows",
    [
        [NESTED],
        [{"number": 0, "value": 0.5, "params_lr": 0.1, "params_layers": [1, 2], "state": 1}],
        [{"number": 0, "value": 0.5, "lr": 0.1, "layers": [1, 2], "duration": 3}],
    ],
)
def test_json_is_read_with_a_trial_a_line_or_in_a_list(tmp_path, rows):
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    for text in (lines, json.dumps(rows, indent=2)):
        trial = read(written(tmp_path / "t.jsonl", text)).trials[0]
        assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.5])
        assert trial.params == {"lr": 0.1, "layers": "[1, 2]"}


def test_json_by_columns_as_pandas_writes_it_is_read(tmp_path):
    columns = {
        "number": {"0": 0, "1": 1},
        "value": {"0": 0.5, "1": None},
        "datetime_start": {"0": 1646913287313, "1": None},
        "params_lr": {"0": 0.1, "1": 0.2},
        "state": {"0": "COMPLETE", "1": "FAIL"},
    }
    record = read(written(tmp_path / "t.json", json.dumps(columns)))
    assert [trial.values for trial in record.trials] == [[0.5], None]
    assert record.trials[0].datetime_start == datetime(2022, 3, 10, 11, 54, 47, 313000)


def test_parameters_in_one_cell_as_python_prints_them_are_read(tmp_path):
    text = "number,value,params,state\n0,0.5,\"{'lr': 0.1, 'k': None}\",COMPLETE\n"
    assert read(written(tmp_path / "t.csv", text)).trials[0].params == {"lr": 0.1, "k": None}


def test_odd_numbers_are_kept(tmp_path):
    text = (
        "number,value,params_n,params_x,params_b,state\n"
        "0,inf,9007199254740993,nan,true,COMPLETE\n"
        "1,-Infinity,1,0.5,False,COMPLETE\n"
        "2,NaN,2,1e400,True,COMPLETE\n"
    )
    record = read(written(tmp_path / "t.csv", text))
    infinity = float("inf")
    assert [trial.values for trial in record.trials] == [[infinity], [-infinity], None]
    assert record.trials[2].state == TrialState.FAIL
    assert record.trials[0].params == {"n": 2**53 + 1, "x": "nan", "b": True}
    assert record.trials[1].distributions["x"] == CategoricalDistribution(("nan", 0.5, "1e400"))
    assert any("1 trial that ended well has no result" in note for note in record.notes)


def test_a_parameter_that_is_a_float_anywhere_is_one_everywhere(tmp_path):
    text = "number,value,params_x,state\n0,1,2,COMPLETE\n1,1,0.5,COMPLETE\n"
    first = read(written(tmp_path / "t.csv", text)).trials[0]
    assert isinstance(first.params["x"], float)
    assert first.distributions["x"] == FloatDistribution(0.5, 2)


def test_digits_parted_by_underscores_are_text(tmp_path):
    text = "number,value,params_x,state\n0,1,1_000,COMPLETE\n"
    assert read(written(tmp_path / "t.csv", text)).trials[0].params == {"x": "1_000"}


def test_a_number_beyond_all_floats_is_kept_as_text(tmp_path):
    row = {**NESTED, "params": {"n": 10**400}}
    trial = read(written(tmp_path / "t.jsonl", json.dumps(row))).trials[0]
    assert trial.params == {"n": str(10**400)}


def test_an_end_without_the_time_zone_of_its_start_is_left_out(tmp_path):
    text = (
        "number,value,datetime_start,datetime_complete,state\n"
        "0,1,2022-03-10 11:50:00+00:00,2022-03-10 11:51:00,COMPLETE\n"
    )
    trial = read(written(tmp_path / "t.csv", text)).trials[0]
    assert trial.datetime_start is not None
    assert trial.datetime_complete is None


def test_a_last_line_that_was_cut_off_is_left_out_and_noted(tmp_path):
    record = read(written(tmp_path / "t.csv", FRAME[:-20]))
    assert [trial.number for trial in record.trials] == [0, 1]
    assert any("last line 4 is cut off" in note for note in record.notes)
    record = read(written(tmp_path / "t.jsonl", json.dumps(NESTED) + '\n{"number": 1, "va'))
    assert len(record.trials) == 1
    assert any("last line 2 is cut off" in note for note in record.notes)


def test_a_column_that_stands_there_twice_is_told_apart_and_noted(tmp_path):
    text = "number,value,params_x,params_x,state\n0,1,2,3,COMPLETE\n"
    record = read(written(tmp_path / "t.csv", text))
    assert record.trials[0].params == {"x": 2, "x (2)": 3}
    assert any("'params_x' stands there 2 times" in note for note in record.notes)


def test_thousands_of_columns_are_read(tmp_path):
    names = [f"params_{i}" for i in range(5000)]
    text = f"number,value,{','.join(names)},state\n0,1,{','.join('7' * 5000)},COMPLETE\n"
    assert len(read(written(tmp_path / "t.csv", text)).trials[0].params) == 5000


def test_dates_of_no_known_form_are_left_out_and_noted(tmp_path):
    text = "number,value,datetime_start,state\n0,1,10.3.22 noon,COMPLETE\n"
    record = read(written(tmp_path / "t.csv", text))
    assert record.trials[0].datetime_start is None
    assert any("'10.3.22 noon' in line 2" in note for note in record.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("number,value,state\n0,fast,COMPLETE\n", "line 2, column 'value': must be a number"),
        ("number,value,state\n0,1,DONE\n", "line 2, column 'state': must be one of RUNNING"),
        ("number,value,state\nx,1,FAIL\n", "line 2, column 'number': must be a trial's number"),
        ("number,value,state\n0,1,FAIL\n\n0,1,FAIL\n", "line 4 and line 2 are both trial 0"),
        ("number,value,state\n0,1,FAIL,9\n1,1,FAIL\n", "line 2 has 4 cells and the header 3"),
        ('{"number": 0, "value": 1}\n{x}\n{"number": 1, "value": 1}', "line 2 is no JSON object"),
    ],
)
def test_what_may_not_stand_in_a_table_is_refused_with_its_place(tmp_path, text, words):
    path = written(tmp_path / "t.csv", text)
    with pytest.raises(InvalidInput, match=words):
        read(path)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "{}", "[1, 2]", '{"a": {"b": 1}}', "\0\1"])
def test_other_files_are_no_tables_of_trials(tmp_path, text):
    assert not trials_table.recognises(written(tmp_path / "other", text))
