"""One optimizer for all weights does what its two parts do, in every way a step is taken."""

import copy
import pickle
from functools import partial

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from tests.optim.common import MAKERS, make, noise
from tuner.bnn import binary_parameters, check
from tuner.errors import InvalidInput
from tuner.optim import Binary, FilterFlip, LatentSGD

REAL = partial(torch.optim.Adam, lr=0.01)
RULES = pytest.mark.parametrize("name", MAKERS)


class Net(nn.Sequential):
    """A binary layer between two real ones."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.Linear(6, 7, bias=False))
        self[2].binary_names = ("weight",)


def one(name, net, **options):
    return Binary(net, partial(make, name, **options), REAL)


def two(name, net):
    real = [param for key, param in net.named_parameters() if key != "2.weight"]
    return make(name, [net[2].weight]), REAL(real)


def backward(net, step, scale=1.0):
    (scale * (net(noise(step, 8, 5)) - noise(-step, 8, 7)).square().mean()).backward()


def train(net, optimizers, steps, *, begin=0):
    for step in range(begin, begin + steps):
        for optimizer in optimizers:
            optimizer.zero_grad()
        backward(net, step)
        for optimizer in optimizers:
            optimizer.step()


def same(net, other):
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@RULES
def test_it_takes_the_steps_of_both(name):
    net, other = Net(), Net()
    train(net, [one(name, net)], 6)
    train(other, two(name, other), 6)
    same(net, other)
    assert not torch.equal(net[0].weight, Net()[0].weight)


@RULES
def test_a_scaler_skips_what_overflowed_in_both(name):
    net, other = Net(), Net()
    whole, parts = one(name, net), two(name, other)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for step in range(6):
        whole.zero_grad()
        backward(net, step, scale=float(scaler.get_scale()) if step else 1.0)
        if step == 0:  # the scaler begins at its first scale
            for param in net.parameters():
                param.grad.mul_(scaler.scale(torch.ones(())))
        if step == 3:
            net[0].bias.grad[0] = torch.inf
        else:
            train(other, parts, 1, begin=step)
        scaler.step(whole)
        scaler.update()
    assert whole.rule.step_count == 5
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@RULES
def test_a_closure_is_run_once_with_gradients_and_its_loss_returned(name):
    net, other = Net(), Net()
    whole, calls = one(name, net), []

    def closure():
        calls.append(1)
        whole.zero_grad()
        backward(net, 1)
        return sum(param.sum() for param in net.parameters())

    with torch.no_grad():
        loss = whole.step(closure)
    assert calls == [1]
    assert loss.requires_grad
    train(other, two(name, other), 1, begin=1)
    same(net, other)


SCHEDULERS = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 2, 0.5),
    "Cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, 6),
    "Lambda": lambda o: lr_scheduler.LambdaLR(o, [lambda e: 1 / (e + 1)] * 2),
    "OneCycle": lambda o: lr_scheduler.OneCycleLR(o, [0.3, 0.02], 8, cycle_momentum=False),
    "Sequential": lambda o: lr_scheduler.SequentialLR(
        o, [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.5)], [3]
    ),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedulers_drive_both_and_go_on_after_they_were_saved(scheduler):
    def run(net, whole, schedule, begin, steps):
        rates = []
        for step in range(begin, begin + steps):
            train(net, [whole], 1, begin=step)
            schedule.step()
            rates.append([group["lr"] for group in whole.param_groups])
        return rates

    net = Net()
    whole = one("filter_flip", net)
    schedule = SCHEDULERS[scheduler](whole)
    rates = run(net, whole, schedule, 0, 3)
    saved = copy.deepcopy([part.state_dict() for part in (net, whole, schedule)])
    rates += run(net, whole, schedule, 3, 3)
    assert all(len({rate[part] for rate in rates}) > 1 for part in (0, 1))

    other = Net()
    resumed = one("filter_flip", other)
    again = SCHEDULERS[scheduler](resumed)
    for part, state in zip((other, resumed, again), saved, strict=True):
        part.load_state_dict(state)
    assert run(other, resumed, again, 3, 3) == rates[3:]
    same(net, other)


def test_a_plateau_lowers_both_rates():
    whole = one("filter_flip", Net())
    schedule = lr_scheduler.ReduceLROnPlateau(whole, factor=0.1, patience=0)
    for _ in range(2):
        schedule.step(1.0)
    assert [group["lr"] for group in whole.param_groups] == pytest.approx([0.02, 0.001])


@RULES
def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been(name):
    net, other = Net(), Net()
    whole, resumed = one(name, net), one(name, other, lr=0.9)
    train(net, [whole], 5)
    saved = pickle.loads(pickle.dumps(whole.state_dict()))
    assert sorted(saved["state"]) == list(range(5))
    other.load_state_dict(net.state_dict())
    resumed.load_state_dict(saved)
    assert resumed.param_groups[0]["lr"] == 0.2
    train(net, [whole], 5, begin=5)
    train(other, [resumed], 5, begin=5)
    same(net, other)


@RULES
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_goes_on_by_itself(name, copied):
    net = Net()
    whole = one(name, net)
    train(net, [whole], 3)
    other, theirs = copied((net, whole))
    assert repr(theirs) == repr(whole)
    train(net, [whole], 3, begin=3)
    train(other, [theirs], 3, begin=3)
    same(net, other)


@RULES
def test_what_is_frozen_stays_and_steps_once_it_is_not(name):
    net, other = Net(), Net()
    whole, parts = one(name, net), two(name, other)
    for frozen in (net, other):
        frozen[2].weight.requires_grad_(False)
    before = net[2].weight.detach().clone()
    train(net, [whole], 4)
    train(other, parts, 4)
    assert torch.equal(net[2].weight, before)
    for frozen in (net, other):
        frozen[2].weight.requires_grad_(True)
    train(net, [whole], 4, begin=4)
    train(other, parts, 4, begin=4)
    same(net, other)
    assert not torch.equal(net[2].weight, before)


@pytest.mark.slow
def test_a_compiled_step_is_the_step():
    def run(compiled):
        torch._dynamo.reset()
        net = Net()
        whole = one("filter_flip", net)
        step = torch.compile(lambda: whole.step(), backend="eager") if compiled else whole.step
        for number in range(6):
            whole.zero_grad()
            backward(net, number)
            step()
        return net

    same(run(True), run(False))


def test_hooks_on_it_are_called_around_its_steps_and_states():
    net = Net()
    whole, calls = one("filter_flip", net), []
    whole.register_step_pre_hook(lambda *_: calls.append("before"))
    whole.register_step_post_hook(lambda *_: calls.append("after"))
    whole.register_state_dict_post_hook(lambda _, state: {**state, "more": 1})
    whole.register_load_state_dict_pre_hook(lambda _, state: calls.append(state.pop("more")))
    whole.register_load_state_dict_post_hook(lambda _: calls.append("loaded"))
    train(net, [whole], 1)
    whole.load_state_dict(whole.state_dict())
    assert calls == ["before", "after", 1, "loaded"]


def test_state_can_be_read_and_put_back_by_parameter():
    net = Net()
    whole = one("latent_adam", net)
    train(net, [whole], 2)
    assert set(map(id, whole.state)) == set(map(id, net.parameters()))
    for param in list(whole.state):  # as what moves an optimizer to another device does
        whole.state[param] = {
            key: value.double() if torch.is_tensor(value) else value
            for key, value in whole.state[param].items()
        }
    assert whole.real.state[net[0].bias]["exp_avg"].dtype == torch.float64
    assert whole.rule.state[net[2].weight]["w"].dtype == torch.float64
    del whole.state[net[0].bias]
    assert net[0].bias not in whole.real.state
    assert len(whole.state) == 4


def test_it_takes_the_weights_that_it_is_given_and_names_them():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    whole = Binary(
        net, partial(LatentSGD, lr=0.1), torch.optim.SGD, binary=binary_parameters(net, "1")
    )
    assert whole.rule.param_groups[0]["param_names"] == ["1.weight"]
    assert len(whole.real.param_groups[0]["params"]) == 3
    net[1].weight.requires_grad_(False)
    (problem,) = check(net, whole)
    assert problem.startswith("1.weight: it requires no gradient")


def test_what_cannot_be_is_refused_in_words():
    net, rule = Net(), partial(FilterFlip, alpha=0.1)
    for words, network, more in (
        ("no layer of this network says that its weights are binary", nn.Sequential(net[0]), {}),
        ("1 of the 1 binary weights are not", net, {"binary": Net()[2].parameters()}),
        ("all parameters of this network are binary", nn.Sequential(net[2]), {}),
        ("LBFGS takes several looks", net, {"real": torch.optim.LBFGS}),
    ):
        with pytest.raises(InvalidInput, match=words):
            Binary(network, rule, **more)
    whole = Binary(net, rule)
    with pytest.raises(InvalidInput, match=r"rule\.add_param_group"):
        whole.add_param_group({"params": [nn.Parameter(torch.ones(3))]})
    with pytest.raises(InvalidInput, match="has 1 parameter groups and the optimizer 2"):
        whole.load_state_dict(REAL(net.parameters()).state_dict())
    swapped = whole.state_dict()
    swapped["param_groups"].reverse()
    with pytest.raises(InvalidInput, match="state of another optimizer"):
        whole.load_state_dict(swapped)
