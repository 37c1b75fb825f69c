"""Any network's linear and convolution layers made binary."""

import copy
import pickle
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tuner.bnn import binarize, binary_parameters, check, real_parameters, usually_real
from tuner.bnn.binary_layers import BinaryConv1d, BinaryConv2d, BinaryLinear
from tuner.errors import InvalidInput
from tuner.optim import FilterFlip


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mlp(width=16):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.BatchNorm1d(width),
        nn.ReLU(),
        nn.Linear(width, 3),
    )


class Block(nn.Module):
    """A residual block as torchvision has it."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = nn.Sequential(
            nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)
        )

    def forward(self, x):
        z = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(z)) + self.downsample(x))


class Residual(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            Block(8, 8, 1),
            Block(8, 16, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 4),
        )


def binary_names(net):
    return [name for name, layer in net.named_modules() if hasattr(layer, "binary_names")]


LAYERS = {
    BinaryLinear: (lambda: nn.Linear(6, 5), (4, 6)),
    BinaryConv1d: (lambda: nn.Conv1d(4, 6, 3, padding=1, groups=2), (2, 4, 9)),
    BinaryConv2d: (
        lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1, padding_mode="circular", bias=False),
        (2, 3, 8, 8),
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_computes_with_signs_times_its_channels_scale(kind):
    make, shape = LAYERS[kind]
    layer, x = make(), noise(*shape)
    twin = copy.deepcopy(layer)
    assert type(binarize(layer, skip=())) is kind
    FilterFlip([layer.weight], alpha=0.1)
    axes = tuple(range(1, twin.weight.dim()))
    with torch.no_grad():
        signs = torch.where(twin.weight >= 0, 1.0, -1.0)
        assert torch.equal(layer.weight, signs)
        twin.weight.copy_(signs * twin.weight.abs().mean(axes, keepdim=True))
    torch.testing.assert_close(layer(x), twin(torch.where(x >= 0, 1.0, -1.0)))


def test_the_gradient_of_an_activation_passes_inside_one_and_not_outside():
    layer = binarize(nn.Linear(4, 1, bias=False), skip=())
    x = torch.tensor([[-1.5, -0.5, 0.5, 1.5]], requires_grad=True)
    layer(x).sum().backward()
    expected = (layer.weight * layer.scale).detach() * torch.tensor([0.0, 1.0, 1.0, 0.0])
    torch.testing.assert_close(x.grad, expected)


def test_without_activations_inputs_and_relus_stay_as_they_are():
    net, real = mlp(), mlp()
    binarize(net, activations=False)
    assert isinstance(net[2], nn.ReLU)
    torch.testing.assert_close(net(noise(5, 8)), real(noise(5, 8)))
    rule = FilterFlip(binary_parameters(net), alpha=0.1)
    w = real[3].weight.detach()
    x = noise(7, 16)
    expected = F.linear(x, w.sign() * w.abs().mean(1, keepdim=True), real[3].bias)
    torch.testing.assert_close(net[3](x), expected)
    assert rule.param_groups[0]["params"] == binary_parameters(net)


def test_both_ends_and_the_layers_of_shortcuts_stay_real():
    assert binary_names(binarize(mlp())) == ["3"]
    net = Residual()
    ends = ["0", "7", "3.downsample.0", "4.downsample.0"]
    assert usually_real(net) == ends
    assert binary_names(binarize(net)) == ["3.conv1", "3.conv2", "4.conv1", "4.conv2"]
    assert not [module for module in net.modules() if isinstance(module, nn.ReLU)]
    strided = nn.Sequential(*(nn.Conv2d(3, 3, 1, stride) for stride in (1, 1, 2, 1)))
    assert binary_names(binarize(strided)) == ["1"]


@pytest.mark.parametrize(
    ("skip", "expected"),
    [
        ((), ["0", "3", "6"]),
        ("3", ["0", "6"]),
        (["0", "6"], ["3"]),
        ("[03]", ["6"]),
        (lambda layer: getattr(layer, "out_features", 0) == 16, ["6"]),
        ([nn.ReLU, nn.BatchNorm1d], ["0", "3", "6"]),
    ],
)
def test_what_is_skipped_stays_as_it_is(skip, expected):
    net = binarize(mlp(), skip)
    assert binary_names(net) == expected
    assert isinstance(net[2], nn.ReLU if skip == [nn.ReLU, nn.BatchNorm1d] else nn.Identity)


def test_a_block_is_skipped_with_all_inside_it():
    assert binary_names(binarize(Residual(), ["0", "4", nn.Linear, "*.downsample"])) == [
        "3.conv1",
        "3.conv2",
    ]
    relus = [m for m in binarize(Residual(), Block).modules() if isinstance(m, nn.ReLU)]
    assert len(relus) == 2


def test_names_parameters_hooks_and_copies_are_kept():
    net = mlp()
    before, calls = dict(net.named_parameters()), []
    net[3].register_forward_hook(lambda *_: calls.append(1))
    assert binarize(net) is net
    assert {name: id(param) for name, param in net.named_parameters()} == {
        name: id(param) for name, param in before.items()
    }
    net(noise(4, 8))
    assert calls == [1]
    assert len(real_parameters(net)) == len(before) - 1
    net[3]._forward_hooks.clear()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(other.eval()(noise(4, 8)), net.eval()(noise(4, 8)))
    fresh = binarize(mlp())
    fresh.load_state_dict(net.state_dict())
    assert torch.equal(fresh.eval()(noise(4, 8)), net.eval()(noise(4, 8)))


def test_a_second_time_changes_nothing():
    net = binarize(mlp())
    before = copy.deepcopy(net.state_dict())
    binarize(net)
    assert binary_names(net) == ["3"]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_channel_of_zeros_can_still_learn():
    layer = nn.Linear(16, 2, bias=False)
    nn.init.zeros_(layer.weight)
    binarize(layer, skip=())
    assert torch.equal(layer.scale, torch.full((2, 1), 0.25))
    layer(noise(3, 16)).sum().backward()
    assert layer.weight.grad.all()


def test_inputs_that_are_never_below_0_are_said_and_named():
    class Functional(nn.Sequential):
        def forward(self, x):
            return self[2](F.relu(self[1](F.relu(self[0](x)))))

    net = Functional(nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8))
    binarize(net)
    problems = check(net, FilterFlip(binary_parameters(net), alpha=0.1), noise(9, 8))
    assert problems == [problem for problem in problems if problem.startswith("1.weight: none of")]
    assert len(problems) == 1
    with pytest.warns(UserWarning, match="^1: none of the inputs is below 0.*take off the relu"):
        net(noise(9, 8))
    net(noise(9, 8))


def test_a_layer_of_two_names_stays_real_by_either():
    middle = nn.Linear(4, 4)
    net = nn.Sequential(nn.Linear(4, 4), middle, nn.Linear(4, 4), middle)
    for skip in ("1", "3"):
        assert binary_names(binarize(copy.deepcopy(net), skip=skip)) == ["0", "2"]


def test_layers_that_cannot_be_made_binary_are_refused():
    with pytest.raises(InvalidInput, match=r"no layer is left to make binary of 0, 1; skip=\(\)"):
        binarize(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))
    with pytest.raises(InvalidInput, match="layer 'fc' is unknown"):
        binarize(mlp(), skip="fc")
    with pytest.raises(InvalidInput, match="1 has no values yet: run the network once"):
        binarize(nn.Sequential(nn.Linear(3, 3), nn.LazyLinear(3), nn.Linear(3, 3)))
    tied = nn.Sequential(nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9), nn.Linear(9, 2))
    tied[2].weight = tied[0].weight
    with pytest.raises(InvalidInput, match=r"2 shares its weight with 0\.weight, which stays"):
        binarize(tied, skip=["1", "3"])
    assert not binary_names(tied)


def test_layers_that_are_read_and_not_called_stay_real():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
    net = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 8), layer, nn.Linear(8, 3))
    binarize(net, skip=["0", "3"])
    assert binary_names(net) == ["1"]
    x = noise(2, 4, 5)
    trained = net.train()(x)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x), trained)


def flipped(net, optimizer, x, y, steps=40):
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_a_network_without_norms_learns_by_its_flips_alone():
    torch.manual_seed(0)
    net = nn.Sequential(*(nn.Linear(a, b) for a, b in ((8, 32), (32, 32), (32, 32), (32, 4))))
    binarize(net)
    x = noise(128, 8)
    y = (x @ noise(8, 4, seed=1)).argmax(1)
    losses = flipped(net, FilterFlip(binary_parameters(net), alpha=0.1, gamma=0.5), x, y)
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
def test_a_residual_network_learns():
    torch.manual_seed(0)
    net = binarize(Residual())
    x = noise(64, 3, 8, 8)
    y = (x.flatten(1) @ noise(192, 4, seed=1)).argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        losses = flipped(net, FilterFlip(binary_parameters(net), alpha=0.1, gamma=0.5), x, y)
    assert losses[-1] < 0.8 * losses[0]
