"""What an optimizer keeps of its parameters between two steps, and what puts it out of date."""

import copy
import pickle

import pytest
import torch

from tests.optim.common import COMPILED, make, noise, weight
from tuner.optim.plain import Sight

pytestmark = [
    pytest.mark.usefixtures("compiled"),
    pytest.mark.filterwarnings("ignore:.*others wrote"),
]
STEPS, DISTURBED = 14, (6, 10)
"""Before which steps something happens; values are looked at before others."""


def nothing(rule, weights):
    return rule, weights


def written(rule, weights):
    with torch.no_grad():
        weights[0].neg_()
    return rule, weights


def other_memory(rule, weights):
    weights[1].data = -weights[1].data
    return rule, weights


def transposed_where_it_lies(rule, weights):
    weights[0].data = weights[0].data.t()
    return rule, weights


def other_type(rule, weights):
    for param in weights:
        param.data = param.data.to(torch.bfloat16)
        param.grad = param.grad.to(torch.bfloat16)
    return rule, weights


def tensors_of(rule, param):
    return {name: v for name, v in rule.state[param].items() if torch.is_tensor(v)}


def other_state(rule, weights):
    rule.state[weights[1]].update({n: v / 2 for n, v in tensors_of(rule, weights[1]).items()})
    return rule, weights


def state_in_other_memory(rule, weights):
    for value in tensors_of(rule, weights[1]).values():
        value.data = value.data / 2
    return rule, weights


def state_transposed_where_it_lies(rule, weights):
    for value in tensors_of(rule, weights[0]).values():
        value.data = value.data.t()
    return rule, weights


def states_swapped(rule, weights):
    one, two = weights[:2]
    rule.state[one], rule.state[two] = rule.state[two], rule.state[one]
    return rule, weights


def state_lost(rule, weights):
    rule.state[weights[1]].clear()
    return rule, weights


def all_state_lost(rule, weights):
    rule.state.clear()
    return rule, weights


def loaded(rule, weights):
    saved = copy.deepcopy(rule.state_dict())
    for param in weights:
        for value in tensors_of(rule, param).values():
            value.zero_()
    rule.load_state_dict(saved)
    return rule, weights


def copied(rule, weights, *, copy=copy.deepcopy):
    gradients = [param.grad for param in weights]
    rule, weights = copy((rule, weights))
    for param, gradient in zip(weights, gradients, strict=True):
        param.grad = gradient
    return rule, weights


def pickled(rule, weights):
    return copied(rule, weights, copy=lambda both: pickle.loads(pickle.dumps(both)))


def another_group(rule, weights):
    added = weight(len(weights), 5, 5)
    added.grad = noise(40 + len(weights), 5, 5)
    rule.add_param_group({"params": [added], "lr": 0.3})
    return rule, [*weights, added]


def other_order(rule, weights):
    rule.param_groups[0]["params"].reverse()
    return rule, weights


def another_of_the_same_place(rule, weights):
    group = rule.param_groups[0]
    other = torch.nn.Parameter(-weights[2].detach())
    other.grad = weights[2].grad
    rule.state[other] = rule.state.pop(weights[2])
    group["params"][2] = other
    return rule, [*weights[:2], other, *weights[3:]]


def one_without_a_gradient(rule, weights):
    weights[1].grad = None
    return rule, weights


def gradient_with_gaps(rule, weights):
    weights[0].grad = weights[0].grad.repeat_interleave(2, -1)[..., ::2]
    return rule, weights


def gradient_negated_when_read(rule, weights):
    gradient = weights[2].grad
    weights[2].grad = torch.complex(gradient, gradient).conj().imag
    assert weights[2].grad.is_neg()
    return rule, weights


def gradient_of_another_type(rule, weights):
    weights[0].grad.data = weights[0].grad.data.double()
    return rule, weights


WAYS = [
    nothing,
    written,
    other_memory,
    transposed_where_it_lies,
    other_type,
    other_state,
    state_in_other_memory,
    state_transposed_where_it_lies,
    states_swapped,
    state_lost,
    all_state_lost,
    loaded,
    copied,
    pickled,
    another_group,
    other_order,
    another_of_the_same_place,
    one_without_a_gradient,
    gradient_with_gaps,
    gradient_negated_when_read,
    gradient_of_another_type,
]


def trained(name, between):
    """What there is after each step: weights, state and flips."""
    weights = [weight(seed, 5, 5) for seed in range(4)]
    rule, history = make(name, weights), []
    for step in range(STEPS):
        for number, param in enumerate(weights):
            param.grad = noise(100 * step + number, 5, 5).to(param.dtype)
        if step in DISTURBED:
            rule, weights = between(rule, weights)
        rule.step()
        states = [copy.deepcopy(rule.state[param]) for param in weights]
        history.append(([p.detach().clone() for p in weights], states, rule.flips.clone()))
    return history


@pytest.mark.parametrize("between", WAYS)
@pytest.mark.parametrize("name", COMPILED)
def test_steps_are_those_of_an_optimizer_that_keeps_nothing(name, between, monkeypatch):
    ours = trained(name, between)
    monkeypatch.setattr(Sight, "__eq__", lambda *_: False)
    for one, twin in zip(ours, trained(name, between), strict=True):
        assert all(map(torch.equal, one[0], twin[0]))
        assert torch.equal(one[2], twin[2])
        for state, other in zip(one[1], twin[1], strict=True):
            assert state.keys() == other.keys()
            for key, value in state.items():
                assert torch.equal(torch.as_tensor(value), torch.as_tensor(other[key]))


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_as_the_last_step_left_it_is_not_looked_at_again(name, monkeypatch):
    quick = []
    by_sight = Sight.written
    monkeypatch.setattr(Sight, "written", lambda s: (quick.append(s), by_sight(s))[1])
    trained(name, nothing)
    looked = {1, 2, 3, 5, 9}  # the first, and where what was written through .data is looked for
    assert len(quick) == STEPS - len(looked)


def stepped(name):
    """Two weights, and a rule that took four steps on them."""
    weights = [weight(seed, 5, 5) for seed in range(2)]
    rule = make(name, weights)
    for _ in range(4):
        for param in weights:
            param.grad = torch.ones_like(param)
        rule.step()
    return weights, rule


@pytest.mark.parametrize(
    "shape", [lambda data: data.view(25), lambda data: data[:3], lambda data: data.repeat(2, 1)]
)
@pytest.mark.parametrize("name", COMPILED)
def test_a_parameter_that_was_given_another_shape_is_refused(name, shape):
    weights, rule = stepped(name)
    weights[1].data = shape(weights[1].data)
    weights[1].grad = torch.ones_like(weights[1])
    with pytest.raises(RuntimeError, match=r"parameter 1 of group 0.* of shape \[5, 5\]"):
        rule.step()


@pytest.mark.parametrize("name", COMPILED)
def test_a_sparse_gradient_is_refused_after_steps_with_dense_ones(name):
    weights, rule = stepped(name)
    weights[1].grad = torch.ones(5, 5).to_sparse()
    with pytest.raises(ValueError, match="does not support sparse gradients"):
        rule.step()
