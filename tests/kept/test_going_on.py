"""What was lost on one machine goes on on another, from an address that both can reach."""

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from tuner.errors import Interrupted, InvalidInput
from tuner.kept import at
from tuner.search.objective.trainer import ObjectiveTrainer
from tuner.search.work.torch_trainer import TorchTrainer
from tuner.search.work.trainers import Trainers
from tuner.trial import EpochReport
from tuner.workload import Objective, Workload

ROOT = Path(__file__).resolve().parents[2]
WORKLOAD = Workload(widths=(8, 8), epochs=6, batch_size=32, n_train=64)
TRIALS = [({"alpha": 0.1}, 3), ({"alpha": 1.0}, 4)]

LOST = """
import os
from tuner.train import Keep, TrialConfig, train
from tuner.workload import Workload

def on_epoch(report):
    if report.epoch == 4:
        os.kill(os.getpid(), {signal})
    return ()

trials = [TrialConfig("filter_flip", settings, seed) for settings, seed in {trials}]
train({workload}, trials, on_epoch, keep=Keep({where!r}, seconds=0))
"""


def curves(results):
    return [
        (r.val_accuracy, [(p.epoch, p.train_loss, p.val_accuracy, p.flip_ratio) for p in r.curve])
        for r in results
    ]


@pytest.mark.slow
def test_a_trial_lost_with_its_machine_goes_on_bit_for_bit_on_another(s3_url, caplog):
    script = LOST.format(signal=int(SIGKILL), trials=TRIALS, workload=WORKLOAD, where=s3_url)
    lost = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert lost.returncode == -SIGKILL
    epochs = []

    def on_epoch(report: EpochReport) -> tuple[int, ...]:
        epochs.append(report.epoch)
        return ()

    def trained(checkpoints: str | None) -> object:
        trainer = TorchTrainer("cpu", checkpoints=checkpoints)
        return curves(
            trainer.train(
                WORKLOAD, "filter_flip", TRIALS, on_epoch, test=False, stopping=lambda: False
            )
        )

    resumed = trained(s3_url)
    assert epochs == [4, 5, 6]
    assert resumed == trained(None)
    place = at(s3_url)
    assert place.system.find(place.root) == []  # the run is complete
    assert not [record for record in caplog.records if record.name.startswith("tuner")]


def objective_trial(folder: str, name: str, *, stopping: object = lambda: False) -> object:
    workload = Objective(objective=f"kept_for_tests:{name}", epochs=4)
    return ObjectiveTrainer("cpu", checkpoints=folder).train(
        workload, "own", [({"x": 0.5}, 7)], lambda _: (), test=False, stopping=stopping
    )


@pytest.fixture(autouse=True)
def _objectives(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("TUNER_WORKLOADS", "kept_for_tests")


def test_an_objective_goes_on_in_its_folder_wherever_that_is_kept(where):
    stops = iter([False, True])
    with pytest.raises(Interrupted):
        objective_trial(where, "counts", stopping=lambda: next(stops))
    (only,) = objective_trial(where, "counts")
    assert [point.epoch for point in only.curve] == [1, 2, 3, 4]
    assert only.val_accuracy == 0.5  # it was begun twice
    place = at(where).below("objectives")
    left = os.listdir(place.path) if hasattr(place, "path") else place.system.find(place.root)
    assert left == []


def test_an_objectives_archive_that_is_damaged_is_said_and_the_trial_starts_over(caplog):
    where = "memory://damaged"
    with pytest.raises(Interrupted):
        objective_trial(where, "counts", stopping=lambda: True)
    place = at(where).below("objectives")
    (file,) = place.system.find(place.root)
    whole = place.system.cat_file(file)
    place.system.pipe_file(file, whole[: len(whole) // 2])
    (only,) = objective_trial(where, "counts")
    assert only.val_accuracy == 0.25
    (record,) = caplog.records
    assert "the trial starts over, as memory://damaged/objectives/" in record.getMessage()


def test_a_place_that_takes_nothing_is_spoken_of_once_and_the_trial_is_trained(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr("tuner.search.objective.folders._KEEP_SECONDS", 0.0)
    (tmp_path / "kept").touch()
    (only,) = objective_trial(f"local://{tmp_path}/kept", "counts")
    assert only.val_accuracy == 0.25
    (record,) = caplog.records
    assert "unfinished training cannot be kept, it would be lost: local://" in record.getMessage()


def test_an_address_that_cannot_be_opened_ends_a_worker_before_it_takes_trials(monkeypatch):
    monkeypatch.setenv("TUNER_CHECKPOINT_DIR", "nosuch://host/x")
    with pytest.raises(InvalidInput, match=r"^TUNER_CHECKPOINT_DIR: nosuch://host/x cannot"):
        Trainers("cpu")
