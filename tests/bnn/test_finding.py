"""Which weights are binary: those of layers that say so, and those that their user points at."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from tuner.bnn import binarize, binary_parameters, real_parameters
from tuner.bnn.models import build_network
from tuner.errors import InvalidInput
from tuner.workload import Workload


class Conv(nn.Conv2d):
    """Somebody's binary convolution, with a scale for each channel."""

    def __init__(self, *sizes):
        super().__init__(*sizes, bias=False)
        self.scale = nn.Parameter(torch.ones(sizes[1], 1, 1, 1))


class Flat(nn.Module):
    """Somebody's layer that keeps its weights in one long row."""

    def __init__(self):
        super().__init__()
        self.weights = nn.Parameter(torch.randn(12, 1))


class Kernel(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(3, 4))


class Signs(nn.Module):
    def forward(self, w):
        return w.sign()


def body():
    inner = nn.Sequential(Conv(3, 4, 3), nn.BatchNorm2d(4), Conv(4, 4, 3))
    return nn.Sequential(nn.Conv2d(3, 3, 1), inner, Flat(), nn.Linear(4, 2))


def same(found, *expected):
    assert [id(param) for param in found] == [id(param) for param in expected]


def test_layers_are_named_by_name_pattern_type_or_function():
    net = body()
    first, second, flat = net[1][0].weight, net[1][2].weight, net[2].weights
    assert binary_parameters(net) == []
    for choice in (
        Conv,
        "1",
        "1.*",
        lambda layer: hasattr(layer, "scale"),
        [Conv],
        ["1.0", "1.2"],
    ):
        same(binary_parameters(net, choice), first, second)
    same(binary_parameters(net, [Flat, "1.0"]), flat, first)
    assert len(real_parameters(net, Conv)) == len(list(net.parameters())) - 2
    assert all(param is not first for param in real_parameters(net, Conv))


def test_a_layer_that_somebody_wrote_may_say_which_of_its_weights_are_binary():
    layer = Kernel()
    with pytest.raises(
        InvalidInput, match=r"a Kernel has no parameter called weight.*binary_names"
    ):
        binary_parameters(layer, Kernel)
    layer.binary_names = ("kernel",)
    same(binary_parameters(layer), layer.kernel)


def test_a_parametrized_weight_is_found_by_its_original():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    parametrize.register_parametrization(net[1], "weight", Signs())
    same(binary_parameters(net, "1"), net[1].parametrizations.weight.original)


def test_what_is_not_there_is_refused():
    with pytest.raises(InvalidInput, match=r"layer '3.weight' is unknown"):
        binary_parameters(body(), "3.weight")
    with pytest.raises(InvalidInput, match="no layer of the network is a Kernel"):
        binary_parameters(body(), Kernel)
    with pytest.raises(InvalidInput, match="has no parameter called weight"):
        binary_parameters(body(), nn.BatchNorm2d)


def test_weights_stay_binary_when_torch_puts_other_parameters_in_their_place():
    def networks():
        yield binarize(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)))
        yield build_network(Workload(model="mlp", widths=(4, 4)), (1, 2, 2), 3, [0])

    for net in networks():
        for other in (copy.deepcopy(net), copy.deepcopy(net).to("meta").to_empty(device="cpu")):
            other.load_state_dict(copy.deepcopy(net.state_dict()), assign=True)
            assert len(binary_parameters(other)) == len(binary_parameters(net)) == 1
            assert torch.equal(binary_parameters(other)[0], binary_parameters(net)[0])


def test_a_weight_in_two_layers_is_found_once():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    same(binary_parameters(net, nn.Linear), net[0].weight)
