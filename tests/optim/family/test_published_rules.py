"""What the published rules are as filters, and which of their knobs do nothing."""

import math

import pytest
import torch

from tests.optim.common import noise, train, weight
from tuner.optim import SGDAT, BayesBiNN, Bop2ndOrder, FilterFlip, LatentLion, LatentSignSGD

SIZE, STEPS = (20, 10), 60


def signs(rule, *, dtype=torch.float64, **options):
    param = weight(0, *SIZE, dtype=dtype)
    return train(rule([param], **options), param, STEPS)


@pytest.mark.parametrize("sigma", [1e-6, 1e-2, 1.0])
def test_without_a_threshold_bop_of_second_order_is_a_filter_whatever_sigma_is(sigma):
    ours = signs(Bop2ndOrder, gamma=0.03, sigma=sigma, tau=0.0)
    assert torch.equal(ours, signs(FilterFlip, alpha=0.03))


def test_of_gradients_of_one_size_the_threshold_of_second_order_is_bops_own():
    param = torch.nn.Parameter(torch.ones(1))
    rule = Bop2ndOrder([param], gamma=0.5, sigma=1.0, tau=0.6)
    seen = []
    for _ in range(3):  # m / sqrt(v) is 0.5, then 0.75
        param.grad = torch.full((1,), 1e-5)
        rule.step()
        seen.append(param.item())
    assert seen == [1.0, -1.0, -1.0]


@pytest.mark.parametrize("exponent", [-20, -3, 7])
def test_only_the_ratio_of_sgdats_threshold_and_learning_rate_acts(exponent):
    ours = signs(SGDAT, learning_rate=1e-2, threshold=1e-3)
    k = 2.0**exponent
    assert torch.equal(ours, signs(SGDAT, learning_rate=1e-2 * k, threshold=1e-3 * k))


def test_a_higher_threshold_of_sgdat_lets_fewer_weights_flip_and_none_is_the_sign_of_the_sum():
    summed = torch.stack([noise(100 + t, *SIZE, dtype=torch.float64) for t in range(STEPS)])
    without = signs(SGDAT, threshold=0.0)
    assert torch.equal(without, -summed.cumsum(0).sign())
    flips = [
        int((made[1:] != made[:-1]).sum())
        for made in (without, signs(SGDAT, threshold=1e-4), signs(SGDAT, threshold=1e-3))
    ]
    assert flips[0] > flips[1] > flips[2] > 0


@pytest.mark.parametrize("train_set_size", [10.0, 50_000.0])
@pytest.mark.parametrize("init", [10.0, 40.0])
def test_bayes_binn_is_a_filter_whose_alpha_is_the_learning_rate(init, train_set_size):
    ours = signs(
        BayesBiNN,
        learning_rate=0.05,
        init=init,
        train_set_size=train_set_size,
        dtype=torch.float32,
    )
    assert torch.equal(ours, signs(FilterFlip, alpha=0.05, dtype=torch.float32))


def test_bayes_binn_as_published_with_its_noise_is_that_filter_too():
    """Algorithm 1 in float32 as its authors run it: one sample, temperature 1e-10."""
    generator = torch.Generator().manual_seed(3)
    odds = 10 * weight(0, *SIZE).detach().sign()
    seen = []
    for step in range(STEPS):
        noise_01 = torch.rand(SIZE, generator=generator)
        shift = (noise_01 / (1 - noise_01)).log() / 2
        sample = ((shift + odds) / 1e-10).tanh()
        mean = odds.tanh()
        scale = (1 - sample * sample + 1e-10) / 1e-10 / (1 - mean * mean + 1e-10)
        gradient = 50_000 * scale * noise(100 + step, *SIZE)
        odds = odds - 0.05 * (gradient + odds)
        assert torch.equal(sample.abs(), torch.ones(SIZE))
        seen.append(odds.sign())
    filtered = signs(FilterFlip, alpha=0.05, dtype=torch.float32)
    assert torch.equal(torch.stack(seen), filtered)


def test_values_written_between_steps_are_where_bayes_binn_begins_anew():
    param = weight()
    rule = BayesBiNN([param], learning_rate=0.1, init=3.0)
    train(rule, param, 5)
    with torch.no_grad():
        param.copy_(torch.ones(6, 5))
    param.grad = torch.zeros(6, 5)
    with pytest.warns(UserWarning, match="lambda begins anew"):
        rule.step()
    torch.testing.assert_close(rule.state[param]["odds"], torch.full((6, 5), 2.7))


def test_lion_with_equal_betas_is_signsgd():
    lion = signs(LatentLion, learning_rate=0.1, beta1=0.7, beta2=0.7)
    assert torch.equal(lion, signs(LatentSignSGD, learning_rate=0.1, momentum=0.7))


def test_a_step_against_signs_has_the_length_of_the_learning_rate_or_is_none():
    param = torch.nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))
    rule = LatentSignSGD([param], learning_rate=0.25)
    param.grad = torch.tensor([1e-9, 0.0, -1e9])
    rule.step()
    assert rule.state[param]["w"].tolist() == [0.75, 1.0, 1.25]


def test_of_the_signs_latent_signsgd_is_an_average_with_alpha_eta_lambda():
    param = weight(0, *SIZE, dtype=torch.float64)
    rule = LatentSignSGD(
        [param], learning_rate=0.125, weight_decay=0.5, momentum=0.75, init_scale=1e-30
    )
    m, s = torch.zeros(SIZE, dtype=torch.float64), torch.zeros(SIZE, dtype=torch.float64)
    alpha = 0.125 * 0.5
    for step in range(STEPS):
        param.grad = noise(step, *SIZE, dtype=torch.float64)
        rule.step()
        m = 0.75 * m + 0.25 * param.grad
        s = (1 - alpha) * s + alpha * m.sign()
        sure = s.abs() > 1e-12
        assert torch.equal(param.detach()[sure], -s.sign()[sure])
        assert sure.double().mean() > 0.9 or step < 3
    assert math.isclose(alpha, 0.0625)
