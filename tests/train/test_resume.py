"""Training that was interrupted and gone on with equals training left alone, bit for bit."""

import math
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest
import torch
from torch import Tensor

from tuner import kernels
from tuner.errors import Interrupted
from tuner.rules import RULES
from tuner.train import Keep, TrialConfig, train
from tuner.train.run import Run
from tuner.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
SIZE = {"epochs": 6, "batch_size": 32, "n_train": 64}
MODELS = {
    "mlp": {"widths": (24, 16), "binary_ends": True},
    "cnn": {"widths": (4, 6), "augment": "flip_crop"},
    "bireal_resnet20": {"widths": (4, 8), "augment": "crop"},
    "reactnet": {"widths": (4, 8), "augment": "flip", "real_epochs": 2},
    "mlp in two steps": {"widths": (24, 16), "real_epochs": 3},
}
LATENT = [
    {"learning_rate": 0.1, "scaling": True},
    {"learning_rate": 0.1},
    {"learning_rate": 0.1},
    {"learning_rate": 0.3, "learning_rate_decay": "step", "clip": 0.5},
    {"learning_rate": 0.03, "learning_rate_decay": "cosine", "weight_decay": 0.1},
]
COUPLED = {"coupled": True, "momentum": 0.9}
SETTINGS = {
    "filter_flip": [
        {"alpha": 1e-2, "gamma": 0.3, "alpha_decay": "cosine"},
        {"alpha": 1e-1},
        {"alpha": 1e-3},
        {"alpha": 1e-1, "gamma": 0.1, "alpha_decay": "linear"},
        {"alpha": 3e-2, "gamma": 0.5, "alpha_decay": "step"},
    ],
    "designed_filter": [
        {"memory": 100.0, "cutoff_decay": "cosine"},
        {"memory": 10.0, "family": "bessel", "order": 3},
        {"memory": 1e3, "family": "butterworth", "order": 4},
        {"memory": 0.1, "memory_unit": "runs", "family": "damped", "damping": 0.4},
        {"memory": 30.0, "family": "moving_average", "order": 1, "cutoff_decay": "step"},
    ],
    "latent_sgd": [settings | {"momentum": 0.5} for settings in LATENT],
    "latent_sgd coupled": [settings | COUPLED | {"dampening": 0.3} for settings in LATENT],
    "latent_sgd nesterov": [settings | COUPLED | {"nesterov": True} for settings in LATENT],
    "latent_adam": LATENT,
    "latent_adamw": LATENT,
    "latent_signsgd": LATENT,
    "latent_lion": LATENT,
    "bop2nd_order": [{"gamma": gamma, "tau": gamma} for gamma in (1e-2, 0.1, 0.1, 0.3, 0.03)],
    "sgdat": [{"learning_rate": 1.0, "threshold": tau} for tau in (1e-3, 1e-2, 1e-4, 1e-3, 0)],
    "bayes_binn": [{"learning_rate": eta, "momentum": 0.3} for eta in (1e-2, 0.1, 0.1, 0.3, 0.03)],
    "target_flip_ratio": [
        {"flip_ratio": 0.02, "flip_ratio_decay": decay}
        for decay in ("cosine", "constant", "linear", "step", "constant")
    ],
    "bop": [{"gamma": gamma, "tau": 1e-4 * gamma} for gamma in (1e-2, 0.1, 0.1, 0.3, 0.03)],
}
STOPS = {1: [1], 5: [3]}
"""After which epoch ``on_epoch`` stops which trial: one before an interruption, one with it."""

DIVERGING = 2
CASES = [("mlp", rule) for rule in SETTINGS] + [
    (model, rule)
    for model in ("cnn", "bireal_resnet20")
    for rule in ("filter_flip", "latent_sgd coupled")
]
CASES += [
    ("reactnet", "filter_flip"),  # told to stop where the second step is to begin
    ("mlp in two steps", "filter_flip"),
    ("mlp in two steps", "target_flip_ratio"),
]


def stop(report):
    return STOPS.get(report.epoch, ())


def batch(case):
    rule = case.partition(" ")[0]
    return [TrialConfig(rule, one, seed) for seed, one in enumerate(SETTINGS[case], start=5)]


def told_to_stop_after(epochs):
    """``stopping``, true when it is asked the so many-th time."""
    asked = iter(range(1, 1000))
    return lambda: next(asked) == epochs


def exact(value):
    """The value as what can be compared bit for bit: tensors and numbers as their bytes."""
    match value:
        case Tensor():
            as_bytes = value.contiguous().flatten().view(torch.uint8).tolist()
            return value.dtype, value.shape, value.stride(), as_bytes
        case float():
            return "nan" if math.isnan(value) else value.hex()
        case dict():
            return {name: exact(part) for name, part in value.items()}
        case list() | tuple():
            return [exact(part) for part in value]
    return value


def outcome(result):
    """All that a result holds but its times."""
    curve = [(p.epoch, p.train_loss, p.val_accuracy, p.flip_ratio) for p in result.curve]
    ends = result.val_accuracy, result.test_accuracy, result.diverged, result.stopped, result.steps
    return exact([curve, ends])


@pytest.fixture
def ends(monkeypatch):
    """The states in which runs ended, without the curves."""
    states = []
    results = Run.results

    def record(run, *, test):
        state = run.state()
        del state["curves"]
        states.append(exact(state))
        return results(run, test=test)

    monkeypatch.setattr(Run, "results", record)
    return states


@pytest.fixture
def one_diverges(monkeypatch):
    """A trial has a weight that is not a number before its first step."""
    epoch = Run.epoch

    def poisoned(run, number):
        if number == 1:
            run.real[0].data[DIVERGING] = math.nan
        return epoch(run, number)

    monkeypatch.setattr(Run, "epoch", poisoned)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [True, False], ids=["kernels", "torch"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("model", "rule"), CASES)
@pytest.mark.usefixtures("one_diverges")
def test_interrupted_training_ends_as_if_it_had_not_been(
    model, rule, precision, compiled, ends, tmp_path, monkeypatch, caplog
):
    if not compiled:
        monkeypatch.setattr(kernels, "library", lambda: None)
    elif kernels.library() is None:
        pytest.skip("needs a C++ compiler")
    name = model.partition(" ")[0]
    workload = Workload(model=name, **MODELS[model], **SIZE, precision=precision)
    trials = batch(rule)
    alone = train(workload, trials, stop, test=True)
    for epochs in (2, 3):  # to the second epoch, then to the fifth
        with pytest.raises(Interrupted):
            train(workload, trials, stop, keep=Keep(tmp_path, told_to_stop_after(epochs)))
    resumed = train(workload, trials, stop, keep=Keep(tmp_path), test=True)
    assert "training starts over" not in caplog.text
    assert [len(result.curve) for result in alone] == [6, 1, 1, 5, 6]
    assert [result.stopped for result in alone] == [False, True, False, True, False]
    assert alone[DIVERGING].diverged
    assert list(map(outcome, resumed)) == list(map(outcome, alone))
    assert ends[1] == ends[0]


def test_every_rule_is_tried():
    assert {case.partition(" ")[0] for case in SETTINGS} == set(RULES)


def test_training_goes_on_after_the_last_epoch_kept_and_counts_the_seconds_before(tmp_path):
    workload = Workload(**MODELS["mlp"], **SIZE)
    reports = []

    def on_epoch(report):
        reports.append(report)
        return stop(report)

    with pytest.raises(Interrupted, match="after epoch 4 of 6"):
        train(workload, batch("bop"), on_epoch, keep=Keep(tmp_path, told_to_stop_after(4)))
    results = train(workload, batch("bop"), on_epoch, keep=Keep(tmp_path))
    assert [report.epoch for report in reports] == [1, 2, 3, 4, 5, 6]
    for position, result in enumerate(results):
        seconds = [
            report.seconds[report.trials.index(position)]
            for report in reports
            if position in report.trials
        ]
        assert [point.seconds for point in result.curve] == seconds
        assert result.seconds == sum(seconds)


KILLED = """
import os
from pathlib import Path
from tuner.train import Keep, TrialConfig, files, train
from tuner.workload import Workload

fsync, saves = os.fsync, []

def kill_at_the_third_save(file):
    saves.append(file)
    if {writing} and len(saves) == 3:
        os.kill(os.getpid(), {signal})
    fsync(file)

def on_epoch(report):
    if report.epoch == 4:
        os.kill(os.getpid(), {signal})
    return {stops}.get(report.epoch, ())

os.fsync = kill_at_the_third_save
train({workload}, {trials}, on_epoch, keep=Keep(Path({folder!r}), seconds=0))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("writing", "kept"), [(False, 3), (True, 2)])
def test_a_process_killed_between_epochs_or_while_it_writes_loses_no_more_than_that(
    writing, kept, ends, tmp_path
):
    workload = Workload(**MODELS["mlp"], **SIZE)
    trials = batch("filter_flip")
    script = KILLED.format(
        writing=writing,
        signal=int(SIGKILL),
        stops=STOPS,
        workload=workload,
        trials=trials,
        folder=str(tmp_path),
    )
    process = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert process.returncode == -SIGKILL
    assert len(list(tmp_path.glob("*.part"))) == int(writing)
    epochs = []

    def on_epoch(report):
        epochs.append(report.epoch)
        return stop(report)

    resumed = train(workload, trials, on_epoch, keep=Keep(tmp_path), test=True)
    assert epochs == list(range(kept + 1, 7))
    alone = train(workload, trials, stop, test=True)
    assert list(map(outcome, resumed)) == list(map(outcome, alone))
    assert ends[0] == ends[1]
