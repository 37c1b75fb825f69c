"""Which number type is taken, and that bfloat16 costs no accuracy."""

import numpy as np
import pytest
import torch

from tuner.compare.statistics.endpoints import mean_interval
from tuner.compare.statistics.estimate import classify
from tuner.train import TrialConfig, check, loop, train
from tuner.train import precision as precision_module
from tuner.train.precision import activation_dtype
from tuner.train.run import Run
from tuner.workload import Workload

CPU = torch.device("cpu")

FILTER = {"alpha": 3e-3, "gamma": 0.1, "alpha_decay": "cosine"}
CASES = {  # workload, rule, settings, seeds, and the difference that does not matter
    "all binary": (
        {"widths": (128, 128), "binary_ends": True, "epochs": 5},
        "filter_flip",
        FILTER,
        64,
        0.0075,
    ),
    "real ends": ({"widths": (64, 64, 64), "epochs": 5}, "filter_flip", FILTER, 64, 0.0075),
    "scaled latent weights": (
        {"widths": (64, 64, 64), "epochs": 5},
        "latent_sgd",
        {"learning_rate": 0.1, "momentum": 0.9, "scaling": True, "learning_rate_decay": "cosine"},
        64,
        0.0075,
    ),
    "convolutions": ({"model": "cnn", "widths": (8, 8, 16, 16)}, "filter_flip", FILTER, 20, 0.015),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_bfloat16_and_float32_end_at_equivalent_accuracies(case):
    changes, rule, settings, n_seeds, rope = CASES[case]
    found = {}
    for precision in ("bfloat16", "float32"):
        workload = Workload(**changes, precision=precision)
        results = train(workload, [TrialConfig(rule, settings, seed) for seed in range(n_seeds)])
        found[precision] = np.array([result.val_accuracy for result in results])
    assert not np.array_equal(found["bfloat16"], found["float32"])
    estimate = mean_interval(found["bfloat16"] - found["float32"])
    assert classify(estimate, rope) == "equivalent", estimate


@pytest.mark.parametrize(
    ("has_it", "precision", "expected"),
    [
        (True, "auto", torch.bfloat16),
        (False, "auto", torch.float32),
        (True, "float32", torch.float32),
        (False, "bfloat16", torch.bfloat16),
        (True, "float64", torch.float64),
    ],
)
def test_auto_takes_bfloat16_where_the_processor_has_it(has_it, precision, expected, monkeypatch):
    monkeypatch.setattr(precision_module, "has_bfloat16", lambda _: has_it)
    workload = Workload(precision=precision)
    assert activation_dtype(workload, torch.device("cpu")) == expected


def test_in_bfloat16_states_real_weights_and_logits_stay_in_float32():
    workload = Workload(widths=(16, 16), n_train=128, precision="bfloat16")
    run = Run(workload, [TrialConfig("filter_flip", FILTER, seed) for seed in (0, 1)], CPU)
    images, labels = next(iter(run.batches.epoch([0, 1], 1)))
    run.step(images, labels)
    assert images.dtype == torch.bfloat16
    assert {weight.dtype for weight in run.binary} == {torch.bfloat16}
    assert {weight.dtype for weight in run.real} == {torch.float32}
    assert run.network(images).dtype == torch.float32
    states = [value for state in run.rule.state.values() for value in state.values()]
    assert {value.dtype for value in states} == {torch.float32}


@pytest.mark.parametrize(
    ("has_it", "precision", "messages"),
    [(False, "auto", 1), (True, "auto", 0), (False, "float32", 0)],
)
def test_a_processor_without_bfloat16_is_spoken_of_once(
    has_it, precision, messages, monkeypatch, caplog
):
    monkeypatch.setattr(loop, "has_bfloat16", lambda _: has_it)
    check(Workload(precision=precision))
    said = [line for line in caplog.messages if "no bfloat16" in line]
    assert len(said) == messages
    assert all("float32" in line for line in said)
