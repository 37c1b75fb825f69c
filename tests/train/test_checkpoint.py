"""The file of unfinished training: whose it is, and when it is written."""

import gc
import logging
import weakref
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from keeping import TRIALS, WORKLOAD, Fault, fault_after, interrupt, warnings

from tuner import kernels
from tuner.bnn.data.splits import Split
from tuner.errors import InvalidInput
from tuner.train import Keep, TrialConfig, checkpoint, files, train
from tuner.train.checkpoint import digest
from tuner.train.run import Run


def first_epoch(folder):
    """The epoch that training begins with."""
    epochs = []
    train(WORKLOAD, TRIALS, lambda r: epochs.append(r.epoch) or (), keep=Keep(folder))
    return epochs[0]


def test_training_that_ends_leaves_nothing(tmp_path):
    train(WORKLOAD, TRIALS, keep=Keep(tmp_path, seconds=0))
    assert list(tmp_path.iterdir()) == []
    train(WORKLOAD, TRIALS, lambda report: report.trials, keep=Keep(tmp_path, lambda: True))
    train(replace(WORKLOAD, epochs=1), TRIALS, keep=Keep(tmp_path, lambda: True))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_when_something_is_kept_and_not_before(tmp_path):
    folder = tmp_path / "of" / "checkpoints"
    train(WORKLOAD, TRIALS, keep=Keep(folder))
    assert not folder.parent.exists()
    assert interrupt(folder).parent == folder


@pytest.mark.parametrize(("seconds", "kept"), [(0, 2), (3600, 0)])
def test_it_is_kept_as_often_as_asked_and_what_on_epoch_raises_is_not(seconds, kept, tmp_path):
    with pytest.raises(Fault):
        train(WORKLOAD, TRIALS, fault_after(3), keep=Keep(tmp_path, lambda: False, seconds))
    assert first_epoch(tmp_path) == kept + 1


def test_it_is_not_kept_again_before_the_time_is_over(tmp_path, monkeypatch):
    now = iter(range(0, 400, 40))  # when the run begins, then once or twice after each epoch
    monkeypatch.setattr(checkpoint, "time", SimpleNamespace(monotonic=lambda: next(now)))
    written = []
    monkeypatch.setattr(files, "save", lambda _, __, state: written.append(state["finished"]))
    train(replace(WORKLOAD, epochs=7), TRIALS, keep=Keep(tmp_path, seconds=60))
    assert written == [2, 4, 6]


def test_a_fault_is_not_hidden_by_being_told_to_stop(tmp_path):
    with pytest.raises(Fault):
        train(WORKLOAD, TRIALS, fault_after(1), keep=Keep(tmp_path, lambda: True))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("workload", "trials"),
    [
        (replace(WORKLOAD, epochs=5), TRIALS),
        (replace(WORKLOAD, split_seed=1), TRIALS),
        (replace(WORKLOAD, precision="float64"), TRIALS),
        (WORKLOAD, TRIALS[::-1]),
        (WORKLOAD, TRIALS[:1]),
        (WORKLOAD, [TRIALS[0], replace(TRIALS[1], seed=5)]),
        (WORKLOAD, [TRIALS[0], replace(TRIALS[1], settings={"alpha": 0.9999999})]),
        (WORKLOAD, [replace(trial, rule="bop", settings={}) for trial in TRIALS]),
    ],
)
def test_another_run_has_another_file(workload, trials, tmp_path):
    own = interrupt(tmp_path)
    assert own.stem == digest(WORKLOAD, TRIALS, "cpu") != digest(workload, trials, "cpu")
    epochs = []
    train(workload, trials, lambda r: epochs.append(r.epoch) or (), keep=Keep(tmp_path))
    assert epochs[0] == 1
    assert own.exists()


def test_another_version_device_or_precision_has_another_file(monkeypatch):
    seen = {digest(WORKLOAD, TRIALS, "cpu"), digest(WORKLOAD, TRIALS, "cuda")}
    assert digest(WORKLOAD, TRIALS, "cuda:1") in seen
    other_library = object() if kernels.library() is None else None
    for owner, name, value in (
        (torch, "__version__", "2.99"),
        (checkpoint, "__version__", "9.9"),
        (kernels, "library", lambda: other_library),
        (checkpoint, "conditions", lambda *_: {"device": "cpu", "precision": "float8"}),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            seen.add(digest(WORKLOAD, TRIALS, "cpu"))
    assert len(seen) == 6


def test_other_data_of_the_same_name_have_another_file(monkeypatch):
    data = checkpoint.load_data(WORKLOAD)
    images, labels = data.train.images, data.train.labels
    others = [
        replace(data, train=Split(images, labels.flip(0))),
        replace(data, train=Split(images[1:], labels[1:])),
        replace(data, mean=data.mean * 0.999),
    ]
    seen = {digest(WORKLOAD, TRIALS, "cpu")}
    for other in others:
        monkeypatch.setattr(checkpoint, "load_data", lambda _, other=other: other)
        seen.add(digest(WORKLOAD, TRIALS, "cpu"))
    assert len(seen) == 4


def test_a_default_that_is_written_out_makes_the_same_run():
    written_out = [
        replace(trial, settings={"gamma": 1, "alpha": float(trial.settings["alpha"])})
        for trial in TRIALS
    ]
    assert digest(WORKLOAD, written_out, "cpu") == digest(WORKLOAD, TRIALS, "cpu")


def test_what_cannot_be_trained_is_refused_as_without_keeping(tmp_path):
    with pytest.raises(InvalidInput, match=r"alpha must be in \(0, 1\], got 2"):
        train(WORKLOAD, [TrialConfig("filter_flip", {"alpha": 2}, 0)], keep=Keep(tmp_path))


def test_a_run_gives_its_memory_back_when_it_is_let_go():
    run = Run(WORKLOAD, TRIALS, torch.device("cpu"))
    run.epoch(1)
    weight = weakref.ref(run.binary[0])
    gc.disable()
    try:
        del run
        assert weight() is None
    finally:
        gc.enable()


def test_nothing_is_logged_of_what_goes_well(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    interrupt(tmp_path)
    assert first_epoch(tmp_path) == 2
    assert warnings(caplog) == []
