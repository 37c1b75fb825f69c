"""Trials are trained by the loss and scored by the metric that the workload names."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tuner.bnn.data.dataset import load_data
from tuner.errors import Interrupted, InvalidInput
from tuner.train import Keep, TrialConfig, check, train
from tuner.workload import Workload

MODULE = "own_for_tests"
HOME = Path(__file__).resolve().parents[1] / "bnn"
NUMBERS = Workload(
    dataset=f"{MODULE}:sums",
    model="mlp",
    widths=(16, 16),
    loss="mse",
    metric="loss",
    epochs=8,
    batch_size=16,
    real_learning_rate=0.1,
)
TRIALS = [TrialConfig("filter_flip", {"alpha": 1e-2}, seed) for seed in (1, 2)]


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)


def test_numbers_are_learned_by_squared_error_and_a_trial_alone_scores_the_same():
    together = train(NUMBERS, TRIALS, test=True)
    (alone,) = train(NUMBERS, TRIALS[1:], test=True)
    assert [r.curve[-1].val_accuracy < r.curve[0].val_accuracy / 2 for r in together] == [True] * 2
    assert together[1].val_accuracy == pytest.approx(alone.val_accuracy, rel=1e-4)
    assert together[1].test_accuracy == pytest.approx(alone.test_accuracy, rel=1e-4)
    assert together[0].test_hits is None


def test_the_loss_as_a_metric_is_that_of_the_whole_split():
    data = load_data(NUMBERS)
    (frozen,) = train(replace(NUMBERS, real_learning_rate=1e-9), [TrialConfig("bop", {}, 0)])
    target = data.val.labels
    spread = float((target - target.mean()).square().mean())
    assert frozen.val_accuracy > spread  # a network that was not trained knows nothing of them


@pytest.mark.parametrize("kind", ["float64", "int64", "uint8"])
def test_targets_may_be_numbers_of_any_type(kind):
    workload = replace(NUMBERS, dataset_options={"kind": kind}, epochs=1)
    assert load_data(workload).train.labels.dtype == getattr(torch, kind)
    (result,) = train(workload, TRIALS[:1])
    assert math.isfinite(result.val_accuracy)


def test_a_target_may_have_any_shape_with_a_loss_and_a_metric_of_ones_own():
    workload = Workload(
        dataset=f"{MODULE}:masks",
        model=f"{MODULE}:per_pixel",
        loss=f"{MODULE}:pixel_loss",
        metric=f"{MODULE}:iou",
        direction="maximize",
        epochs=3,
        batch_size=8,
    )
    counts = check(workload)
    assert counts is not None and "classes" not in str(counts)
    (result,) = train(workload, TRIALS[:1], test=True)
    assert 0 <= result.val_accuracy <= 1 and result.test_accuracy is not None


def test_a_trial_that_diverged_scores_as_outputs_that_are_all_zero_and_the_metric_is_not_asked():
    workload = replace(
        NUMBERS, metric=f"{MODULE}:absolute_error", direction="minimize", real_learning_rate=1e30
    )
    (result,) = train(workload, TRIALS[:1], test=True)
    zeros = float(load_data(workload).val.labels.abs().mean())
    assert result.diverged
    assert (result.val_accuracy, result.test_accuracy) == (pytest.approx(zeros),) * 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "cross_entropy"}, r"labels must be whole numbers from 0.*workload\.loss and"),
        ({"metric": "nobody:f"}, "TUNER_WORKLOADS=nobody"),
        ({"metric": f"{MODULE}:correlation"}, "correlation is nan for outputs that are all zero"),
        ({"metric": f"{MODULE}:not_a_number"}, "not_a_number must return a number, got a tensor"),
        ({"metric": f"{MODULE}:sums"}, r"is called as sums\(outputs, targets\)|raised"),
        ({"loss": f"{MODULE}:without_gradient"}, "tensor of one number that gradients flow back"),
        ({"loss": f"{MODULE}:not_a_number"}, r"must return the mean loss.*shape"),
    ],
)
def test_what_cannot_score_or_be_trained_is_refused_before_anything_is_trained(changes, words):
    if ":" in changes.get("metric", ""):
        changes = {"direction": "minimize", **changes}
    with pytest.raises(InvalidInput, match=words):
        check(replace(NUMBERS, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "accuracy"}, "accuracy is of classes"),
        ({"metric": f"{MODULE}:iou"}, "workload.direction: say which .*iou is better, 'maximize'"),
        ({"metric": "loss", "direction": "maximize"}, "loss is not to maximize"),
        ({"loss": "hinge"}, "loss 'hinge' is unknown .choose from cross_entropy, mse"),
        ({"metric": "f1"}, "metric 'f1' is unknown .choose from accuracy, loss"),
    ],
)
def test_a_metric_and_its_direction_must_go_together(changes, words):
    with pytest.raises(InvalidInput, match=words):
        replace(NUMBERS, **changes)


def test_a_run_that_was_interrupted_ends_as_one_that_was_not_whatever_it_scores(tmp_path: Path):
    whole = train(NUMBERS, TRIALS)
    with pytest.raises(Interrupted):
        train(NUMBERS, TRIALS, keep=Keep(tmp_path, stopping=lambda: True))
    epochs: list[int] = []
    again = train(NUMBERS, TRIALS, lambda r: epochs.append(r.epoch) or (), keep=Keep(tmp_path))
    assert epochs[0] == 2
    assert [r.val_accuracy for r in again] == [r.val_accuracy for r in whole]
