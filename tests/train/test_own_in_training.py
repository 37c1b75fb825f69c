"""Networks and data of the user's own are trained as the built-in ones are."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tuner.errors import Interrupted, InvalidInput
from tuner.train import (
    Keep,
    TrialConfig,
    check,
    conditions,
    loop,
    train,
    trials_per_batch,
)
from tuner.train.checkpoint import digest
from tuner.train.cost import cost
from tuner.trial import TrialResult
from tuner.workload import Workload

MODULE = "own_for_tests"
HOME = Path(__file__).resolve().parents[1] / "bnn"
WORKLOAD = Workload(
    model=f"{MODULE}:make",
    dataset=f"{MODULE}:three",
    model_options={"width": 8, "dropout": 0.2},
    epochs=3,
    batch_size=16,
    real_learning_rate=3e-2,
)


@pytest.fixture(autouse=True)
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HOME))
    monkeypatch.setenv("TUNER_WORKLOADS", MODULE)


def workload(model: str, **more: object) -> Workload:
    return replace(WORKLOAD, model=f"{MODULE}:{model}", model_options={}, **more)


def curves(results: list[TrialResult]) -> list[list[tuple[float, float, float]]]:
    return [
        [(point.train_loss, point.val_accuracy, point.flip_ratio) for point in result.curve]
        for result in results
    ]


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        ("filter_flip", {"alpha": 1e-2, "gamma": 0.3, "alpha_decay": "cosine"}),
        ("latent_sgd", {"learning_rate": 0.1, "coupled": True, "momentum": 0.9}),
        ("latent_adam", {"learning_rate": 1e-2}),
        ("bop", {"gamma": 1e-2}),
    ],
)
def test_an_ordinary_network_learns_by_every_rule_and_its_weights_flip(rule, settings):
    (result,) = train(replace(WORKLOAD, epochs=8), [TrialConfig(rule, settings, 1)], test=True)
    assert result.val_accuracy > 0.6
    assert result.test_accuracy is not None and len(result.test_hits or ()) == 60
    assert 0 < result.curve[0].flip_ratio < 0.5
    assert not result.diverged


def test_a_run_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path):
    trials = [TrialConfig("filter_flip", {"alpha": 1e-2}, 1)]
    whole = train(WORKLOAD, trials)
    with pytest.raises(Interrupted):
        train(WORKLOAD, trials, keep=Keep(tmp_path, stopping=lambda: True))
    assert len(list(tmp_path.iterdir())) == 1
    torch.manual_seed(123)
    assert curves(train(WORKLOAD, trials, keep=Keep(tmp_path))) == curves(whole)
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(replace(WORKLOAD, epochs=1), [TrialConfig("filter_flip", {}, 1)])
    assert torch.equal(torch.rand(3), expected)


def test_networks_side_by_side_train_as_each_does_alone():
    side_by_side = workload("side_by_side", precision="float64")
    trials = [TrialConfig("filter_flip", {"alpha": a}, s) for a, s in ((1e-2, 1), (1e-3, 2))]
    together = curves(train(side_by_side, trials))
    for trial, curve in zip(trials, together, strict=True):
        for point, alone in zip(curve, curves(train(side_by_side, [trial]))[0], strict=True):
            assert point == pytest.approx(alone)


@pytest.mark.slow
def test_how_many_train_together_is_measured_where_there_is_a_trial_axis_alone():
    assert trials_per_batch(WORKLOAD, "cpu") == 1
    assert trials_per_batch(workload("side_by_side"), "cpu") > 1


@pytest.mark.parametrize("model", ["lazy", "all_binary"])
def test_layers_without_a_shape_and_networks_without_a_real_weight_are_trained(model, tmp_path):
    trials = [TrialConfig("filter_flip", {}, 1)]
    whole = train(workload(model), trials)
    with pytest.raises(Interrupted):
        train(workload(model), trials, keep=Keep(tmp_path, stopping=lambda: True))
    assert curves(train(workload(model), trials, keep=Keep(tmp_path))) == curves(whole)


def test_whole_numbers_reach_a_network_of_the_users_as_such_and_ours_as_numbers():
    places = {"dataset": f"{MODULE}:places", "epochs": 1}
    trial = TrialConfig("filter_flip", {}, 1)
    train(workload("looks_up", **places), [trial])
    train(replace(WORKLOAD, model="mlp", model_options={}, widths=(8, 8), **places), [trial])
    images = {"dataset": f"{MODULE}:arrays", "augment": "flip_crop", "epochs": 1}
    train(replace(WORKLOAD, **images), [trial])


def test_data_and_code_are_part_of_what_a_trial_records_and_of_what_it_goes_on_with(monkeypatch):
    found = conditions(WORKLOAD, "cpu")
    assert found["code"].startswith("sha256:")
    assert (found["precision"], found["data"]["classes"], found["data"]["train"]) == (
        "float32",
        3,
        120,
    )
    trials = [TrialConfig("filter_flip", {}, 1)]
    before = digest(WORKLOAD, trials, "cpu")
    assert digest(replace(WORKLOAD, dataset_options={"n": 60}), trials, "cpu") != before
    monkeypatch.setattr("tuner.train.precision.code_version", lambda _: "other")
    assert digest(WORKLOAD, trials, "cpu") != before
    assert "data" not in conditions(Workload(), "cpu")


def test_the_cost_of_a_network_of_ones_own_is_measured():
    found = cost(WORKLOAD, "filter_flip", 1, "cpu")
    assert found.epoch_seconds > 0


def test_a_check_counts_the_data_and_warns_of_layers_that_cannot_train(caplog, monkeypatch):
    monkeypatch.setattr(loop, "has_bfloat16", lambda _: True)  # some processors' lack is warned of
    counts = check(WORKLOAD)
    assert counts is not None and (counts.train, counts.test) == (120, 60)
    assert caplog.messages == []
    check(workload("shared_clip"))
    (warning,) = caplog.messages
    assert warning.startswith(f"{MODULE}:shared_clip: weight: its gradient is zero everywhere")
    caplog.clear()
    check(replace(WORKLOAD, dataset=f"{MODULE}:copies"))
    assert caplog.messages[0].startswith("10 of 40 test samples are also among those trained")
    assert check(Workload()) is None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"precision": "bfloat16"},
            r"workload\.precision: bfloat16 is for networks of tuner\.bnn",
        ),
        ({"augment": "flip"}, r"workload\.augment: is for images .* has samples of shape \[4\]"),
        (
            {"model": f"{MODULE}:of_images", "model_options": {}},
            r"given 2 samples of shape \[4\],",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_trains(more, words):
    with pytest.raises(InvalidInput, match=words):
        check(replace(WORKLOAD, **more))
