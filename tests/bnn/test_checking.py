"""What will not train is said before training, layer by layer."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from tuner.bnn import check
from tuner.bnn.layers import binary_parameters
from tuner.bnn.models import build_network
from tuner.optim import FilterFlip, LatentSGD
from tuner.workload import Workload


class Clipped(nn.Conv2d):
    def forward(self, x):
        return F.conv2d(x, self.weight.clamp(-1, 1))


class Recentred(nn.Linear):
    def forward(self, x):
        w = self.weight - self.weight.mean(1, keepdim=True)
        return x @ ((w.sign() - w).detach() + w).T


class Scaled(nn.Linear):
    def forward(self, x):
        return x @ (self.weight * self.weight.abs().mean(1, keepdim=True).detach()).T


class Detached(nn.Linear):
    def forward(self, x):
        return x @ self.weight.data.sign().T + self.bias


class Sign(nn.Module):
    def forward(self, w):
        return (w.sign() - w).detach() + w


class TwoInputs(nn.Linear):
    def forward(self, x, y):
        return super().forward(x) + y


def rule(net, params=None):
    return FilterFlip(list(params or net.parameters()), alpha=0.1)


def test_layers_that_work_are_not_mentioned():
    net = nn.Sequential(
        Recentred(9, 8, bias=False),
        nn.Hardtanh(),
        Scaled(8, 8, bias=False),
        nn.Linear(8, 3, False),
    )
    parametrize.register_parametrization(net[3], "weight", Sign())
    assert check(net, rule(net)) == []
    assert check(net, rule(net), torch.randn(5, 9)) == []
    scaled = LatentSGD(net.parameters(), lr=0.1, scaling=True)
    assert check(net, scaled) == []


@pytest.mark.parametrize("inputs", [None, torch.randn(2, 3, 9, 9)])
def test_a_layer_that_clips_or_detaches_its_weight_is_named(inputs):
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        Clipped(4, 4, 3, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Detached(4, 2),
    )
    optimizer = rule(net, [net[0].weight, net[1].weight, net[4].weight])
    before = copy.deepcopy(net.state_dict())
    problems = check(net, optimizer, inputs)
    assert [problem.partition(":")[0] for problem in problems] == ["1.weight", "4.weight"]
    assert "clips its weight in forward" in problems[0]
    assert "the output does not depend on it" in problems[1]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(param.grad is None for param in net.parameters())


def test_what_cannot_learn_in_any_layer_is_said():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4, False))
    net[2].weight.requires_grad_(False)
    problems = dict(line.split(": ", 1) for line in check(net, rule(net)))
    assert problems.keys() == {"0.bias", "1.weight", "1.bias", "2.weight"}
    assert all("is a vector" in problems[name] for name in ("0.bias", "1.weight", "1.bias"))
    assert "requires no gradient" in problems["2.weight"]


def test_weights_written_or_replaced_after_the_optimizer_are_said():
    net = nn.Sequential(nn.Linear(4, 4, False), nn.Linear(4, 4, False))
    optimizer = rule(net)
    nn.init.normal_(net[0].weight)
    net[1] = nn.Linear(4, 4, False)
    strangers, written = check(net, optimizer)
    assert strangers.startswith("1 of the optimizer's 2 parameters are not this network's")
    assert written.startswith("0.weight: its values are not what the optimizer left there")


def test_layers_that_cannot_be_tried_alone_ask_for_a_batch():
    workload = Workload(model="cnn", widths=(4, 4))
    net = build_network(workload, (1, 8, 8), 10, [0])
    optimizer = rule(net, binary_parameters(net))
    (problem,) = check(net, optimizer)
    assert "give check a batch" in problem
    assert check(net, optimizer, torch.randn(1, 6, 1, 8, 8)) == []
    two = TwoInputs(3, 3, bias=False)
    (problem,) = check(two, rule(two))
    assert "its forward takes other input" in problem
    assert check(two, rule(two), (torch.randn(5, 3), torch.randn(5, 3))) == []


def test_random_numbers_elsewhere_are_not_touched():
    net = nn.Linear(4, 4, False)
    torch.manual_seed(3)
    expected = torch.randn(3)
    torch.manual_seed(3)
    check(net, rule(net))
    assert torch.equal(torch.randn(3), expected)
