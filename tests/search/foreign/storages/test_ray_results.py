import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState

from tuner.errors import InvalidInput
from tuner.search.foreign.address import Address
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.storages import ray_results
from tuner.search.foreign.storages.kinds import opened


def read(path: Path) -> dict[str, StudyRecord]:
    assert ray_results.recognises(path)
    with opened(Address(str(path), None)) as studies:
        return dict(studies)


def result(step: int, **metrics: object) -> dict[str, object]:
    ours = {"training_iteration": step, "timestamp": 1700000000 + step, "time_total_s": step}
    return {**ours, "done": False, "pid": 7, "date": "2023-11-14_22-13-20", **metrics}


def write_trial(
    folder: Path,
    *results: dict[str, object],
    params: dict[str, object] | None = None,
) -> None:
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(params or {"lr": 0.1}), encoding="utf-8")
    lines = "".join(json.dumps(each) + "\n" for each in results)
    (folder / "result.json").write_text(lines, encoding="utf-8")


PICKLED = {"_type": "CLOUDPICKLE_FALLBACK", "value": "80049527"}


def state(trial_id: str, status: str, folder: str, **fields: object) -> dict[str, object]:
    return {
        "trial_id": trial_id,
        "status": status,
        "logdir": f"/home/ann/ray_results/run/{folder}",
        "start_time": 1699999999.5,
        "evaluated_params": {"lr": 0.1, "model/width": 8, "fn": PICKLED},
        "config": {"lr": 0.1, "data": "/d"},
        **fields,
    }


def as_ray_1(states: list[dict[str, object]]) -> dict[str, object]:
    return {"checkpoints": states, "runner_data": {"_metric": "loss"}, "stats": {}}


def as_ray_1_texts(states: list[dict[str, object]]) -> dict[str, object]:
    texts = [json.dumps(each) for each in states]
    return {"checkpoints": texts, "runner_data": {"_metric": "loss"}, "stats": {}}


def as_ray_2(states: list[dict[str, object]]) -> dict[str, object]:
    pairs = []
    for each in states:
        kept = {**each, "relative_logdir": str(each["logdir"]).rpartition("/")[2]}
        start = kept.pop("start_time")
        kept.pop("logdir")
        pairs.append([json.dumps(kept), json.dumps({"start_time": start})])
    return {"trial_data": pairs, "runner_data": {"_metric": "loss", "_mode": "min"}, "stats": {}}


@pytest.mark.parametrize("written", [as_ray_1, as_ray_1_texts, as_ray_2])
def test_an_experiment_has_its_trials_as_its_state_says(tmp_path, written):
    run = tmp_path / "run"
    write_trial(run / "t_a", result(1, loss=0.9, acc=0.1), result(2, loss=0.5, acc=0.2))
    write_trial(run / "t_b", result(1, loss=0.7))
    states = [
        state("a", "TERMINATED", "t_a"),
        state("b", "ERROR", "t_b"),
        state("c", "PENDING", "t_c"),
    ]
    content = json.dumps(written(states))
    (run / "experiment_state-2023-11-14_22-13-20.json").write_text(content, encoding="utf-8")
    record = read(run)["run"]
    first, second, third = record.trials
    assert record.objectives == ("loss",)
    assert record.directions == (("minimize",) if written is as_ray_2 else ())
    assert (first.state, first.values) == (TrialState.COMPLETE, [0.5])
    assert first.intermediate_values == {1: 0.9, 2: 0.5}
    assert first.params == {"lr": 0.1, "model/width": 8}
    assert first.distributions["lr"] == FloatDistribution(0.1, 0.1)
    assert first.datetime_start == datetime.fromtimestamp(1699999999.5, UTC)
    assert first.datetime_complete == datetime.fromtimestamp(1700000002, UTC)
    assert (second.state, second.values) == (TrialState.FAIL, None)
    assert third.state == TrialState.WAITING
    assert any("ranges are not in it" in note for note in record.notes)


def test_a_trial_of_less_than_a_second_takes_what_it_says(tmp_path):
    """Ray notes when a result came as a whole second, which may lie before the trial began."""
    write_trial(tmp_path / "run" / "t_a", {**result(2, loss=0.5), "time_total_s": 0.25})
    content = json.dumps(as_ray_2([state("a", "TERMINATED", "t_a", start_time=1700000002.5)]))
    (tmp_path / "run" / "experiment_state-1.json").write_text(content, encoding="utf-8")
    (trial,) = read(tmp_path / "run")["run"].trials
    assert trial.duration is not None and trial.duration.total_seconds() == 0.25


def test_a_state_alone_gives_the_last_results(tmp_path):
    last = {**result(3, loss=0.25), "config": {"lr": 0.1}}
    content = as_ray_1([state("a", "TERMINATED", "t_a", last_result=last)])
    path = tmp_path / "experiment_state-2023.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    (record,) = read(path).values()
    assert record.trials[0].values == [0.25]


def test_a_newer_state_of_a_resumed_experiment_counts(tmp_path):
    for day, status in (("01", "RUNNING"), ("02", "TERMINATED")):
        content = as_ray_1([state("a", status, "t_a", last_result=result(1, loss=0.5))])
        path = tmp_path / "run" / f"experiment_state-2023-11-{day}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    (trial,) = read(tmp_path / "run")["run"].trials
    assert trial.state == TrialState.COMPLETE


def test_a_folder_of_a_trial_that_the_state_has_elsewhere_counts_once(tmp_path):
    write_trial(tmp_path / "run" / "moved", result(1, loss=0.5, trial_id="a"))
    content = as_ray_1([state("a", "TERMINATED", "t_a", last_result=result(1, loss=0.5))])
    path = tmp_path / "run" / "experiment_state-2023.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    assert len(read(tmp_path / "run")["run"].trials) == 1


def test_folders_of_trials_without_a_state_are_read(tmp_path):
    done = result(2, loss=0.5, info={"entropy": 0.1}, done=True, trial_id="a")
    write_trial(tmp_path / "run" / "a", result(1, loss=0.9, trial_id="a"), done)
    write_trial(tmp_path / "run" / "b", result(1, loss=0.9, trial_id="b"))
    write_trial(tmp_path / "run" / "c", result(1, loss=0.9, trial_id="c"))
    (tmp_path / "run" / "c" / "error.txt").write_text("oh", encoding="utf-8")
    record = read(tmp_path / "run")["run"]
    states = [TrialState.COMPLETE, TrialState.RUNNING, TrialState.FAIL]
    assert sorted(trial.state for trial in record.trials) == sorted(states)
    assert record.objectives == ("loss", "info/entropy")
    assert any("1 trial counts as running" in note for note in record.notes)


def test_a_trial_that_was_started_anew_counts_once(tmp_path):
    write_trial(tmp_path / "run" / "a_2023-01-01", result(1, loss=0.9, trial_id="a"))
    write_trial(tmp_path / "run" / "a_2023-01-02", result(1, loss=0.5, trial_id="a", done=True))
    (trial,) = read(tmp_path / "run")["run"].trials
    assert trial.values == [0.5]


def test_progress_is_read_where_there_are_no_results(tmp_path):
    write_trial(tmp_path / "run" / "a")
    (tmp_path / "run" / "a" / "progress.csv").write_text(
        "loss,training_iteration,done,info/x,config/lr\n0.9,1,False,1,3\n0.5,2,True,inf,3\n",
        encoding="utf-8",
    )
    record = read(tmp_path / "run")["run"]
    assert record.trials[0].values == [0.5, float("inf")]


def test_a_folder_of_several_experiments_has_a_study_for_each(tmp_path):
    write_trial(tmp_path / "one" / "a", result(1, loss=0.5, done=True))
    write_trial(tmp_path / "two" / "a", result(1, loss=0.5, done=True))
    assert set(read(tmp_path)) == {"one", "two"}


def test_a_last_result_that_was_cut_off_is_left_out_and_noted(tmp_path):
    write_trial(tmp_path / "run" / "a", result(1, loss=0.5, done=True))
    with (tmp_path / "run" / "a" / "result.json").open("a", encoding="utf-8") as file:
        file.write('{"loss": 0.')
    record = read(tmp_path / "run")["run"]
    assert record.trials[0].values == [0.5]
    assert any("last line 2 is cut off" in note for note in record.notes)


def test_what_may_not_stand_in_a_folder_is_refused_with_its_place(tmp_path):
    write_trial(tmp_path / "run" / "a", result(1, loss=0.5))
    results = tmp_path / "run" / "a" / "result.json"
    results.write_text("{oh\n" + results.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"result\.json: line 1 is no JSON"):
        read(tmp_path / "run")
    content = as_ray_1([state("a", "LOST", "b")])
    (tmp_path / "run" / "experiment_state-1.json").write_text(json.dumps(content))
    results.write_text("", encoding="utf-8")
    with pytest.raises(InvalidInput, match="trial a: status must be one of TERMINATED"):
        read(tmp_path / "run")


def test_a_folder_of_anything_else_is_none_of_rays(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "params.json").write_text("{}", encoding="utf-8")
    assert not ray_results.recognises(tmp_path)
