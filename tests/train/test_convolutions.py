"""How binary convolutions are done: timed once, kept, part of what decides a run."""

import json

import pytest
import torch

from tuner.bnn import sign_conv
from tuner.bnn.models import build_network
from tuner.bnn.sign_conv import Way
from tuner.errors import Interrupted
from tuner.train import Keep, TrialConfig, check, conditions, convolutions, train
from tuner.train.checkpoint import digest
from tuner.train.convolutions import in_words, sign_convolutions, ways
from tuner.train.precision import activation_dtype
from tuner.train.run import Run
from tuner.workload import Workload

CPU = torch.device("cpu")
CNN = Workload(model="cnn", widths=(6, 6, 8, 8), n_train=64, batch_size=32, epochs=3)
TRIALS = [TrialConfig("filter_flip", {"alpha": 0.1}, seed) for seed in (3, 4)]
FAST, SLOW = (1.0, 0.7, 0.1), (1.0, 2.0, 2.0)
"""Seconds of a layer by torch, forward by signs, and both by signs."""
LAYER = convolutions.Layer(32, 6, 8, 4, 4, 1, "float32")

needs_signs = pytest.mark.skipif(  # a text, so that nothing is compiled while tests are collected
    "not sign_conv.trusted()", reason="needs a C++ compiler, and AVX2"
)


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch, tmp_path):
    """An empty cache folder but for the library, and nothing timed before."""
    library = convolutions.kernels.identity() if sign_conv.trusted() else ""
    monkeypatch.setattr(convolutions.kernels, "identity", lambda: library)
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    forget = convolutions._seconds.cache_clear
    forget()
    yield
    forget()


@pytest.fixture
def pretend(monkeypatch):
    """Let the ways of a layer take so long; returns the list of the layers that were timed."""

    def pretend(torchs, forward, both):
        timed = []
        seconds = {Way.TORCH: torchs, Way.FORWARD: forward, Way.BOTH: both}
        monkeypatch.setattr(convolutions, "_measure", lambda at: timed.append(at) or seconds)
        convolutions._seconds.cache_clear()
        return timed

    return pretend


def chosen(workload):
    return ways(workload, CPU, activation_dtype(workload, CPU))


@needs_signs
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((1.0, 0.7, 0.1), Way.BOTH),
        ((1.0, 0.7, 0.68), Way.FORWARD),
        ((1.0, 2.0, 0.7), Way.BOTH),
        ((1.0, 0.9, 0.85), Way.TORCH),
        ((1.0, 2.0, 2.0), Way.TORCH),
    ],
)
def test_what_is_clearly_faster_is_taken(seconds, expected, pretend):
    pretend(*seconds)
    assert chosen(CNN) == (expected,) * 3
    run = Run(CNN, TRIALS, CPU)
    assert [layer.way for layer in sign_convolutions(run.network)] == [expected] * 3


@needs_signs
@pytest.mark.parametrize(
    ("precision", "expected"),
    [("float32", Way.FORWARD), ("bfloat16", Way.FORWARD), ("float64", Way.TORCH)],
)
def test_a_precision_that_is_named_never_rounds_gradients_further(precision, expected, pretend):
    pretend(1.0, 0.7, 0.1)
    workload = Workload(**{**vars(CNN), "precision": precision})
    assert chosen(workload) == (expected,) * 3
    assert conditions(workload, "cpu")["convolutions"] == expected


def test_on_other_devices_torch_does_all(pretend):
    timed = pretend(1.0, 0.7, 0.1)
    assert ways(CNN, torch.device("cuda"), torch.bfloat16) == (Way.TORCH,) * 3
    assert timed == []


@needs_signs
def test_the_answer_is_kept_and_two_layers_of_one_shape_have_one(pretend, tmp_path):
    timed = pretend(*FAST)
    model = {"model": "bireal_resnet20", "widths": (4, 6), "n_train": 64}
    workload = Workload(**model)
    assert chosen(workload) == (Way.BOTH,) * 12
    sizes = [(at.channels, at.outputs, at.height, at.width, at.stride) for at in timed]
    assert sizes == [(4, 4, 8, 8, 1), (4, 6, 8, 8, 2), (6, 6, 4, 4, 1)]
    again = pretend(*SLOW)
    assert chosen(Workload(**model, epochs=7)) == (Way.BOTH,) * 12
    assert again == []
    assert len(list((tmp_path / "cache").glob("convolution-*.json"))) == 3
    assert chosen(Workload(**model, batch_size=16)) == (Way.TORCH,) * 12


@needs_signs
@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"seconds": {}}', '{"seconds": {"torch": 0}}', "[]"]
)
def test_a_file_that_is_no_answer_is_written_again(text, pretend, tmp_path):
    pretend(*FAST)
    assert chosen(CNN) == (Way.BOTH,) * 3
    files = list((tmp_path / "cache").glob("*.json"))
    for file in files:
        file.write_text(text)
    timed = pretend(*SLOW)
    assert chosen(CNN) == (Way.TORCH,) * 3
    assert len(timed) == len(files) == 3
    assert all(json.loads(file.read_text())["seconds"]["torch"] == 1.0 for file in files)


@needs_signs
def test_of_two_processes_that_time_at_once_both_take_the_first_answer(monkeypatch, pretend):
    def another_answers_meanwhile(_):
        pretend(*FAST)
        assert convolutions._seconds(LAYER)[Way.BOTH] == 0.1
        convolutions._seconds.cache_clear()
        return dict.fromkeys(Way, 7.0)

    monkeypatch.setattr(convolutions, "_measure", another_answers_meanwhile)
    assert convolutions._seconds(LAYER)[Way.BOTH] == 0.1


@needs_signs
def test_without_a_cache_folder_every_process_times_for_itself(monkeypatch, pretend, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "file"))
    timed = pretend(*FAST)
    assert chosen(CNN) == (Way.BOTH,) * 3
    assert len(timed) == 3


@needs_signs
def test_all_ways_are_really_timed():
    seconds = convolutions._measure(LAYER)
    assert set(seconds) == set(Way)
    assert 0 < min(seconds.values()) <= max(seconds.values()) < 60


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ((Way.TORCH, Way.TORCH), "torch"),
        ((Way.BOTH,), "by signs, gradients int16"),
        ((Way.FORWARD, Way.FORWARD), "forward by signs"),
        ((Way.BOTH, Way.TORCH, Way.BOTH), "2 torch; 1, 3 by signs, gradients int16"),
    ],
)
def test_the_record_names_them(chosen, words):
    assert in_words(chosen) == words


@needs_signs
def test_they_are_part_of_what_decides_a_run(pretend, monkeypatch):
    pretend(*FAST)
    assert conditions(CNN, "cpu")["convolutions"] == "by signs, gradients int16"
    assert "convolutions" not in conditions(Workload(), "cpu")
    one = digest(CNN, TRIALS, "cpu")
    seconds = dict(zip(Way, FAST, strict=True))
    slow = dict(zip(Way, SLOW, strict=True))
    monkeypatch.setattr(
        convolutions, "_seconds", lambda layer: seconds if layer.height > 4 else slow
    )
    expected = "2, 3 torch; 1 by signs, gradients int16"
    assert conditions(CNN, "cpu")["convolutions"] == expected
    assert digest(CNN, TRIALS, "cpu") != one


@needs_signs
def test_interrupted_training_by_signs_ends_as_if_it_had_not_been(pretend, tmp_path):
    def curves(results):
        return [
            [(p.train_loss, p.val_accuracy, p.flip_ratio) for p in result.curve]
            for result in results
        ]

    def stop_one(report):
        return [1] if report.epoch == 1 else []

    pretend(*SLOW)
    by_torch = train(CNN, TRIALS, stop_one)
    (tmp_path / "cache").rename(tmp_path / "before")
    pretend(*FAST)
    alone = train(CNN, TRIALS, stop_one)
    with pytest.raises(Interrupted):
        train(CNN, TRIALS, stop_one, keep=Keep(tmp_path, lambda: True))
    resumed = train(CNN, TRIALS, stop_one, keep=Keep(tmp_path))
    assert [len(result.curve) for result in resumed] == [3, 1]
    assert curves(resumed) == curves(alone) != curves(by_torch)


@needs_signs
@pytest.mark.parametrize(("both", "lines"), [(0.1, 1), (2.0, 0)])
def test_that_gradients_are_rounded_is_said_once(both, lines, pretend, caplog):
    pretend(1.0, 0.7, both)
    check(CNN)
    said = [line for line in caplog.messages if "gradients" in line]
    assert len(said) == lines
    assert all('precision = "float32"' in line for line in said)


def test_the_layers_are_found_in_the_order_of_the_network():
    network = build_network(CNN, (1, 8, 8), 10, [0])
    assert [tuple(layer.weight.shape[1:3]) for layer in sign_convolutions(network)] == [
        (6, 6),
        (8, 6),
        (8, 8),
    ]
