"""The latent rules against torch's own optimizers, and the redundancy of their magnitudes."""

import itertools
import math

import pytest
import torch

from tests.reference import constant
from tuner.optim import LatentAdam, LatentAdamW, LatentSGD, Schedule
from tuner.optim.base import BinaryOptimizer

STEPS = 80


def randn(seed, *shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def latent_trace(optimizer: BinaryOptimizer, param, gradients):
    """The latent weights after each step."""
    trace = []
    for gradient in gradients:
        param.grad = gradient.clone()
        optimizer.step()
        trace.append(optimizer.state[param]["w"].clone())
    return torch.stack(trace)


def torch_trace(optimizer, weight, gradients, factor=constant):
    base = optimizer.param_groups[0]["lr"]
    trace = []
    for t, gradient in enumerate(gradients):
        optimizer.param_groups[0]["lr"] = base * factor(t)
        weight.grad = gradient.clone()
        optimizer.step()
        trace.append(weight.detach().clone())
    return torch.stack(trace)


OPTIONS = [
    {"momentum": mu, "weight_decay": wd, "nesterov": nesterov, "dampening": dampening}
    for mu, wd, nesterov, dampening in itertools.product(
        (0.0, 0.5, 0.9), (0.0, 0.05), (False, True), (0.0, 0.3, 1.0)
    )
    if not (nesterov and (mu == 0 or dampening))
]


@pytest.mark.parametrize("decay", ["constant", "cosine"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
def test_coupled_equals_torch_sgd(options, decay):
    start, g = randn(0, 40), randn(1, STEPS, 40)
    schedule = Schedule(decay, STEPS)
    weight = torch.nn.Parameter(start.clone())
    expected = torch_trace(torch.optim.SGD([weight], lr=0.1, **options), weight, g, schedule)
    param = torch.nn.Parameter(start.clone())
    ours = LatentSGD([param], learning_rate=0.1, coupled=True, schedule=schedule, **options)
    torch.testing.assert_close(latent_trace(ours, param, g), expected, rtol=0, atol=1e-12)


def test_coupled_along_the_trial_axis_equals_torch_sgd_with_and_without_momentum():
    start, g = randn(0, 3, 10), randn(1, STEPS, 3, 10)
    mus = [0.0, 0.5, 0.9]
    param = torch.nn.Parameter(start.clone())
    ours = LatentSGD(
        [param],
        learning_rate=0.1,
        coupled=True,
        dampening=0.2,
        weight_decay=0.01,
        momentum=torch.tensor(mus, dtype=torch.float64),
    )
    got = latent_trace(ours, param, g)
    for k, mu in enumerate(mus):
        weight = torch.nn.Parameter(start[k].clone())
        sgd = torch.optim.SGD([weight], lr=0.1, momentum=mu, dampening=0.2, weight_decay=0.01)
        torch.testing.assert_close(
            got[:, k], torch_trace(sgd, weight, g[:, k]), rtol=0, atol=1e-12
        )


@pytest.mark.parametrize(
    ("ours", "theirs"), [(LatentAdam, torch.optim.Adam), (LatentAdamW, torch.optim.AdamW)]
)
def test_the_adams_equal_torchs(ours, theirs):
    start, g = randn(0, 40), randn(1, STEPS, 40)
    weight = torch.nn.Parameter(start.clone())
    expected = torch_trace(
        theirs([weight], lr=0.01, betas=(0.8, 0.95), weight_decay=0.1), weight, g
    )
    param = torch.nn.Parameter(start.clone())
    rule = ours([param], learning_rate=0.01, beta1=0.8, beta2=0.95, weight_decay=0.1)
    torch.testing.assert_close(latent_trace(rule, param, g), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("coupled", [False, True])
def test_scaling_the_latent_weights_by_a_power_of_two_changes_no_flip(coupled):
    target = randn(2, 60, dtype=torch.float32)
    traces = []
    for k in (1.0, 2.0**-7, 2.0**5):
        param = torch.nn.Parameter(randn(0, 60, dtype=torch.float32))
        rule = LatentSGD(
            [param],
            learning_rate=0.05 * k,
            weight_decay=2**-4 / k,
            momentum=0.875,
            init_scale=k,
            clip=0.5 * k,
            coupled=coupled,
        )
        signs = []
        for t in range(200):
            noise = randn(100 + t, 60, dtype=torch.float32)
            param.grad = param.detach() - target + noise
            rule.step()
            signs.append(param.detach().clone())
        traces.append(torch.stack(signs))
    assert torch.equal(traces[0], traces[1])
    assert torch.equal(traces[0], traces[2])
    assert (traces[0][1:] != traces[0][:-1]).any()


def test_clip_bounds_the_latent_weight_and_an_infinite_clip_does_not():
    g = -torch.ones(30, 2, 4, dtype=torch.float64)
    param = torch.nn.Parameter(torch.zeros(2, 4, dtype=torch.float64))
    clip = torch.tensor([0.25, math.inf], dtype=torch.float64)
    trace = latent_trace(LatentSGD([param], learning_rate=0.1, clip=clip), param, g)
    assert trace[-1, 0].tolist() == [0.25] * 4
    torch.testing.assert_close(trace[-1, 1], torch.full((4,), 3.0, dtype=torch.float64))


def test_scaling_multiplies_each_channel_by_its_mean_magnitude():
    start = randn(0, 5, 3, 2)
    param = torch.nn.Parameter(start.clone())
    LatentSGD([param], learning_rate=0.1, scaling=True, init_scale=0.5)
    expected = start.sign() * (0.5 * start).abs().mean((1, 2), keepdim=True)
    torch.testing.assert_close(param.data, expected)


def test_only_the_trials_that_want_it_are_scaled():
    start = randn(0, 2, 4, 3)
    param = torch.nn.Parameter(start.clone())
    LatentSGD([param], learning_rate=0.1, scaling=torch.tensor([True, False]))
    scaled = start[0].sign() * start[0].abs().mean(1, keepdim=True)
    torch.testing.assert_close(param.data[0], scaled)
    assert torch.equal(param.data[1], start[1].sign())
