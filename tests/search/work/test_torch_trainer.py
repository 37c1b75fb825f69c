"""The trainer of a worker: batches in parts where memory is short, and going on with them.

There need be no GPU: a stand-in trains on the CPU, and runs out of memory as it is told.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tuner.train
from tuner.errors import DeviceTooSmall, Interrupted, InvalidInput
from tuner.search.work.torch_trainer import TorchTrainer
from tuner.train import TrialResult
from tuner.workload import Workload

CPU_SAYS = (
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
)
WORKLOAD = Workload(widths=(8, 8), epochs=3, batch_size=32, n_train=64, precision="float64")
TRIALS = [({"alpha": 0.3 / (1 + position)}, position) for position in range(7)]
ALL = list(range(7))


class Memory:
    """A device's, as far as training sees it.

    Args:
        measured: How many trials were found to fit it.
        room: How many do fit it.
        device: Which device.

    Attributes:
        calls: The positions and the device of every attempt to train.
    """

    def __init__(self, measured: int, room: int, device: str) -> None:
        self.measured, self.room, self.device = measured, room, device
        self.calls: list[tuple[list[int], str]] = []

    def trials_per_batch(self, _workload: Workload, device: str) -> int:
        if device != "cpu" and not self.measured:
            raise DeviceTooSmall("one trial of this workload does not fit")
        return 2 if device == "cpu" else self.measured

    def train(self, workload, trials, on_epoch, *, device="cpu", test, keep):
        self.calls.append(([trial.seed for trial in trials], device))

        def on_epoch_if_it_fits(report):
            if device != self.device or len(report.trials) <= self.room:
                return on_epoch(report)
            if device == "cpu":
                raise RuntimeError(CPU_SAYS)
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB.")

        return TRAIN(workload, trials, on_epoch_if_it_fits, test=test, keep=keep)

    @property
    def parts(self) -> list[list[int]]:
        return [positions for positions, device in self.calls if device == "cuda"]


TRAIN = tuner.train.train


@pytest.fixture
def new_process(tmp_path, monkeypatch):
    """A trainer on a stand-in of a GPU, as a new process makes it."""

    def make(*, measured: int, room: int = 100, device: str = "cuda"):
        trainer, memory = TorchTrainer("cpu", checkpoints=tmp_path), Memory(measured, room, device)
        trainer._device = device
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a stand-in")
        monkeypatch.setattr(tuner.train, "train", memory.train)
        monkeypatch.setattr(tuner.train, "trials_per_batch", memory.trials_per_batch)
        return trainer, memory

    return make


def train(trainer, on_epoch=lambda _: (), *, stopping=lambda: False, test=True):
    return trainer.train(WORKLOAD, "filter_flip", TRIALS, on_epoch, test=test, stopping=stopping)


def exactly(results: list[TrialResult]) -> list[TrialResult]:
    """The results without their times."""
    return [
        replace(result, seconds=0, curve=[replace(point, seconds=0) for point in result.curve])
        for result in results
    ]


def alike(first: list[TrialResult], second: list[TrialResult]) -> bool:
    """Whether they are the same but for the rounding that a trial's company decides."""

    def ends(results: list[TrialResult]) -> list[tuple[object, ...]]:
        return [(r.test_accuracy, r.stopped, len(r.curve)) for r in results]

    def losses(results: list[TrialResult]) -> list[float]:
        return [point.train_loss for result in results for point in result.curve]

    return ends(first) == ends(second) and losses(first) == pytest.approx(losses(second))


def told_to_stop_at(position: int, epoch: int):
    """``on_epoch`` and ``stopping``: true once the trial was seen at the epoch."""
    seen = []

    def on_epoch(report):
        seen.extend((report.epoch, trial) for trial in report.trials)
        return ()

    return on_epoch, lambda: (epoch, position) in seen


def warnings(caplog):
    messages = [record.getMessage() for record in caplog.records]
    assert not any("\n" in message for message in messages)
    return messages


def test_a_batch_that_fits_is_trained_at_once_and_nothing_is_left(new_process, tmp_path, caplog):
    trainer, memory = new_process(measured=7)
    results = train(trainer)
    assert memory.calls == [(ALL, "cuda")]
    assert [result.steps for result in results] == [6] * 7
    assert list(tmp_path.iterdir()) == []
    assert warnings(caplog) == []


def test_a_cpu_trains_any_batch_at_once(new_process):
    trainer, memory = new_process(measured=3, device="cpu")
    assert trainer.batch_size(WORKLOAD) == 2
    assert len(train(trainer)) == 7
    assert memory.calls == [(ALL, "cpu")]


def test_a_batch_that_does_not_fit_is_trained_in_parts_that_nobody_notices(new_process, tmp_path):
    def recorded(measured):
        seen = []

        def stop_some(report):
            seen.extend((report.epoch, position) for position in report.trials)
            return {1: [1, 4], 2: [5]}.get(report.epoch, ())

        trainer, memory = new_process(measured=measured)
        return train(trainer, stop_some), sorted(seen), memory

    whole, seen_whole, _ = recorded(measured=7)
    parted, seen_parted, memory = recorded(measured=3)
    assert memory.parts == [[0, 1, 2], [3, 4, 5], [6]]
    assert alike(parted, whole)
    assert [r.stopped for r in parted] == [False, True, False, False, True, True, False]
    assert seen_parted == seen_whole
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_gpu_that_runs_out_of_memory_trains_half_as_many_from_then_on(new_process, caplog):
    trainer, memory = new_process(measured=7, room=3)
    assert trainer.batch_size(WORKLOAD) == 7
    results = train(trainer)
    assert memory.parts == [ALL, [0, 1, 2], [3, 4, 5], [6]]
    assert trainer.batch_size(WORKLOAD) == 3
    assert trainer.batch_size(replace(WORKLOAD, epochs=9)) == 7
    (message,) = warnings(caplog)
    assert message == "7 trials ran out of the memory of cuda; from now on 3 are trained at once"
    memory.calls.clear()
    assert exactly(train(trainer)) == exactly(results)
    assert memory.parts == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(warnings(caplog)) == 1


@pytest.mark.slow
def test_a_cpu_that_runs_out_of_memory_trains_half_as_many_from_then_on(new_process, caplog):
    trainer, memory = new_process(measured=7, room=3, device="cpu")
    results = train(trainer)
    parts = [[0, 1, 2], [3, 4, 5], [6]]
    assert memory.calls == [(part, "cpu") for part in [ALL, *parts]]
    assert alike(results, train(new_process(measured=7, device="cpu")[0]))
    assert warnings(caplog) == [
        "7 trials ran out of the memory of cpu; from now on 3 are trained at once"
    ]
    trainer, memory = new_process(measured=7, room=3, device="cpu")
    on_epoch, stopping = told_to_stop_at(1, epoch=1)
    with pytest.raises(Interrupted):
        train(trainer, on_epoch, stopping=stopping)
    trainer, memory = new_process(measured=7, room=100, device="cpu")
    assert exactly(train(trainer)) == exactly(results)
    assert memory.calls == [(part, "cpu") for part in parts]


def test_a_trial_that_no_memory_holds_is_refused_with_what_it_asked_for(new_process):
    trainer, memory = new_process(measured=7, room=0, device="cpu")
    with pytest.raises(DeviceTooSmall) as refused:
        train(trainer)
    assert [len(part) for part, _ in memory.calls] == [7, 3, 1]
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(
        "1 trial of mlp at batch_size 32 did not fit in the memory of this machine, of which "
    )
    assert "(68.7 GB more were asked for); make the widths or batch_size" in str(refused.value)


@pytest.mark.slow
def test_memory_that_somebody_takes_in_mid_training_costs_no_trial(new_process):
    trainer, memory = new_process(measured=4)

    def on_epoch(report):
        if report.epoch == 2 and 5 in report.trials:
            memory.room = 2
        return ()

    results = train(trainer, on_epoch)
    assert memory.parts == [[0, 1, 2, 3], [4, 5, 6], [4], [5], [6]]
    assert alike(results, train(new_process(measured=7)[0]))


@pytest.mark.slow
def test_what_a_gpu_cannot_train_one_by_one_the_cpu_trains(new_process, caplog):
    trainer, memory = new_process(measured=2, room=0)
    assert len(train(trainer)) == 7
    assert memory.calls == [([0, 1], "cuda"), ([0], "cuda"), (ALL, "cpu")]
    assert "on the CPU" in warnings(caplog)[-1]
    assert len(warnings(caplog)) == 2
    assert trainer.conditions(WORKLOAD)["device"] == "cpu"
    assert trainer.batch_size(WORKLOAD) == 2
    memory.calls.clear()
    train(trainer)
    assert memory.calls == [(ALL, "cpu")]


def test_what_was_measured_not_to_fit_the_cpu_trains_at_once(new_process, caplog):
    trainer, memory = new_process(measured=0)
    assert len(train(trainer)) == 7
    assert memory.calls == [(ALL, "cpu")]
    assert len(warnings(caplog)) == 1


def test_a_part_that_was_trained_is_not_trained_again_after_an_interruption(new_process, tmp_path):
    trainer, memory = new_process(measured=3)
    on_epoch, stopping = told_to_stop_at(4, epoch=2)
    with pytest.raises(Interrupted, match="after epoch 2 of 3"):
        train(trainer, on_epoch, stopping=stopping)
    assert memory.parts == [[0, 1, 2], [3, 4, 5]]
    trainer, memory = new_process(measured=3)
    seen = []
    results = train(trainer, lambda r: seen.append((r.epoch, r.trials)) or ())
    assert memory.parts == [[3, 4, 5], [6]]
    assert seen == [(3, (3, 4, 5)), (1, (6,)), (2, (6,)), (3, (6,))]
    assert list(tmp_path.iterdir()) == []
    assert exactly(results) == exactly(train(new_process(measured=3)[0]))


def test_who_is_told_to_stop_when_a_part_ends_begins_no_other(new_process):
    trainer, memory = new_process(measured=3)
    on_epoch, stopping = told_to_stop_at(2, epoch=3)
    with pytest.raises(Interrupted, match="after 3 of 7 trials"):
        train(trainer, on_epoch, stopping=stopping)
    assert memory.parts == [[0, 1, 2]]
    trainer, memory = new_process(measured=3)
    assert len(train(trainer)) == 7
    assert memory.parts == [[3, 4, 5], [6]]


@pytest.mark.slow
@pytest.mark.parametrize("room", [3, 100])
def test_a_batch_keeps_its_parts_whoever_goes_on_with_it(room, new_process):
    undisturbed = train(new_process(measured=7, room=3)[0])
    on_epoch, stopping = told_to_stop_at(1, epoch=1)
    with pytest.raises(Interrupted):
        train(new_process(measured=7, room=3)[0], on_epoch, stopping=stopping)
    trainer, memory = new_process(measured=7, room=room)
    seen = []
    results = train(trainer, lambda report: seen.append(report.epoch) or ())
    assert memory.parts == [[0, 1, 2], [3, 4, 5], [6]]
    assert seen == [2, 3, 1, 2, 3, 1, 2, 3]
    assert exactly(results) == exactly(undisturbed)


def test_parts_trained_without_their_test_accuracy_do_not_stand_for_those_with_it(new_process):
    on_epoch, stopping = told_to_stop_at(2, epoch=3)
    with pytest.raises(Interrupted):
        train(new_process(measured=3)[0], on_epoch, stopping=stopping, test=False)
    results = train(new_process(measured=3)[0], test=True)
    assert None not in [result.test_accuracy for result in results]


@pytest.mark.parametrize("content", [b"", {}, {"results": [{"curve": []}], "most": 3}])
def test_damaged_results_of_parts_are_trained_again(content, new_process, tmp_path, caplog):
    expected = train(new_process(measured=3)[0])
    on_epoch, stopping = told_to_stop_at(2, epoch=3)
    with pytest.raises(Interrupted):
        train(new_process(measured=3)[0], on_epoch, stopping=stopping)
    (file,) = tmp_path.iterdir()
    if content == b"":
        file.write_bytes(content)
    else:
        torch.save(content, file)
    trainer, memory = new_process(measured=3)
    assert exactly(train(trainer)) == exactly(expected)
    assert memory.parts == [[0, 1, 2], [3, 4, 5], [6]]
    assert len(warnings(caplog)) == 1


def test_without_a_folder_to_keep_them_in_parts_are_trained_all_the_same(
    new_process, tmp_path, caplog
):
    trainer, memory = new_process(measured=4)
    (tmp_path / "file").touch()
    trainer._checkpoints = tmp_path / "file"
    assert len(train(trainer)) == 7
    assert memory.parts == [[0, 1, 2, 3], [4, 5, 6]]
    assert len(warnings(caplog)) == 1


def test_unfinished_training_is_kept_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNER_CHECKPOINT_DIR", str(tmp_path / "there"))
    trainer = TorchTrainer("cpu")
    with pytest.raises(Interrupted):
        train(trainer, stopping=lambda: True)
    assert len(list(Path(tmp_path, "there").iterdir())) == 1
    assert len(train(trainer)) == 7
    assert list(Path(tmp_path, "there").iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a torch without a GPU")
def test_a_gpu_that_torch_cannot_use_is_refused():
    with pytest.raises(InvalidInput, match="cannot use it; install torch with CUDA"):
        TorchTrainer("cuda")
