"""How many trials are trained at once: measured, kept, and refused where there is no room."""

import json

import pytest
import torch

from tuner.errors import DeviceTooSmall
from tuner.search.work.torch_trainer import TorchTrainer
from tuner.train import fuse, trials_per_batch
from tuner.workload import Workload

TINY = Workload(widths=(16, 16), n_train=128)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(fuse.kernels, "library", lambda: None)  # do not compile in there
    return tmp_path / "cache"


def pretend(monkeypatch, seconds):
    """Let a step of k trials take ``seconds(k)``; returns the list of the k that were timed."""
    timed = []

    monkeypatch.setattr(fuse, "_step_seconds", lambda _, k, __: timed.append(k) or seconds(k))
    return timed


@pytest.mark.parametrize(
    ("seconds", "expected", "timed"),
    [
        (lambda _: 1e-3, 64, [1, 2, 4, 8, 16, 32, 64]),
        (lambda k: 1e-3 * k, 1, [1, 2, 4]),
        (lambda k: 1e-3 * max(k, 8), 8, [1, 2, 4, 8, 16, 32]),
        (lambda k: 1e-3 * k**0.97, 1, [1, 2, 4]),
        (lambda _: 0.2, 1, [1]),
        (lambda k: 0.04 + 0.001 * k, 16, [1, 2, 4, 8, 16]),
    ],
    ids=["overhead", "arithmetic", "until 8", "hardly", "long", "until long"],
)
@pytest.mark.usefixtures("cache")
def test_more_trials_are_fused_as_long_as_it_pays(seconds, expected, timed, monkeypatch):
    seen = pretend(monkeypatch, seconds)
    assert trials_per_batch(TINY, "cpu") == expected
    assert seen == timed


@pytest.mark.slow
def test_a_real_measurement_times_real_steps(cache):
    most = trials_per_batch(TINY, "cpu")
    (kept,) = cache.glob("*.json")
    answer = json.loads(kept.read_text(encoding="utf-8"))
    assert answer["trials"] == most
    assert len(answer["steps_per_second"]) >= 3
    assert min(answer["steps_per_second"].values()) > 1


@pytest.mark.usefixtures("cache")
def test_the_answer_is_kept_and_does_not_depend_on_the_length_of_training(monkeypatch):
    pretend(monkeypatch, lambda k: 1e-3 * max(k, 8))
    assert trials_per_batch(TINY, "cpu") == 8
    timed = pretend(monkeypatch, lambda _: 1e-3)
    longer = Workload(**{**vars(TINY), "epochs": 300})
    assert trials_per_batch(longer, "cpu") == 8
    assert timed == []
    wider = Workload(**{**vars(TINY), "widths": (17, 16)})
    assert trials_per_batch(wider, "cpu") == 64


@pytest.mark.usefixtures("cache")
def test_of_two_workers_that_measured_at_once_both_take_the_first_answer(monkeypatch):
    def another_writes_meanwhile(k):
        if k == 64:
            pretend(monkeypatch, lambda k: 1e-3 * max(k, 4))
            assert trials_per_batch(TINY, "cpu") == 4
        return 1e-3

    pretend(monkeypatch, another_writes_meanwhile)
    assert trials_per_batch(TINY, "cpu") == 4


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        '{"trials": "many"}',
        '{"trials": null}',
        '{"trials": 0}',
        "[]",
        '{"trials": 1e9}',
    ],
)
def test_a_broken_answer_is_measured_again(text, cache, monkeypatch):
    pretend(monkeypatch, lambda k: 1e-3 * max(k, 8))
    trials_per_batch(TINY, "cpu")
    (kept,) = cache.glob("*.json")
    kept.write_text(text, encoding="utf-8")
    assert trials_per_batch(TINY, "cpu") == 8
    assert json.loads(kept.read_text(encoding="utf-8"))["trials"] == 8


def test_without_a_cache_folder_it_is_measured_each_time(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(fuse.kernels, "library", lambda: None)
    for expected in (8, 16):
        pretend(monkeypatch, lambda k, best=expected: 1e-3 * max(k, best))
        assert trials_per_batch(TINY, "cpu") == expected


def out_of_memory_from(least):
    def seconds(k):
        if k >= least:
            raise torch.OutOfMemoryError("no room")
        return 1e-3

    return seconds


@pytest.mark.usefixtures("cache")
def test_what_does_not_fit_in_memory_is_not_tried_again(monkeypatch):
    pretend(monkeypatch, out_of_memory_from(8))
    assert trials_per_batch(TINY, "cpu") == 4


@pytest.mark.usefixtures("cache")
def test_a_device_too_small_for_one_trial_is_an_error_that_names_the_fix(monkeypatch):
    pretend(monkeypatch, out_of_memory_from(1))
    with pytest.raises(DeviceTooSmall, match="batch_size"):
        trials_per_batch(TINY, "cpu")


@pytest.mark.usefixtures("cache")
def test_a_worker_trains_on_the_cpu_what_its_device_is_too_small_for(
    tmp_path, monkeypatch, caplog
):
    trainer = TorchTrainer("cpu", checkpoints=tmp_path / "checkpoints")
    trainer._device = "meta"  # stands in for a GPU; training there would fail

    monkeypatch.setattr(
        fuse,
        "_step_seconds",
        lambda _, k, device: out_of_memory_from(1 if device.type == "meta" else 4)(k),
    )
    monkeypatch.setitem(fuse.MOST_TOGETHER, "meta", 1)
    assert [trainer.batch_size(TINY), trainer.batch_size(TINY)] == [2, 2]
    assert len(caplog.records) == 1
    assert "on the CPU" in caplog.text
    trials = [({"alpha": 0.1}, 0)]
    (result,) = trainer.train(
        TINY, "filter_flip", trials, lambda _: (), test=False, stopping=lambda: False
    )
    assert result.val_accuracy > 0.3
