"""How binary layers are done: timed once, kept, part of what decides a run."""

import json

import pytest
import torch

from tuner.bnn import sign_conv, sign_product
from tuner.bnn.sign_conv import Way
from tuner.errors import Interrupted
from tuner.train import Keep, TrialConfig, check, conditions, train
from tuner.train.checkpoint import digest
from tuner.train.precision import activation_dtype
from tuner.train.run import Run
from tuner.train.signs import timing
from tuner.train.signs import ways as module
from tuner.train.signs.sizes import Convolution, Product, sign_convolutions, sign_products
from tuner.train.signs.ways import Ways, ways
from tuner.workload import Workload

CPU = torch.device("cpu")
CNN = Workload(model="cnn", widths=(6, 6, 8, 8), n_train=64, batch_size=32, epochs=3)
MLP = Workload(model="mlp", widths=(24, 20, 12), n_train=64, batch_size=32, epochs=3)
TRIALS = [TrialConfig("filter_flip", {"alpha": 0.1}, seed) for seed in (3, 4)]
FAST, SLOW = (1.0, 0.7, 0.1), (1.0, 2.0, 2.0)
"""Seconds of a layer by torch, forward by signs, and both by signs."""
LAYER = Convolution(32, 6, 8, 4, 4, 1, "float32")
PRODUCT = Product(8, 24, 20, "bfloat16", last=True)


def trusted():
    return sign_conv.trusted() and sign_product.trusted()


needs_signs = pytest.mark.skipif(  # a text, so that nothing is compiled while tests are collected
    "not trusted()", reason="needs a C++ compiler, and AVX2"
)


@pytest.fixture(autouse=True)
def _forgetful(monkeypatch, tmp_path):
    """An empty cache folder but for the library, and nothing timed before."""
    library = timing.kernels.identity() if trusted() else ""
    monkeypatch.setattr(timing.kernels, "identity", lambda: library)
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    forget()
    yield
    forget()


def forget():
    timing.step_seconds.cache_clear()
    timing.forward_seconds.cache_clear()


@pytest.fixture
def pretend(monkeypatch):
    """Let the ways of a layer take so long; returns the list of the layers that were timed."""

    def pretend(torchs, forward, both):
        timed = []
        seconds = {Way.TORCH: torchs, Way.FORWARD: forward, Way.BOTH: both}
        for kind in ("_steps", "_forwards"):
            monkeypatch.setattr(timing, kind, lambda layer: timed.append(layer) or {})
        monkeypatch.setattr(timing, "_least", lambda _: seconds)
        forget()
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
    assert chosen(CNN).convolutions == (expected,) * 3
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
    assert chosen(workload).convolutions == (expected,) * 3
    assert conditions(workload, "cpu")["convolutions"] == expected


def test_on_other_devices_torch_does_all(pretend):
    timed = pretend(1.0, 0.7, 0.1)
    by_torch = ways(CNN, torch.device("cuda"), torch.bfloat16)
    assert by_torch == Ways((Way.TORCH,) * 3, ())
    assert timed == []


@needs_signs
def test_where_nothing_is_trained_forward_alone_is_timed_and_changes_no_number(monkeypatch):
    def curves():
        run = Run(CNN, TRIALS, CPU)
        found = [(layer.way, layer.way_in_eval) for layer in sign_convolutions(run.network)]
        return found, conditions(CNN, "cpu"), [r.curve[0].val_accuracy for r in train(CNN, TRIALS)]

    slow, fast = (dict(zip(Way, seconds, strict=True)) for seconds in (SLOW, FAST))
    monkeypatch.setattr(module, "step_seconds", lambda _: slow)
    monkeypatch.setattr(module, "forward_seconds", lambda _: slow)
    by_torch = curves()
    monkeypatch.setattr(module, "forward_seconds", lambda _: fast)
    by_signs = curves()
    assert by_torch[0] == [(Way.TORCH, Way.TORCH)] * 3
    assert by_signs[0] == [(Way.TORCH, Way.FORWARD)] * 3
    assert by_signs[1:] == by_torch[1:]


@needs_signs
def test_the_answer_is_kept_and_two_layers_of_one_shape_have_one(pretend, tmp_path):
    timed = pretend(*FAST)
    model = {"model": "bireal_resnet20", "widths": (4, 6), "n_train": 64}
    workload = Workload(**model)
    assert chosen(workload).convolutions == (Way.BOTH,) * 12
    sizes = [(at.channels, at.outputs, at.height, at.width, at.stride) for at in timed]
    assert sizes == [(4, 4, 8, 8, 1), (4, 6, 8, 8, 2), (6, 6, 4, 4, 1)]
    again = pretend(*SLOW)
    assert chosen(Workload(**model, epochs=7)).convolutions == (Way.BOTH,) * 12
    assert again == []
    assert len(list((tmp_path / "cache").glob("convolution-*.json"))) == 3
    assert not list((tmp_path / "cache").glob("forward-convolution-*.json"))
    assert chosen(Workload(**model, batch_size=16)).convolutions == (Way.TORCH,) * 12


@needs_signs
@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"seconds": {}}', '{"seconds": {"torch": 0}}', "[]"]
)
def test_a_file_that_is_no_answer_is_written_again(text, pretend, tmp_path):
    pretend(*FAST)
    assert chosen(CNN).convolutions == (Way.BOTH,) * 3
    files = list((tmp_path / "cache").glob("*.json"))
    for file in files:
        file.write_text(text)
    timed = pretend(*SLOW)
    assert chosen(CNN).convolutions == (Way.TORCH,) * 3
    assert len(timed) == len(files) == 3
    assert all(json.loads(file.read_text())["seconds"]["torch"] == 1.0 for file in files)


@needs_signs
def test_of_two_processes_that_time_at_once_both_take_the_first_answer(monkeypatch, pretend):
    def another_answers_meanwhile(_):
        pretend(*FAST)
        assert timing.step_seconds(LAYER)[Way.BOTH] == 0.1
        forget()
        return dict.fromkeys(Way, 7.0)

    monkeypatch.setattr(timing, "_least", another_answers_meanwhile)
    assert timing.step_seconds(LAYER)[Way.BOTH] == 0.1


@needs_signs
def test_without_a_cache_folder_every_process_times_for_itself(monkeypatch, pretend, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "file"))
    timed = pretend(*FAST)
    assert chosen(CNN).convolutions == (Way.BOTH,) * 3
    assert len(timed) == 3


@needs_signs
@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (lambda: timing.step_seconds(LAYER), set(Way)),
        (lambda: timing.forward_seconds(LAYER), {Way.TORCH, Way.FORWARD}),
        (lambda: timing.step_seconds(PRODUCT), set(Way)),
        (lambda: timing.forward_seconds(PRODUCT), {Way.TORCH, Way.FORWARD}),
    ],
    ids=["convolution", "convolution forward", "product", "product forward"],
)
def test_all_ways_are_really_timed(seconds, expected):
    assert set(seconds()) == expected
    assert 0 < min(seconds().values()) <= max(seconds().values()) < 60


@needs_signs
def test_what_is_timed_is_done_in_that_way(monkeypatch):
    asked = []
    monkeypatch.setattr("tuner.bnn.layers.sign_product", lambda *given: asked.append(given))
    by = timing._forwards(PRODUCT)
    by[Way.TORCH]()
    by[Way.FORWARD]()
    assert [given[-1] for given in asked] == [Way.TORCH, Way.FORWARD]
    x, weight, dtype, _ = asked[0]
    assert (tuple(x.shape), tuple(weight.shape)) == ((16, 8, 24), (16, 20, 24))
    assert (x.dtype, dtype) == (torch.bfloat16, torch.float32)


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
    assert Ways(chosen, ()).in_words() == {"convolutions": words}
    assert Ways((), chosen).in_words() == {"products": words}


@needs_signs
def test_they_are_part_of_what_decides_a_run(pretend, monkeypatch):
    pretend(*FAST)
    assert conditions(CNN, "cpu")["convolutions"] == "by signs, gradients int16"
    assert "convolutions" not in conditions(MLP, "cpu")
    assert "products" not in conditions(CNN, "cpu")
    one = digest(CNN, TRIALS, "cpu")
    seconds = dict(zip(Way, FAST, strict=True))
    slow = dict(zip(Way, SLOW, strict=True))
    monkeypatch.setattr(
        module, "step_seconds", lambda layer: seconds if layer.height > 4 else slow
    )
    expected = "2, 3 torch; 1 by signs, gradients int16"
    assert conditions(CNN, "cpu")["convolutions"] == expected
    assert digest(CNN, TRIALS, "cpu") != one


def curves(results):
    return [
        [(p.train_loss, p.val_accuracy, p.flip_ratio) for p in result.curve] for result in results
    ]


@needs_signs
@pytest.mark.parametrize("workload", [CNN, MLP], ids=["cnn", "mlp"])
def test_interrupted_training_by_signs_ends_as_if_it_had_not_been(workload, pretend, tmp_path):
    def stop_one(report):
        return [1] if report.epoch == 1 else []

    pretend(*SLOW)
    by_torch = train(workload, TRIALS, stop_one)
    (tmp_path / "cache").rename(tmp_path / "before")
    pretend(*FAST)
    alone = train(workload, TRIALS, stop_one)
    with pytest.raises(Interrupted):
        train(workload, TRIALS, stop_one, keep=Keep(tmp_path, lambda: True))
    resumed = train(workload, TRIALS, stop_one, keep=Keep(tmp_path))
    assert [len(result.curve) for result in resumed] == [3, 1]
    assert curves(resumed) == curves(alone) != curves(by_torch)


@needs_signs
@pytest.mark.parametrize("workload", [CNN, MLP], ids=["cnn", "mlp"])
@pytest.mark.parametrize(("both", "lines"), [(0.1, 1), (2.0, 0)])
def test_that_gradients_are_rounded_is_said_once(workload, both, lines, pretend, caplog):
    pretend(1.0, 0.7, both)
    check(workload)
    said = [line for line in caplog.messages if "gradients" in line]
    assert len(said) == lines
    assert all('precision = "float32"' in line for line in said)


@needs_signs
@pytest.mark.parametrize(
    ("seconds", "precision", "expected"),
    [
        ((1.0, 0.7, 0.1), "auto", Way.BOTH),
        ((1.0, 0.7, 0.1), "float32", Way.FORWARD),
        ((1.0, 0.9, 0.9), "auto", Way.TORCH),
        ((1.0, 0.1, 0.1), "float64", Way.TORCH),
    ],
)
def test_fully_connected_layers_go_by_signs_where_that_is_clearly_faster(
    seconds, precision, expected, pretend
):
    pretend(*seconds)
    workload = Workload(**{**vars(MLP), "precision": precision})
    assert chosen(workload) == Ways((), (expected,) * 2)
    assert conditions(workload, "cpu")["products"] == expected
    run = Run(workload, TRIALS, CPU)
    forward = Way.TORCH if expected is Way.TORCH else Way.FORWARD
    layers = sign_products(run.network)
    assert [(layer.way, layer.way_in_eval) for layer in layers] == [(expected, forward)] * 2


@needs_signs
def test_a_product_forward_by_signs_changes_no_number_but_what_decides_a_run(pretend, tmp_path):
    pretend(*SLOW)
    by_torch, before = curves(train(MLP, TRIALS)), digest(MLP, TRIALS, "cpu")
    (tmp_path / "cache").rename(tmp_path / "before")
    pretend(1.0, 0.7, 0.65)
    assert curves(train(MLP, TRIALS)) == by_torch
    assert digest(MLP, TRIALS, "cpu") != before
