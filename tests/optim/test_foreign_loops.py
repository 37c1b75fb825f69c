"""In everybody's layers and loops a rule learns, or says in which layer it cannot, and why."""

import warnings

import pytest
import torch
from torch import nn

from tests.optim.foreign import layers, loops
from tuner.bnn import binary_parameters, check
from tuner.bnn.normsign import sign_ste
from tuner.optim import FilterFlip

LEARN = {
    "plain latent": (layers.Plain, loops.Plain),
    "re-centred and standardised": (layers.Recentred, loops.Plain),
    "channel-scaled": (layers.Scaled, loops.Plain),
    "parametrized": (layers.parametrized, loops.Plain),
    "own function": (layers.OwnFunction, loops.Plain),
    "copies beside": (layers.Swapped, loops.KeepsCopies),
}
LEARN_WITH_A_WORD = {
    "stored as signs": (layers.Stored, loops.Plain, "came as +1 and -1"),
    "quantiser that clips in place": (layers.Proxied, loops.Plain, "in place at each step"),
    "centred and swapped": (layers.Swapped, loops.CentresAndSwaps, "in place at each step"),
    "own function, swapped": (layers.OwnFunction, loops.CentresAndSwaps, "in place at each step"),
}
CANNOT = {
    "clipped": (layers.Clipped, "let it use the weight as it is"),
    "own function up to 1": (layers.OwnFunctionUpToOne, "let it use the weight as it is"),
    "detached": (layers.Detached, "use the parameter itself, not its .data"),
}


class Sign(nn.Module):
    def forward(self, x):
        return sign_ste(x)


def network(kind):
    torch.manual_seed(0)
    return nn.Sequential(
        kind(16, 32, bias=False),
        nn.BatchNorm1d(32),
        Sign(),
        kind(32, 32, bias=False),
        nn.BatchNorm1d(32),
        Sign(),
        nn.Linear(32, 4),
    )


def rule_of(net):
    weights = [net[i].get_parameter(name) for i in (0, 3) for name in names_in(net[i])]
    by_id = {id(weight) for weight in weights}
    named = [(name, param) for name, param in net.named_parameters() if id(param) in by_id]
    return FilterFlip(named, alpha=0.1, gamma=0.5), weights


def names_in(layer):
    return [name for name, param in layer.named_parameters() if param.dim() == 2]


def trained(kind, loop):
    net = network(kind)
    rule, weights = rule_of(net)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        losses = loops.run(net, rule, loop(weights))
    return losses, [str(warning.message) for warning in said]


@pytest.mark.parametrize(("kind", "loop"), LEARN.values(), ids=LEARN)
def test_the_loss_falls_in_30_steps_without_a_word(kind, loop):
    losses, said = trained(kind, loop)
    assert losses[-1] < 0.7 * losses[0]
    assert said == []


@pytest.mark.parametrize(
    ("kind", "loop", "words"), LEARN_WITH_A_WORD.values(), ids=LEARN_WITH_A_WORD
)
def test_the_loss_falls_and_what_the_loop_may_leave_out_is_said_once(kind, loop, words):
    losses, said = trained(kind, loop)
    assert losses[-1] < 0.7 * losses[0]
    (warning,) = said
    assert words in warning


@pytest.mark.parametrize(("kind", "fix"), CANNOT.values(), ids=CANNOT)
def test_a_layer_whose_signs_cannot_change_is_named_with_its_fix(kind, fix):
    losses, said = trained(kind, loops.Plain)
    assert losses[-1] == losses[0]
    (warning,) = said
    assert "0.weight; 3.weight" in warning
    assert fix in warning
    net = network(kind)
    problems = check(net, rule_of(net)[0])
    assert [problem.partition(":")[0] for problem in problems] == ["0.weight", "3.weight"]


def test_division_by_the_spread_of_weights_that_are_all_alike_is_said():
    net = layers.Recentred(2, 8, bias=False)
    with torch.no_grad():
        net.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0]]).repeat(4, 1))
    rule = FilterFlip(net.named_parameters(), alpha=0.1)
    rule.resumed = True
    (problem,) = check(net, rule)
    assert "not finite" in problem
    net(torch.randn(16, 2)).square().sum().backward()
    with pytest.warns(UserWarning, match="state of weight holds NaN.*divides by the spread"):
        rule.step()


def test_state_that_breaks_later_is_noticed_once():
    weight = nn.Parameter(torch.randn(6, 5))
    rule = FilterFlip([weight], alpha=0.1)
    said = []
    for step in range(40):
        weight.grad = torch.full((6, 5), torch.nan if step == 5 else 1.0)
        with warnings.catch_warnings(record=True) as now:
            warnings.simplefilter("always")
            rule.step()
        said += [step] * len(now)
    assert said == [8]


def test_the_weights_of_all_kinds_are_found():
    for kind in (layers.Plain, layers.Scaled, layers.parametrized):
        net = network(kind)
        found = binary_parameters(net, ["0", "3"])
        assert [id(param) for param in found] == [id(weight) for weight in rule_of(net)[1]]
    net = network(layers.Proxied)
    assert len(binary_parameters(net)) == 2
    net[3].weight_quant.bits = 2
    assert binary_parameters(net)[0] is net[0].weight
    assert len(binary_parameters(net)) == 1
