"""A magnitude rule and the filter it is mapped to train the same network, flip for flip."""

from itertools import pairwise

import pytest
import scipy.signal
import torch

from tuner.optim import FilterFlip, LatentSGD, Schedule
from tuner.optim.designed.slots import C
from tuner.optim.equivalence import (
    filter_from_coupled,
    filter_from_decoupled,
    section_from_coupled,
)

STEPS = 300
ETA, LAMBDA, MU = 0.1, 0.05, 0.9


def network() -> torch.nn.Sequential:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(12, 24, bias=False),
        torch.nn.BatchNorm1d(24),
        torch.nn.Hardtanh(),
        torch.nn.Linear(24, 16, bias=False),
        torch.nn.BatchNorm1d(16),
        torch.nn.Hardtanh(),
        torch.nn.Linear(16, 3),
    ).double()


def binary(net: torch.nn.Sequential) -> list[torch.nn.Parameter]:
    return [net[0].weight, net[3].weight]


def train(net, rule) -> list[torch.Tensor]:
    """All signs after every step; the real-valued parameters are trained by Adam."""
    chosen = {id(p) for p in binary(net)}
    adam = torch.optim.Adam([p for p in net.parameters() if id(p) not in chosen], lr=1e-2)
    generator = torch.Generator().manual_seed(7)
    signs = []
    for _ in range(STEPS):
        x = torch.randn(32, 12, generator=generator, dtype=torch.float64)
        target = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 1).long()
        for optimizer in (rule, adam):
            optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), target).backward()
        rule.step()
        adam.step()
        signs.append(torch.cat([p.detach().flatten() for p in binary(net)]).clone())
    return signs


def starts(net) -> list[torch.Tensor]:
    """-lambda w0, from which the filter has to start."""
    return [-LAMBDA * p.detach().clone() for p in binary(net)]


def assert_same_flips(one: list[torch.Tensor], other: list[torch.Tensor]) -> None:
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert sum((a != b).sum() for a, b in pairwise(one)) > 50


@pytest.mark.slow
@pytest.mark.parametrize("decay", ["constant", "cosine"])
def test_decoupled_sgd_is_a_cascade_with_any_schedule(decay):
    schedule = Schedule(decay, STEPS)
    net = network()
    old = train(
        net,
        LatentSGD(
            binary(net), learning_rate=ETA, weight_decay=LAMBDA, momentum=MU, schedule=schedule
        ),
    )
    net = network()
    s0 = starts(net)
    f = filter_from_decoupled(ETA * LAMBDA, MU)
    rule = FilterFlip(binary(net), alpha=f.alpha, gamma=f.gamma, schedule=schedule)
    for p, s in zip(binary(net), s0, strict=True):
        rule.state[p]["s"].copy_(s)
    assert_same_flips(old, train(net, rule))


@pytest.mark.slow
def test_torch_sgd_is_a_cascade_where_its_roots_are_real():
    mu = 0.5
    net = network()
    old = train(
        net,
        LatentSGD(binary(net), learning_rate=ETA, weight_decay=LAMBDA, momentum=mu, coupled=True),
    )
    net = network()
    s0 = starts(net)
    f = filter_from_coupled(ETA * LAMBDA, mu)
    assert f is not None
    rule = FilterFlip(binary(net), alpha=f.alpha, gamma=f.gamma)
    for p, s in zip(binary(net), s0, strict=True):
        rule.state[p]["s"].copy_(s)
        rule.state[p]["m"].copy_(s)
    assert_same_flips(old, train(net, rule))


@pytest.mark.slow
@pytest.mark.parametrize("nesterov", [False, True])
def test_torch_sgd_with_complex_roots_is_a_second_order_section(nesterov):
    net = network()
    old = train(
        net,
        LatentSGD(
            binary(net),
            learning_rate=ETA,
            weight_decay=LAMBDA,
            momentum=MU,
            coupled=True,
            nesterov=nesterov,
        ),
    )
    assert filter_from_coupled(ETA * LAMBDA, MU, nesterov=nesterov) is None
    net = network()
    s0 = starts(net)
    sos = [section_from_coupled(ETA * LAMBDA, MU, nesterov=nesterov)]
    rule = FilterFlip(binary(net), sos=sos)
    z1, z2 = scipy.signal.sosfilt_zi(sos)[0]
    for p, s in zip(binary(net), s0, strict=True):
        rule.state[p]["w0"].copy_(z1 * s)  # what is left of the output without the input
        rule.state[p]["v0"].copy_((z1 + z2) / rule.param_groups[0]["slots"][0][C] * s)
    assert_same_flips(old, train(net, rule))


@pytest.mark.slow
def test_the_naive_map_of_torch_sgd_is_another_rule():
    net = network()
    old = train(
        net,
        LatentSGD(binary(net), learning_rate=ETA, weight_decay=LAMBDA, momentum=0.5, coupled=True),
    )
    net = network()
    s0 = starts(net)
    rule = FilterFlip(binary(net), alpha=ETA * LAMBDA, gamma=0.5)
    for p, s in zip(binary(net), s0, strict=True):
        rule.state[p]["s"].copy_(s)
    naive = train(net, rule)
    assert any(not torch.equal(a, b) for a, b in zip(old, naive, strict=True))
