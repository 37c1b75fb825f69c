"""The baseline is a fair opponent: it trains the same networks, and it works."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuner.bench.plain import plain
from tuner.bnn.data.dataset import load_data
from tuner.bnn.layers import BatchNorm, Conv2d, Linear
from tuner.bnn.models import build_network
from tuner.workload import Workload

pytestmark = pytest.mark.usefixtures("single_thread")
MODELS = {"mlp": (24, 24), "cnn": (8, 8, 16, 16), "bireal_resnet20": (4, 8, 16)}


def copied(ours: nn.Module, theirs: nn.Module) -> None:
    """Give the baseline our network's numbers: its latent weights, whose signs we then take."""
    layers = [m for m in ours.modules() if isinstance(m, Linear | Conv2d)]
    plains = [m for m in theirs.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    norms = [m for m in ours.modules() if isinstance(m, BatchNorm)]
    plain_norms = [m for m in theirs.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    with torch.no_grad():
        for our, their in zip(layers, plains, strict=True):
            their.weight.copy_(our.weight[0])
            if their.bias is not None:
                their.bias.copy_(our.bias[0, 0].uniform_(-1, 1))
            if our.binary_names:
                our.weight.copy_(torch.where(our.weight >= 0, 1.0, -1.0))
        for our, their in zip(norms, plain_norms, strict=True):
            their.weight.copy_(our.weight[0].uniform_(0.5, 1.5))
            their.bias.copy_(our.bias[0].uniform_(-0.5, 0.5))


@pytest.mark.parametrize("model", MODELS)
def test_the_baselines_networks_are_ours(model):
    torch.manual_seed(0)
    shape = (3, 8, 8)
    workload = Workload(model=model, widths=MODELS[model], precision="float32")
    ours = build_network(workload, shape, 10, seeds=[0])
    theirs = plain().MODELS[model](shape, 10, MODELS[model])
    copied(ours, theirs)
    images = torch.randn(16, *shape)
    labels = torch.arange(16) % 10
    logits, expected = ours(images[None])[0], theirs(images)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    for out in (logits, expected):
        F.cross_entropy(out, labels).backward()
    for our, their in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert our.grad is not None and their.grad is not None
    our, their = (
        torch.cat([m.weight.grad.flatten() for m in net.modules() if isinstance(m, kinds)])
        for net, kinds in ((ours, Linear | Conv2d), (theirs, nn.Linear | nn.Conv2d))
    )
    torch.testing.assert_close(our, their, rtol=1e-3, atol=1e-4)
    ours.eval()
    theirs.eval()
    torch.testing.assert_close(ours(images[None])[0], theirs(images), rtol=1e-4, atol=1e-4)


def test_both_ways_of_loading_give_the_same_numbers():
    data = load_data(Workload())
    split = data.val.take(torch.arange(20))
    sets = [
        make(split.images, split.labels, data.mean, data.std)
        for make in (plain().Images, plain().tensors)
    ]
    for (image, label), (expected, expected_label) in zip(*sets, strict=True):
        torch.testing.assert_close(image, expected)
        assert label == expected_label


@pytest.mark.slow
def test_the_baseline_learns_digits_and_records_its_trials(tmp_path):
    data = load_data(Workload())
    train, val = (
        plain().tensors(split.images, split.labels, data.mean, data.std)
        for split in (data.train, data.val)
    )
    torch.manual_seed(0)
    curve = plain().train(
        plain().mlp(data.shape, 10, (64, 64, 64)),
        train,
        val,
        epochs=4,
        batch_size=64,
        learning_rate=1e-2,
        momentum=0.9,
        weight_decay=1e-4,
    )
    assert len(curve) == 4
    assert curve[-1].val_accuracy > 0.8
    study = plain().open_study(f"sqlite:///{tmp_path}/plain.db")
    plain().search(
        lambda: plain().mlp(data.shape, 10, (16, 16)),
        train,
        val,
        epochs=1,
        batch_size=64,
        study=study,
        n_trials=2,
    )
    again = plain().open_study(f"sqlite:///{tmp_path}/plain.db")
    assert [len(trial.user_attrs["curve"]) for trial in again.trials] == [1, 1]
