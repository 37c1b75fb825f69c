"""A weight that cannot learn is named in the first steps."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.optim.common import MAKERS, make, train, weight
from tuner import kernels
from tuner.optim import FilterFlip


class Clipped(nn.Linear):
    """As in Bi-Real-Net and ReActNet: the straight-through estimator clips the weight."""

    def forward(self, x):
        clipped = F.hardtanh(self.weight)
        return x @ ((self.weight.sign() - clipped).detach() + clipped).T


def loop(net, optimizer, steps):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for seed in range(steps):
            generator = torch.Generator().manual_seed(seed)
            (net(torch.randn(16, 8, generator=generator)) - 1).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
    return [str(warning.message) for warning in said]


@pytest.mark.parametrize("compiled", [True, False], ids=["kernels", "torch"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_layer_that_clips_its_weight_is_named_once(name, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(kernels, "library", lambda: None)
    net = nn.Sequential(nn.Linear(8, 8, bias=False), Clipped(8, 8, bias=False))
    optimizer = make(name, net.named_parameters())
    said = loop(net, optimizer, 20)
    if "scaled" in name:  # smaller than 1, so they are not clipped
        assert said == []
        return
    (words,) = said
    assert "the gradient of 1.weight was zero everywhere in the first 3 steps" in words
    assert "tuner.bnn.check" in words
    assert loop(net, optimizer, 20) == []


def test_parameters_without_names_are_called_by_their_place_and_shape():
    net = Clipped(8, 8, bias=False)
    groups = [{"params": net.parameters(), "name": "Binary"}]
    (words,) = loop(net, FilterFlip(groups, alpha=0.1), 3)
    assert "parameter 0 of group 0 'Binary', shape [8, 8]" in words


def test_one_step_without_a_gradient_is_no_reason_to_warn():
    param = weight()
    optimizer = FilterFlip([param], alpha=0.1)
    for gradient in (torch.zeros(6, 5), torch.zeros(6, 5), torch.ones(6, 5)):
        param.grad = gradient
        optimizer.step()
    train(optimizer, param, 5)
    for _ in range(5):
        param.grad = torch.zeros(6, 5)
        optimizer.step()
