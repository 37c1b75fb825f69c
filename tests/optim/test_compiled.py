"""The compiled steps against their twins in torch."""

import copy
import itertools
import math

import pytest
import torch
from scipy.signal import butter

from tests.optim.common import COMPILED, make, noise, train, weight
from tuner import kernels
from tuner.optim import (
    Bop,
    DesignedFilter,
    FilterFlip,
    LatentAdam,
    LatentAdamW,
    LatentSGD,
    Schedule,
    compiled,
)

pytestmark = pytest.mark.usefixtures("compiled")

K, STEPS = 3, 40
SIZES = [(1,), (16,), (5, 7), (33, 16)]
"""Of one trial's weights: below, at and beyond a vector, with and without a rest."""

VECTOR = torch.tensor([0.02, 0.3, 0.9])
FILTERS = {
    "cascade": {"alpha": 0.05, "gamma": 0.3},
    "first order": {"alpha": 0.05},
    "per trial": {"alpha": VECTOR, "gamma": VECTOR.flip(0)},
    "scheduled": {"alpha": 0.3, "gamma": VECTOR, "schedule": Schedule("cosine", STEPS)},
    "scheduled per trial": {
        "alpha": 0.3,
        "schedule": Schedule(["cosine", "constant", "step"], STEPS),
    },
}
DESIGNS = {
    "order 1": lambda params: DesignedFilter(params, memory=9, order=1),
    "order 4": lambda params: DesignedFilter(params, memory=3, family="butterworth", order=4),
    "orders per trial": lambda params: DesignedFilter(
        params, memory=[2, 3, 30], family=["ema", "bessel", "damped"], order=[1, 4, 3]
    ),
    "scheduled per trial": lambda params: DesignedFilter(
        params,
        memory=4,
        family="moving_average",
        order=3,
        schedule=Schedule(["cosine", "constant", "step"], STEPS),
    ),
    "sections": lambda params: FilterFlip(params, sos=butter(5, 0.2, output="sos")),
}
OPTIONS = [
    {"learning_rate": 0.1, "coupled": coupled, **momentum, **decay, **extra}
    for coupled, momentum, decay, extra in itertools.product(
        [False, True],
        [{}, {"momentum": 0.9}, {"momentum": torch.tensor([0.0, 0.5, 0.99])}],
        [{}, {"weight_decay": 0.1}],
        [{}, {"clip": 0.217}, {"scaling": torch.tensor([True, False, True])}],
    )
] + [
    {"learning_rate": VECTOR, "coupled": True, "momentum": 0.8, "nesterov": True},
    {"learning_rate": 0.1, "coupled": True, "momentum": 0.8, "dampening": 0.5},
    {"learning_rate": VECTOR, "schedule": Schedule("linear", STEPS), "init_scale": 3.0},
]


BOPS = [
    {"gamma": 0.1, "tau": 0.05},
    {"gamma": 0.7, "tau": 0.0},
    {"gamma": VECTOR, "tau": VECTOR / 10},
    {"gamma": 0.3, "schedule": Schedule(["cosine", "constant", "step"], STEPS)},
]
ADAMS = [
    {"learning_rate": rate, **decay, **extra}
    for rate, decay, extra in itertools.product(
        [0.1, VECTOR],
        [{}, {"weight_decay": 0.1}],
        [
            {},
            {"clip": 0.217, "beta1": 0.3},
            {"scaling": torch.tensor([True, False, True]), "beta2": VECTOR},
        ],
    )
] + [
    {"learning_rate": 0.1, "beta1": 0.0, "eps": 0.1},
    {"learning_rate": VECTOR, "beta1": VECTOR, "schedule": Schedule("linear", STEPS)},
]


def run(make, size, dtype, *, plain=None):
    """Signs and flips after each step, and the last state; ``plain`` turns compilation off."""
    if plain is not None:
        plain.setattr(compiled, "fits", lambda *_: False)
    generator = torch.Generator().manual_seed(1)
    start = torch.rand((K, *size), generator=generator) * 2 - 1
    weights = torch.nn.Parameter(start)
    rule = make([weights])
    weights.data = weights.data.to(dtype)
    signs, flips = [], []
    for _ in range(STEPS):
        weights.grad = torch.randn((K, *size), generator=generator).to(dtype)
        rule.step()
        signs.append(weights.detach().float().clone())
        flips.append(rule.flips.clone())
    return torch.stack(signs), torch.stack(flips), dict(rule.state[weights])


def assert_same(make, size, dtype, monkeypatch):
    signs, flips, state = run(make, size, dtype)
    with monkeypatch.context() as plain:
        twin_signs, twin_flips, twin_state = run(make, size, dtype, plain=plain)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-2  # scaled signs are rounded to bfloat16
    torch.testing.assert_close(signs, twin_signs, rtol=tolerance, atol=tolerance)
    assert flips.dtype == torch.int64
    assert torch.equal(flips, twin_flips)
    assert flips.sum() > 0
    assert state.keys() == twin_state.keys()
    for name, value in state.items():
        if name in ("unset", "step"):
            assert value == twin_state[name]
            continue
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, twin_state[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FILTERS)
def test_filter_flip(name, size, dtype, monkeypatch):
    assert_same(lambda params: FilterFlip(params, **FILTERS[name]), size, dtype, monkeypatch)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", DESIGNS)
def test_filters_in_slots(name, size, dtype, monkeypatch):
    assert_same(DESIGNS[name], size, dtype, monkeypatch)


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_latent_sgd(options, dtype, monkeypatch):
    assert_same(lambda params: LatentSGD(params, **options), (5, 7), dtype, monkeypatch)


@pytest.mark.parametrize("options", BOPS, ids=range(len(BOPS)))
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bop(options, size, dtype, monkeypatch):
    assert_same(lambda params: Bop(params, **options), size, dtype, monkeypatch)


@pytest.mark.parametrize("options", ADAMS, ids=range(len(ADAMS)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rule", [LatentAdam, LatentAdamW])
def test_latent_adam(rule, options, dtype, monkeypatch):
    assert_same(lambda params: rule(params, **options), (5, 7), dtype, monkeypatch)


MIXED = [
    ((6, 5), torch.float32),
    ((4, 3, 3, 3), torch.float32),
    ((7,), torch.float32),
    ((33,), torch.bfloat16),
    ((2, 17), torch.bfloat16),
    ((5, 5), torch.float64),
]
"""Shape and type of parameters of one group."""


@pytest.mark.parametrize("name", COMPILED)
def test_many_tensors_of_a_group_step_as_each_does_alone(name, monkeypatch):
    def start(number):
        return weight(number, *MIXED[number][0])

    def step(params, optimizer, number):
        for place, (param, index) in enumerate(params):
            param.grad = noise(100 * number + index, *param.shape).to(param.dtype)
            if number == 3 and place % 2:
                param.grad = None  # Adam counts the steps of each
            if number == 5 and index == 1:
                param.grad = param.grad.transpose(0, 1).contiguous().transpose(0, 1)
        optimizer.step()

    calls = []
    call = kernels.call
    monkeypatch.setattr(
        kernels, "call", lambda name, *rest: (calls.append(name), call(name, *rest))
    )
    together = [(start(index), index) for index in range(len(MIXED))]
    optimizer = make(name, [param for param, _ in together])
    alone = [(start(index), index) for index in range(len(MIXED))]
    optimizers = [make(name, [param]) for param, _ in alone]
    for params in (together, alone):
        for param, index in params:
            param.data = param.data.to(MIXED[index][1])
    for number in range(8):
        calls.clear()
        step(together, optimizer, number)
        assert number > 2 or len(calls) == 2, calls  # one for each of two types
        flips = 0
        for place, (one, own) in enumerate(zip(alone, optimizers, strict=True)):
            if number == 3 and place % 2:
                continue
            one[0].grad = together[place][0].grad
            own.step()
            flips += int(own.flips)
        assert int(optimizer.flips) == flips
        for (ours, _), (twin, _), own in zip(together, alone, optimizers, strict=True):
            assert torch.equal(ours, twin)
            for key, value in optimizer.state[ours].items():
                twins = own.state[twin][key]
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(twins))


@pytest.mark.parametrize("name", COMPILED)
def test_versions_rise_with_every_compiled_step(name):
    param = weight()
    optimizer = make(name, [param])
    train(optimizer, param, 2)
    written = [param, *(v for v in optimizer.state[param].values() if torch.is_tensor(v))]
    before = [tensor._version for tensor in written]
    train(optimizer, param, 1, begin=2)
    assert all(tensor._version > v for tensor, v in zip(written, before, strict=True))


def test_the_compiled_step_is_taken_where_it_fits(monkeypatch):
    taken = []
    monkeypatch.setattr(kernels, "call", lambda name, *_: taken.append(name))
    for dtype, gaps in ((torch.float32, False), (torch.float64, False), (torch.float32, True)):
        weights = torch.nn.Parameter(torch.ones(4, 6, dtype=dtype))
        if gaps:
            weights.data = weights.data.t()
        rule = FilterFlip([weights], alpha=0.1)
        weights.grad = torch.ones_like(weights)
        rule.step()
    assert taken == ["tuner_cascade_f32"]


def test_nan_and_infinity_stay_visible():
    for made in (
        lambda p: FilterFlip(p, alpha=torch.full((2,), 0.1), gamma=0.5),
        lambda p: LatentSGD(p, learning_rate=torch.full((2,), 0.1), momentum=0.5, clip=1.0),
    ):
        weights = torch.nn.Parameter(torch.ones(2, 20))
        rule = made([weights])
        weights.grad = torch.ones(2, 20)
        weights.grad[1, 17] = torch.nan
        rule.step()
        assert rule.finite(2).tolist() == [True, False]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: FilterFlip(p, alpha=0.05, gamma=0.3),
        lambda p: LatentSGD(p, learning_rate=0.1, momentum=0.9, weight_decay=0.1),
    ],
)
@pytest.mark.filterwarnings("ignore:LatentSGD. others wrote")
@pytest.mark.parametrize("what", ["signs", "state", "another's state", "a copy"])
def test_what_others_wrote_between_two_steps_is_noticed(make, what, monkeypatch):
    def trained():
        generator = torch.Generator().manual_seed(1)
        weights = torch.nn.Parameter(torch.rand((K, 33), generator=generator) * 2 - 1)
        rule, history = make([weights]), []
        before = copy.deepcopy(rule.state_dict())
        for step in range(12):
            weights.grad = torch.randn((K, 33), generator=generator)
            rule.step()
            history.append((weights.detach().clone(), rule.flips.clone()))
            if step == 5 and what == "signs":
                with torch.no_grad():
                    weights.neg_()
            if step == 5 and what == "state":
                for value in rule.state[weights].values():
                    if isinstance(value, torch.Tensor):
                        value.neg_()
            if step == 5 and what == "another's state":
                rule.load_state_dict(before)
            if step == 5 and what == "a copy":
                rule, weights = copy.deepcopy((rule, weights))
        return history

    ours = trained()
    monkeypatch.setattr(compiled, "fits", lambda *_: False)
    for step, (one, twin) in enumerate(zip(ours, trained(), strict=True)):
        assert torch.equal(one[0], twin[0]), step
        assert torch.equal(one[1], twin[1]), step


@pytest.mark.parametrize("size", [(7,), (6, 20), (4, 3, 3, 3)])
def test_without_a_trial_axis_each_channel_is_scaled_by_its_own_mean(size, monkeypatch):
    def steps():
        weights = torch.nn.Parameter(torch.linspace(-1, 1, math.prod(size)).view(size))
        rule = LatentSGD([weights], learning_rate=0.5, scaling=True)
        for _ in range(3):
            weights.grad = torch.sin(7 * weights.detach())
            rule.step()
        return weights.detach(), rule.state[weights]["w"]

    scaled, w = steps()
    means = w.abs().mean(dim=tuple(range(min(1, w.dim() - 1), w.dim())), keepdim=True)
    torch.testing.assert_close(scaled, torch.sign(w) * means)
    monkeypatch.setattr(compiled, "fits", lambda *_: False)
    torch.testing.assert_close(scaled, steps()[0])
