"""The trial axis: K networks side by side compute what each computes alone."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuner.bnn.layers import (
    BatchNorm,
    Conv2d,
    Linear,
    binary_parameters,
    initialise,
    real_parameters,
    side_by_side,
)
from tuner.bnn.models import BiRealBlock, build_network
from tuner.bnn.normsign import sign_ste
from tuner.errors import InvalidInput
from tuner.workload import MODELS, Workload

SEEDS = [3, 14, 15]
WIDTHS = {
    "mlp": (9, 8),
    "cnn": (4, 4, 6, 6),
    "bireal_resnet20": (4, 6),
    "bireal_resnet18": (4, 6, 8),
    "reactnet": (3, 6, 6, 12),
    "reactnet_a": (2, 4, 8, 8),
}


def double(layer: nn.Module, seeds=SEEDS) -> nn.Module:
    initialise(layer, list(seeds))
    return layer.double()


def test_sign_passes_the_gradient_inside_the_unit_interval_only():
    x = torch.tensor([-2.0, -1.0, -0.5, 0.0, -0.0, 1.0, 1.5], requires_grad=True)
    y = sign_ste(x)
    y.backward(torch.arange(1.0, 8.0))
    assert y.tolist() == [-1, -1, -1, 1, 1, 1, 1]
    # torch's hardtanh keeps the open interval; |x| = 1 has probability zero
    assert x.grad.tolist() == [0, 0, 3, 4, 5, 0, 0]


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("binary", [False, True])
def test_linear_is_torchs_linear_for_every_trial(binary, last):
    layer = double(Linear(3, 5, 4, binary=binary, last=last))
    x = torch.randn(3, 7, 5, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    for k in range(3):
        bias = layer.bias[k, 0] if last and not binary else None
        torch.testing.assert_close(y[k], F.linear(x[k], layer.weight[k], bias))
    assert layer.bias is None or last
    assert torch.autograd.gradcheck(lambda *_: layer(x), (x, *layer.parameters()))


@pytest.mark.parametrize("last", [False, True])
def test_linear_in_bfloat16_rounds_the_logits_no_further(last):
    layer = double(Linear(2, 64, 3, binary=False, last=last), SEEDS[:2]).float()
    x = torch.randn(2, 7, 64).sign().bfloat16()
    y = layer(x)
    exact = torch.bmm(x.double(), layer.weight.double().transpose(1, 2))
    exact = exact + layer.bias.double() if last else exact
    assert y.dtype == (torch.float32 if last else torch.bfloat16)
    torch.testing.assert_close(y.double(), exact, rtol=0, atol=1e-5 if last else 1e-2)
    y.sum().backward()
    assert layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("stride", [1, 2])
def test_conv_is_torchs_conv_for_every_trial(stride):
    layer = double(Conv2d(3, 2, 4, stride=stride, binary=True))
    x = torch.randn(3, 5, 2, 8, 8, dtype=torch.float64)
    y = layer(side_by_side(x))
    for k in range(3):
        expected = F.conv2d(x[k], layer.weight[k], stride=stride, padding=1)
        torch.testing.assert_close(y.view(5, 3, 4, *expected.shape[2:])[:, k], expected)


def test_batch_norm_is_torchs_for_every_trial_in_training_and_evaluation():
    layer = double(BatchNorm(3, 4))
    twins = [nn.BatchNorm1d(4).double() for _ in range(3)]
    for training in (True, True, False):
        layer.train(training)
        x = 3 + torch.randn(3, 9, 4, dtype=torch.float64)
        y = layer(x)
        for k, twin in enumerate(twins):
            torch.testing.assert_close(y[k], twin.train(training)(x[k]))


@pytest.mark.parametrize("model", MODELS)
def test_a_network_of_k_trials_is_k_networks(model):
    workload = Workload(model=model, widths=WIDTHS[model])
    side = 40 if model == "bireal_resnet18" else 16
    x = torch.randn(3, 6, 3, side, side, dtype=torch.float64)
    wide = build_network(workload, (3, side, side), 5, SEEDS).double()
    logits = wide(x)
    logits.square().sum().backward()
    for k, seed in enumerate(SEEDS):
        alone = build_network(workload, (3, side, side), 5, [seed]).double()
        one = alone(x[k : k + 1])
        one.square().sum().backward()
        torch.testing.assert_close(logits[k], one[0], rtol=1e-10, atol=1e-10)
        for p, q in zip(wide.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(p.grad[k], q.grad[0], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_first_and_last_layer_and_batch_norm_stay_real(model):
    workload = Workload(model=model, widths=WIDTHS[model])
    network = build_network(workload, (1, 32, 32), 4, [0])
    weighty = [m for m in network.modules() if isinstance(m, Linear | Conv2d)]
    around = [b.shortcut for b in network.modules() if isinstance(b, BiRealBlock)]
    shortcuts = {layer for each in around for layer in each.modules()}
    body = [m for m in weighty[1:-1] if m not in shortcuts]
    binary = binary_parameters(network)
    assert [p is m.weight for p, m in zip(binary, body, strict=True)] == [True] * len(body)
    assert len(binary) + len(real_parameters(network)) == len(list(network.parameters()))


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_binary_ends_leave_only_batch_norm_real(model):
    workload = Workload(model=model, widths=WIDTHS[model], binary_ends=True)
    network = build_network(workload, (1, 16, 16), 4, [0])
    assert all(p.dim() == 2 for p in real_parameters(network))
    assert len(binary_parameters(network)) == len(WIDTHS[model]) + 1


def test_networks_that_cannot_be_are_refused():
    with pytest.raises(InvalidInput, match="keeps its ends real"):
        build_network(Workload(model="bireal_resnet20", binary_ends=True), (3, 32, 32), 10, [0])
    with pytest.raises(InvalidInput, match="halve images of 4x4 to nothing"):
        build_network(Workload(model="cnn"), (1, 4, 4), 10, [0])
    with pytest.raises(InvalidInput, match="needs a binary layer"):
        build_network(Workload(widths=(8,)), (1, 4, 4), 10, [0])


def test_initial_weights_depend_on_the_seed_alone():
    def weights(seeds):
        return [p.detach() for p in build_network(Workload(), (1, 8, 8), 10, seeds).parameters()]

    for a, b, c in zip(weights([5, 6]), weights([6]), weights([5]), strict=True):
        assert torch.equal(a[1], b[0])
        assert torch.equal(a[0], c[0])
    assert not torch.equal(weights([5])[0], weights([6])[0])
