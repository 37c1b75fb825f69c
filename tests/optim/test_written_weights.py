"""Weights that come after the optimizer, and signs that come without its state."""

import copy
import warnings

import pytest
import torch
from torch import nn

from tests.optim.common import MAKERS, make, noise, train, weight
from tuner.errors import InvalidInput
from tuner.optim import Bop, FilterFlip

RULES = pytest.mark.parametrize("name", MAKERS)


def by_torch(param, values):
    with torch.no_grad():
        param.copy_(values)


def by_data(param, values):
    param.data.copy_(values)


def by_another_tensor(param, values):
    param.data = values.clone()


WAYS = pytest.mark.parametrize("write", [by_torch, by_data, by_another_tensor])


@RULES
@WAYS
def test_values_written_before_the_first_step_are_those_the_rule_starts_from(name, write):
    one, two = weight(0), weight(1)
    late, expected = make(name, [two]), make(name, [one])
    write(two, noise(0))
    with pytest.warns(
        UserWarning, match=r"others wrote to parameter 0 of group 0, shape \[6, 5\]"
    ):
        signs = train(late, two, 20)
    assert torch.equal(signs, train(expected, one, 20))
    assert torch.equal(one, two)


@RULES
@pytest.mark.parametrize("write", [by_torch, by_another_tensor])
def test_values_written_between_two_steps_are_taken_in_with_one_warning(name, write):
    param = weight()
    optimizer = make(name, [("layer.weight", param)])
    train(optimizer, param, 5)
    for moment in (5, 10):
        values = 1e6 * noise(moment)  # so large that no step turns a latent weight
        write(param, values)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            train(optimizer, param, 1, begin=moment)
        assert len(said) == (1 if moment == 5 else 0)
        assert not said or "others wrote to layer.weight since" in str(said[0].message)
        if "w" in optimizer.state[param]:
            torch.testing.assert_close(optimizer.state[param]["w"], values, rtol=1e-2, atol=10)
            assert torch.equal(param.sign(), values.sign())
        if "scaled" not in name:
            assert set(param.unique().tolist()) == {-1.0, 1.0}


@RULES
def test_values_written_through_data_are_noticed_soon(name):
    param = weight()
    optimizer = make(name, [param])
    train(optimizer, param, 5)
    by_data(param, 1e6 * noise(9))
    if name == "latent_sgd scaled":  # its values are no signs, and it writes all of them
        return
    with pytest.warns(UserWarning, match="others wrote"):
        train(optimizer, param, 4, begin=5)
    assert torch.equal(param.abs(), torch.ones(6, 5))


@RULES
@WAYS
def test_the_rules_own_values_put_back_are_no_news(name, write):
    param = weight()
    optimizer = make(name, [param])
    train(optimizer, param, 5)
    write(param, param.detach().clone())
    twin = weight()
    expected = train(make(name, [twin]), twin, 25)
    assert torch.equal(train(optimizer, param, 20, begin=5), expected[5:])


@RULES
def test_a_network_and_its_optimizer_resume_in_either_order(name):
    param = weight()
    optimizer = make(name, [param])
    train(optimizer, param, 7)
    values, state = param.detach().clone(), copy.deepcopy(optimizer.state_dict())
    ends = []
    for order in (0, 1):
        other = weight(3)
        resumed = make(name, [other])
        if order == 0:
            by_torch(other, values)
        resumed.load_state_dict(copy.deepcopy(state))
        if order == 1:
            by_torch(other, values)
        ends.append(train(resumed, other, 5, begin=7))
    ends.append(train(optimizer, param, 5, begin=7))
    assert torch.equal(ends[0], ends[2])
    assert torch.equal(ends[1], ends[2])


@pytest.mark.parametrize("name", ["filter_flip", "bop", "latent_sgd"])
def test_signs_that_come_without_state_are_warned_of(name):
    signs = noise(0).sign()
    before = nn.Parameter(signs.clone())
    optimizer = make(name, [before])
    with pytest.warns(UserWarning, match=r"came as \+1 and -1.*FilterFlip.from_trained"):
        train(optimizer, before, 1)
    train(optimizer, before, 3)
    after = weight()
    optimizer = make(name, [after])
    by_torch(after, noise(7).sign())
    with pytest.warns(UserWarning):
        train(optimizer, after, 1)


@pytest.mark.parametrize("gamma", [1.0, 0.3])
def test_from_trained_keeps_the_signs_until_the_gradient_outweighs_them(gamma):
    signs = noise(0, 200).sign()
    param = nn.Parameter(0.7 * signs)
    optimizer = FilterFlip.from_trained([param], 5.0, alpha=0.05, gamma=gamma)
    seen = train(optimizer, param, 10)
    assert torch.equal(seen[-1], signs)
    for _ in range(300):
        param.grad = 10.0 * signs
        optimizer.step()
    assert torch.equal(param.detach(), -signs)
    weak = nn.Parameter(signs.clone())
    param.grad = None
    assert (train(FilterFlip.from_trained([weak], 1e-9, 0.05), weak, 1) != signs).any()


@pytest.mark.parametrize("strength", [0.0, -1.0, float("nan"), float("inf")])
def test_a_strength_that_is_none_is_refused(strength):
    with pytest.raises(InvalidInput, match=r"strength must be in \(0, inf\)"):
        FilterFlip.from_trained([weight()], strength, alpha=0.1)


def test_weights_clipped_by_the_loop_are_no_news():
    for make_rule in (lambda p: FilterFlip(p, alpha=0.3), lambda p: Bop(p, gamma=0.3)):
        param = weight()
        optimizer = make_rule([param])

        def clip(_, param=param):
            with torch.no_grad():
                param.clamp_(-1, 1)

        train(optimizer, param, 10, after=clip)
