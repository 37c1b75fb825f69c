"""Filters whose state is written every other step, against the same written at once."""

import copy
import itertools

import numpy as np
import pytest
import torch
from scipy.signal import butter

from tuner import kernels
from tuner.optim import DesignedFilter, FilterFlip, Schedule
from tuner.optim.designed import behind

pytestmark = pytest.mark.usefixtures("compiled")

K, STEPS = 3, 41
GAIN = [2.0, 0, 0, 1, 0, 0]
RULES = {
    "order 2": lambda params: DesignedFilter(params, memory=40, family="bessel"),
    "order 3": lambda params: DesignedFilter(params, memory=400, family="damped", order=3),
    "order 4": lambda params: DesignedFilter(params, memory=9, family="chebyshev1", order=4),
    "moving cut-off": lambda params: DesignedFilter(
        params, memory=20, family="ema", order=4, schedule=Schedule("cosine", STEPS)
    ),
    "jumping cut-off": lambda params: DesignedFilter(
        params,
        memory=2,
        family="butterworth",
        order=3,
        schedule=lambda step: (0.03, 0.9)[step // 2 % 2],
    ),
    "per trial": lambda params: DesignedFilter(
        params,
        memory=[2, 30, 300],
        family=["ema", "bessel", "moving_average"],
        order=[1, 4, 3],
        schedule=Schedule(["cosine", "constant", "step"], STEPS),
    ),
    "sections": lambda params: FilterFlip(params, sos=butter(5, 0.02, output="sos")),
    "a gain at the end": lambda params: FilterFlip(
        params, sos=np.vstack([butter(4, 0.05, output="sos"), GAIN])
    ),
}


def looked_at(rule, weights):
    assert all(torch.isfinite(value).all() for value in rule.state[weights[0]].values())
    return rule


def with_other_signs(rule, weights):
    with torch.no_grad():
        weights[0].neg_()
    return rule


def with_other_state(rule, weights):
    for value in rule.state[weights[0]].values():
        value.neg_()
    return rule


def resumed(rule, weights):
    saved = copy.deepcopy(rule.state_dict())
    for value in rule.state[weights[0]].values():
        value.zero_()
    rule.load_state_dict(saved)
    return rule


def without_a_gradient(rule, weights):
    weights[1].grad = None
    return rule


def with_gaps(rule, weights):
    gradient = weights[0].grad
    weights[0].grad = gradient.repeat_interleave(2, -1)[..., ::2]
    return rule


def fewer(rule, weights):
    keep = torch.tensor([0, 2])
    for weight in weights:
        weight.data, weight.grad = weight.data[keep], weight.grad[keep]
    rule.select_trials(keep)
    return rule


BETWEEN = (
    looked_at,
    with_other_signs,
    with_other_state,
    resumed,
    without_a_gradient,
    with_gaps,
)
DISTURBED = [
    *itertools.product(["order 4", "per trial"], BETWEEN, [(20,), (21,), (3, 6, 9, 10, 13)]),
    *itertools.product(["per trial"], [fewer], [(20,), (21,)]),
]


def trained(make, *, dtype=torch.float32, between=looked_at, at=()):
    """Signs, flips and the state in the end; what lies between is done before these steps."""
    generator = torch.Generator().manual_seed(2)
    weights = [torch.nn.Parameter(torch.ones(K, n)) for n in (7, 160)]
    rule = make(weights)
    for weight in weights:
        weight.data = weight.data.to(dtype)
    history = []
    for step in range(STEPS):
        for weight in weights:
            noise = torch.randn((K, weight[0].numel()), generator=generator)
            weight.grad = noise[: len(weight)].to(dtype)
        if step in at:
            rule = between(rule, weights)
        rule.step()
        history.append((rule.flips.clone(), *(weight.detach().clone() for weight in weights)))
    return history, [rule.state[weight] for weight in weights]


def assert_same(make, monkeypatch, **how):
    monkeypatch.setattr(behind, "FEWEST_BYTES", 0)
    ours = trained(make, **how)
    monkeypatch.setattr(behind, "FEWEST_BYTES", 2**60)
    twins = trained(make, **how)
    for step, (one, two) in enumerate(zip(ours[0], twins[0], strict=True)):
        assert all(map(torch.equal, one, two)), step
    assert sum(int(flips.sum()) for flips, *_ in ours[0]) > 0
    for one, two in zip(ours[1], twins[1], strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", RULES)
def test_signs_flips_and_state_are_the_same_bit_for_bit(name, dtype, monkeypatch):
    assert_same(RULES[name], monkeypatch, dtype=dtype)


@pytest.mark.filterwarnings("ignore:.*others wrote")
@pytest.mark.parametrize(("name", "between", "at"), DISTURBED)
def test_and_so_they_are_whatever_comes_between_two_steps(name, between, at, monkeypatch):
    assert_same(RULES[name], monkeypatch, between=between, at=at)


def test_state_is_written_every_other_step_of_many_weights_and_at_once_of_few(monkeypatch):
    called = []
    call = kernels.call
    monkeypatch.setattr(
        kernels, "call", lambda name, *rest: (called.append(name), call(name, *rest))
    )
    many, few, single = (torch.nn.Parameter(torch.ones(n)) for n in (2**20, 2**19, 2**20))
    for weight, order in ((many, 4), (few, 4), (single, 1)):
        rule = DesignedFilter([weight], memory=9, family="bessel", order=order)
        for _ in range(4):
            weight.grad = torch.ones_like(weight)
            rule.step()
    ahead, at_once = "tuner_slots_ahead_f32", "tuner_slots_f32"
    assert called == [ahead, "tuner_slots_behind_f32"] * 2 + [at_once] * 8


def test_nan_and_infinity_reach_the_state(monkeypatch):
    monkeypatch.setattr(behind, "FEWEST_BYTES", 0)
    for steps in (1, 2, 5, 6):
        for number in (torch.nan, torch.inf):
            weight = torch.nn.Parameter(torch.ones(2, 40))
            rule = DesignedFilter([weight], memory=[9.0, 90.0], family="bessel", order=4)
            for step in range(steps):
                weight.grad = torch.ones(2, 40)
                if step == steps - 1:
                    weight.grad[1, 17] = number
                rule.step()
            assert rule.finite(2).tolist() == [True, False]
