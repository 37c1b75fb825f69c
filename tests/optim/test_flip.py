"""FilterFlip and Bop: ties, forgetting, any linear filter."""

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, reject
from hypothesis import strategies as st

from tuner.errors import InvalidInput
from tuner.optim import Bop, FilterFlip, Schedule
from tuner.optim.base import sign
from tuner.optim.designed.sections import check_low_pass


def trace(optimizer, weight, gradients):
    signs = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        signs.append(weight.detach().clone())
    return torch.stack(signs)


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_sign_of_either_zero_is_plus_one():
    assert sign(torch.tensor([0.0, -0.0, 1e-30, -1e-30])).tolist() == [1, 1, 1, -1]


def test_the_first_step_sets_every_weight_against_its_gradient():
    weight = torch.nn.Parameter(randn(0, 100))
    gradient = randn(1, 1, 100)
    signs = trace(FilterFlip([weight], alpha=1e-4, gamma=1e-3), weight, gradient)
    assert torch.equal(signs[0], -gradient[0].sign())


def test_a_weight_whose_gradient_is_always_zero_keeps_its_sign():
    weight = torch.nn.Parameter(torch.tensor([0.5, -0.5, 0.5, -0.5]))
    zeros = torch.tensor([[0.0, 0.0, -0.0, -0.0]]).expand(5, 4)
    with pytest.warns(UserWarning, match="zero everywhere"):
        signs = trace(FilterFlip([weight], alpha=0.1, gamma=0.1), weight, zeros)
    assert signs.tolist() == [[1, -1, 1, -1]] * 5


def test_alpha_decays_and_gamma_does_not():
    g = randn(2, 40, 30)
    weight = torch.nn.Parameter(torch.ones(30, dtype=torch.float64))
    rule = FilterFlip([weight], alpha=0.5, gamma=0.3, schedule=Schedule("linear", 40))
    signs = trace(rule, weight, g)
    m = s = torch.zeros(30, dtype=torch.float64)
    for t in range(40):
        m = 0.7 * m + 0.3 * g[t]
        alpha = 0.5 * (1 - t / 40)
        s = (1 - alpha) * s + alpha * m
        assert torch.equal(signs[t], -s.sign())


stable_pairs = st.tuples(st.floats(0.0, 0.99), st.floats(0.0, np.pi)).map(
    lambda polar: [1.0, -2 * polar[0] * np.cos(polar[1]), polar[0] ** 2]
)


@pytest.mark.slow
@given(
    sections=st.lists(
        st.tuples(st.lists(st.floats(-2, 2), min_size=3, max_size=3), stable_pairs),
        min_size=1,
        max_size=3,
    ),
    seed=st.integers(0, 2**16),
)
def test_sections_give_the_signs_of_scipy_sosfilt(sections, seed):
    sos = np.array([[*b, *a] for b, a in sections])
    sos[0, :3] *= np.sign(np.prod(sos[:, :3].sum(1)))
    try:
        check_low_pass(sos, "it")
    except InvalidInput:
        reject()
    g = randn(seed, 30, 5)
    weight = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    signs = trace(FilterFlip([weight], sos=sos), weight, g)
    s = scipy.signal.sosfilt(sos, g.numpy(), axis=0)
    b = np.ones(5)
    for t in range(30):
        b = np.where(s[t] * b > 0, -b, b)
        assert signs[t].tolist() == b.tolist()


def test_sections_can_differ_from_trial_to_trial():
    sos = np.stack([scipy.signal.butter(3, cut, output="sos") for cut in (0.05, 0.3)])
    g = randn(3, 50, 2, 9)
    weight = torch.nn.Parameter(torch.ones(2, 9, dtype=torch.float64))
    together = trace(FilterFlip([weight], sos=sos), weight, g)
    for k in range(2):
        one = torch.nn.Parameter(torch.ones(9, dtype=torch.float64))
        assert torch.equal(trace(FilterFlip([one], sos=sos[k]), one, g[:, k]), together[:, k])


def test_two_moving_averages_are_one_second_order_section():
    alpha, gamma = 0.03, 0.4
    sos = [[alpha * gamma, 0, 0, 1, -(2 - alpha - gamma), (1 - alpha) * (1 - gamma)]]
    g = randn(4, 200, 20)
    one, two = (torch.nn.Parameter(torch.ones(20, dtype=torch.float64)) for _ in range(2))
    assert torch.equal(
        trace(FilterFlip([one], alpha, gamma), one, g), trace(FilterFlip([two], sos=sos), two, g)
    )


def test_bop_without_threshold_is_a_single_moving_average():
    g = randn(5, 100, 20)
    one, two = (torch.nn.Parameter(torch.ones(20, dtype=torch.float64)) for _ in range(2))
    assert torch.equal(
        trace(Bop([one], gamma=0.05, tau=0.0), one, g), trace(FilterFlip([two], 0.05), two, g)
    )


def test_an_unstable_filter_is_refused_with_its_pole():
    with pytest.raises(InvalidInput, match=r"unstable, its pole 1.05 has modulus 1.05"):
        FilterFlip([torch.nn.Parameter(torch.ones(2))], sos=[[1, 0, 0, 1, -1.05, 0]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give alpha"),
        ({"alpha": 0.1, "sos": [[1, 0, 0, 1, 0, 0]]}, "give alpha"),
        ({"gamma": 0.1, "sos": [[1, 0, 0, 1, 0, 0]]}, "sos replaces"),
        ({"sos": [1, 0, 0, 1, 0, 0]}, r"shape \[S, 6\]"),
        ({"sos": [[1, 0, 0, 2, 0, 0]]}, "a0 = 1"),
        ({"sos": [[float("nan"), 0, 0, 1, 0, 0]]}, "finite"),
        ({"alpha": 1.5}, r"alpha must be in \(0, 1\], got 1.5"),
        ({"alpha": torch.tensor([0.1, float("nan")])}, r"alpha must be in \(0, 1\], got nan"),
    ],
)
def test_what_is_no_filter_is_refused(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        FilterFlip([torch.nn.Parameter(torch.ones(2))], **arguments)
