"""Objectives are called for one trial at a time; what they do wrong is said and ends no worker."""

import io
import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from tuner.errors import Interrupted, InvalidInput
from tuner.search.objective import once, trainer
from tuner.search.objective.trainer import ObjectiveFailed, ObjectiveTrainer
from tuner.trial import EpochPoint, EpochReport, TrialResult
from tuner.workload import Objective

MODULE = "objectives_for_tests"


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., TrialResult]:
    def result(
        name: str,
        *,
        on_epoch: Callable[[EpochReport], tuple[int, ...]] = lambda _: (),
        stopping: Callable[[], bool] = lambda: False,
        rule: str = "own",
        settings: dict[str, float] | None = None,
        test: bool = False,
        chance: float | None = None,
        **options: object,
    ) -> TrialResult:
        workload = Objective(
            objective=f"{MODULE}:{name}", epochs=4, options=options, chance=chance
        )
        own = ObjectiveTrainer("cpu", checkpoints=tmp_path / "checkpoints")
        (only,) = own.train(
            workload,
            rule,
            [({"x": 0.5} if settings is None else settings, 7)],
            on_epoch,
            test=test,
            stopping=stopping,
        )
        return only

    return result


def folders(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "checkpoints" / "objectives").iterdir())


def test_score_curve_and_test_score_are_what_the_objective_says(call, tmp_path):
    seen = []
    result = call("formula", on_epoch=lambda report: seen.append(report) or ())
    assert (result.val_accuracy, result.test_accuracy) == (0.625, None)
    assert [point.epoch for point in result.curve] == [1, 2, 3, 4]
    assert [report.val_accuracy for report in seen] == [(0.125,), (0.25,), (0.375,), (0.5,)]
    assert not (result.diverged or result.stopped)
    assert result.seconds > 0
    assert call("formula", test=True).test_accuracy == 0.3125
    assert call("formula", height=0.25).val_accuracy == 0.375
    assert folders(tmp_path) == []


def test_an_objective_that_reports_nothing_has_its_score_alone(call):
    result = call("plain")
    assert (result.val_accuracy, result.curve) == (0.5, ())


def test_a_pruned_trial_ends_with_its_last_report(call):
    result = call("formula", on_epoch=lambda report: (0,) if report.epoch == 2 else ())
    assert result.stopped
    assert (result.val_accuracy, len(result.curve)) == (0.25, 2)


def test_an_interrupted_trial_goes_on_in_its_folder_with_all_its_reports(call, tmp_path):
    stops = iter([False, True])
    with pytest.raises(Interrupted):
        call("formula", stopping=lambda: next(stops), folder=str(tmp_path))
    assert len(folders(tmp_path)) == 1
    result = call("formula", folder=str(tmp_path))
    assert [point.epoch for point in result.curve] == [1, 2, 3, 4]
    assert (tmp_path / "7").read_text().split() == ["1", "2", "3", "4"]
    assert folders(tmp_path) == []


def test_what_other_code_left_is_not_gone_on_with(call, tmp_path, monkeypatch):
    with pytest.raises(Interrupted):
        call("formula", stopping=lambda: True, folder=str(tmp_path))
    monkeypatch.setattr(trainer, "code_version", lambda _workload: "changed")
    call("formula", folder=str(tmp_path))
    assert (tmp_path / "7").read_text().split() == ["1", "1", "2", "3", "4"]


def test_who_is_told_to_stop_in_the_last_epoch_has_ended(call):
    stops = iter([False, False, False, True])
    assert call("formula", stopping=lambda: next(stops)).val_accuracy == 0.625


def test_an_objective_that_does_not_look_whether_to_stop_is_stopped(call):
    epochs = []

    def on_epoch(report: EpochReport) -> tuple[int, ...]:
        epochs.append(report.epoch)
        return (0,) if report.epoch == 2 else ()

    assert call("swallows", on_epoch=on_epoch).val_accuracy == 0.25
    assert epochs == [1, 2]


def test_what_the_worker_raises_reaches_it_past_the_objectives_own_handlers(call):
    class Lost(Exception):
        pass

    def lost(_report: EpochReport) -> tuple[int, ...]:
        raise Lost

    with pytest.raises(Lost):
        call("swallows", on_epoch=lost)


def test_the_spaces_update_rule_makes_the_optimizer_and_the_filter_is_known(call):
    result = call("binary", rule="filter_flip", settings={"alpha": 0.1, "gamma": 0.5})
    assert result.steps == 10
    with pytest.raises(ValueError, match="names no update rule"):
        call("binary")
    with pytest.raises(ObjectiveFailed, match=r"alpha must be in \(0, 1\]"):
        call("binary", rule="filter_flip", settings={"alpha": 3.0})


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("nothing", ObjectiveFailed, "nothing returned nothing; it must return the trial's score"),
        ("exits", ObjectiveFailed, r"exits called sys\.exit\(3\)"),
        ("losses", ValueError, "losses: score: must be a share in .* got 17.5"),
        ("wrong_epochs", ValueError, r"epoch must be a whole number in 1 \.\. 4 .* got 0"),
    ],
)
def test_what_an_objective_does_wrong_is_said(call, name: str, error: type, words: str):
    with pytest.raises(error, match=words):
        call(name)


def test_one_score_where_a_test_score_is_wanted_is_refused(call):
    with pytest.raises(ObjectiveFailed, match=r"must return two, \(score, test score\)"):
        call("plain", test=True)


def test_nan_is_a_diverged_trial_that_scores_as_guessing_does(call):
    result = call("nan", chance=0.1)
    assert result.diverged and result.val_accuracy == 0.1
    assert call("nan").val_accuracy == 0.0


def test_what_it_prints_is_logged_and_told_with_its_own_traceback(call, caplog, capfd, tmp_path):
    with caplog.at_level(logging.INFO), pytest.raises(ValueError, match="my own trouble") as seen:
        call("prints")
    assert seen.value.__notes__ == ["It printed last:\none line\n100%"]
    assert [record.getMessage() for record in caplog.records] == ["one line", "100%"]
    assert capfd.readouterr() == ("", "")
    assert folders(tmp_path) == []


def test_a_log_that_cannot_be_written_is_nothing_that_it_printed(call):
    closed = io.StringIO()
    closed.close()
    root = logging.getLogger()
    root.addHandler(logging.StreamHandler(closed))
    root.setLevel(logging.INFO)
    with pytest.raises(ValueError, match="my own trouble") as seen:
        call("prints")
    assert seen.value.__notes__ == ["It printed last:\none line\n100%"]


def test_seconds_are_those_of_a_trial_and_of_its_epochs():
    workload = Objective(objective=f"{MODULE}:formula", epochs=4)
    once_seconds, epoch_seconds = ObjectiveTrainer("cpu").cost(workload, "own", {"x": 0.5})
    assert once_seconds >= 0 < epoch_seconds
    with pytest.raises(InvalidInput, match=r"raised ValueError: my own trouble \(.*for_tests"):
        ObjectiveTrainer("cpu").cost(Objective(objective=f"{MODULE}:prints"), "own", {})


def test_once_calls_a_function_as_a_trial_does():
    points = []

    def mine(trial, plus):
        trial.report(1, 0.5)
        assert trial.folder.is_dir()
        return trial.settings["x"] + plus, trial.seed

    def on_report(point: EpochPoint) -> bool:
        points.append(point.val_accuracy)
        return False

    options = {"plus": 0.25}
    assert once(mine, {"x": 0.5}, seed=3, options=options, on_report=on_report) == (0.75, 3)
    assert points == [0.5]
    assert math.isclose(once(lambda trial: trial.settings["x"], {"x": 0.5}), 0.5)
