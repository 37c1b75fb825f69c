"""How many trials are trained at once: measured, kept, and refused where there is no room."""

import json
import time

import pytest
import torch

from tuner.errors import DeviceTooSmall
from tuner.search.work.torch_trainer import TorchTrainer
from tuner.train import fuse, trials_per_batch
from tuner.train.run import Run
from tuner.train.threads import one_thread
from tuner.trial import EpochReport
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
        (lambda k: 1e-3 * k**0.99, 1, [1, 2, 4]),
        (lambda _: 0.2, 1, [1]),
        (lambda k: 0.04 + 0.001 * k, 16, [1, 2, 4, 8, 16]),
    ],
    ids=["overhead", "arithmetic", "until 8", "hardly", "long", "until long"],
)
@pytest.mark.usefixtures("cache")
def test_more_trials_are_fused_as_long_as_it_pays(seconds, expected, timed, monkeypatch):
    seen = pretend(monkeypatch, seconds)
    assert trials_per_batch(TINY, "cpu") == expected
    assert seen == 3 * timed


@pytest.mark.usefixtures("cache")
def test_what_disturbs_one_round_does_not_decide(monkeypatch):
    rounds = iter([1.0, 1.0, 3.0, *[1.0] * 4, *[1.0] * 6, 3.0, *[1.0] * 7])
    pretend(monkeypatch, lambda k: 1e-3 * next(rounds) * max(k, 4) / 4)
    assert trials_per_batch(TINY, "cpu") == 4


@pytest.mark.slow
def test_a_real_measurement_times_real_steps(cache):
    most = trials_per_batch(TINY, "cpu")
    (kept,) = cache.glob("trials-per-batch-*.json")
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
        '{"trials": 8}',
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


@pytest.mark.slow
def test_waiting_for_others_on_the_machine_is_no_part_of_the_measurement(monkeypatch):
    step = Run.step

    def held_up(run, images, labels):
        time.sleep(0.02 * len(run.trials))
        return step(run, images, labels)

    monkeypatch.setattr(Run, "step", held_up)
    with one_thread():
        assert fuse._step_seconds(TINY, 2, torch.device("cpu")) < 0.04


def read(cache):
    (kept,) = cache.glob("*.json")
    return json.loads(kept.read_text(encoding="utf-8"))


def train_batches(n_batches, n_trials, step_seconds, *, seconds=60.0):
    """What watches real batches sees of so many, each of one epoch and this long."""
    for _ in range(n_batches):
        watched = fuse.Watched(n_trials, lambda _: ())
        each = (0.9,) * n_trials
        watched(
            EpochReport(
                1,
                tuple(range(n_trials)),
                train_loss=each,
                val_accuracy=each,
                flip_ratio=each,
                seconds=(seconds / n_trials,) * n_trials,
                train_seconds=each,
                step_seconds=step_seconds,
            )
        )
        watched.note(TINY, "cpu")


def test_a_busy_neighbour_at_the_first_measurement_does_not_decide_for_good(cache, monkeypatch):
    pretend(monkeypatch, lambda k: 1e-3 if k <= 8 else 1e-3 * k)  # larger ones were disturbed
    assert trials_per_batch(TINY, "cpu") == 8
    timed = pretend(monkeypatch, lambda _: 1e-3)
    train_batches(4, 8, 1e-3)
    assert (trials_per_batch(TINY, "cpu"), timed) == (8, [])
    train_batches(1, 8, 1e-3)  # as promised, and yet it may be wrong about others
    assert trials_per_batch(TINY, "cpu") == 64
    assert len(read(cache)["measured_at"]) == 2
    timed.clear()
    train_batches(30, 64, 1e-3)
    assert (trials_per_batch(TINY, "cpu"), timed) == (64, [])


@pytest.mark.usefixtures("cache")
def test_a_neighbour_at_the_second_measurement_does_not_spoil_the_first(monkeypatch):
    pretend(monkeypatch, lambda _: 1e-3)
    assert trials_per_batch(TINY, "cpu") == 64
    train_batches(5, 64, 1e-3)
    timed = pretend(monkeypatch, lambda k: 1e-3 if k <= 8 else 1e-3 * k)
    assert trials_per_batch(TINY, "cpu") == 64
    assert timed


@pytest.mark.parametrize(("share", "again"), [(0.5, True), (0.9, False), (1.4, False), (2, True)])
def test_batches_that_clearly_break_the_promise_have_it_measured_afresh(
    share, again, cache, monkeypatch
):
    pretend(monkeypatch, lambda k: 1e-4 * max(k, 8))
    trials_per_batch(TINY, "cpu")
    train_batches(5, 8, 8e-4)
    trials_per_batch(TINY, "cpu")  # confirmed
    timed = pretend(monkeypatch, lambda k: 1e-4 * share * max(k, 32))
    train_batches(4, 8, 8e-4 * share)
    train_batches(1, 8, 8e-4)
    train_batches(4, 8, 8e-4 * share)  # not five in a row
    assert (trials_per_batch(TINY, "cpu"), timed) == (8, [])
    train_batches(1, 8, 8e-4 * share)
    assert ("batches took" in read(cache)["doubt"]) is again
    assert trials_per_batch(TINY, "cpu") == (32 if again else 8)
    assert bool(timed) is again


def test_measuring_again_has_to_be_worth_its_time(cache, monkeypatch):
    pretend(monkeypatch, lambda _: 1e-3)
    trials_per_batch(TINY, "cpu")
    (kept,) = cache.glob("*.json")
    kept.write_text(json.dumps({**read(cache), "seconds": 5.0}), encoding="utf-8")
    train_batches(49, 64, 1e-3, seconds=1.0)
    assert read(cache)["doubt"] == ""
    train_batches(1, 64, 1e-3, seconds=1.0)
    assert read(cache)["doubt"]


def test_a_size_between_two_that_were_measured_is_promised_what_lies_between():
    chosen = fuse.Chosen(4, {1: 1.0, 2: 1.0, 4: 2.0}, ("then",), 1.0)
    assert [chosen.step_seconds(n) for n in (1, 2, 3, 4)] == [1.0, 2.0, 2.0, 2.0]
    assert fuse.Chosen(4, {1: 1.0, 4: 1.0}, (), 1.0).step_seconds(2) == 2.0
    assert chosen.step_seconds(5) is None
    assert chosen.after(5, 9.9, 1e9) == chosen


@pytest.mark.usefixtures("cache")
def test_real_batches_are_watched_and_their_record_says_what_was_measured(tmp_path, monkeypatch):
    pretend(monkeypatch, lambda k: 1e-3 * max(k, 4))
    trainer = TorchTrainer("cpu", checkpoints=tmp_path / "checkpoints")
    assert trainer.batch_size(TINY) == 4
    trials = [({"alpha": 0.1}, seed) for seed in range(4)]
    for n in (4, 2):
        trainer.train(
            TINY, "filter_flip", trials[:n], lambda _: (), test=False, stopping=lambda: False
        )
    answer = read(tmp_path / "cache")
    assert len(answer["ratios"]) == 2
    assert all(0 < ratio < 1e3 for ratio in answer["ratios"])
    assert answer["trained_seconds"] > 0
    record = trainer.conditions(TINY)["batch_size"]
    assert record == {key: answer[key] for key in ("trials", "measured_at", "load")}
