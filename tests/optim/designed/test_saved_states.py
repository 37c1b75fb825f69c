"""A filter that is a design is the program's: the saved state of another one is refused."""

import copy
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from tuner.errors import InvalidInput
from tuner.optim import DesignedFilter, FilterFlip
from tuner.optim.base import BinaryOptimizer
from tuner.optim.designed import running
from tuner.optim.designed.prototypes import in_words, padded, prototype
from tuner.rules import FAMILIES

LOW, LOWER = [[0.1, 0, 0, 1, -0.9, 0]], [[0.01, 0, 0, 1, -0.99, 0]]


def designed(**given: Any) -> DesignedFilter:
    return DesignedFilter([torch.nn.Parameter(torch.ones(2, 3))], **{"memory": 20, **given})


def sections(sos: object) -> FilterFlip:
    return FilterFlip([torch.nn.Parameter(torch.ones(2, 3))], sos=sos)


def saved(rule: BinaryOptimizer) -> dict[str, Any]:
    """Its state after some steps."""
    (param,) = rule.param_groups[0]["params"]
    for seed in range(3):
        param.grad = torch.randn(2, 3, generator=torch.Generator().manual_seed(seed))
        rule.step()
    return copy.deepcopy(rule.state_dict())


def refusal(rule: BinaryOptimizer, state: dict[str, Any]) -> str:
    """What is said when it is to load the state; nothing of it is loaded."""
    before = copy.deepcopy(rule.state_dict())
    with pytest.raises(InvalidInput) as refused:
        rule.load_state_dict(state)
    assert str(rule.state_dict()) == str(before)
    return str(refused.value)


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        (
            {"family": "ema", "order": 1},
            {"family": "butterworth", "order": 3},
            "the state of ema of order 1, and the filter here is butterworth of order 3",
        ),
        (
            {"family": "bessel", "order": 2},
            {"family": "bessel", "order": 1},
            "the state of bessel of order 2, and the filter here is any family but ema of order 1",
        ),
        (
            {"family": "damped", "damping": 0.3},
            {"family": "damped", "damping": 2.0},
            "damped of order 2 with damping 0.3, and the filter here is damped of order 2 with "
            "damping 2;",
        ),
        (
            {"family": ["ema", "bessel"], "order": 2},
            {"family": ["ema", "ema"], "order": [2, 1]},
            "ema of order 2 and bessel of order 2, and the filter here is ema of order 2 and ema "
            "of order 1;",
        ),
    ],
)
def test_the_state_of_another_design_is_refused_and_both_are_named(theirs, ours, words):
    assert words in refusal(designed(**ours), saved(designed(**theirs)))


def test_a_memory_is_loaded_as_torch_loads_numbers():
    rule = designed(memory=50)
    rule.load_state_dict(saved(designed(memory=20)))
    assert rule.param_groups[0]["lr"] == 1 / 20
    assert rule.step_count == 3


def test_trials_go_on_whose_designs_had_longer_ones_beside_them():
    """Shorter ones are filled up beside those."""
    both = designed(family=["ema", "bessel"], order=[1, 3])
    state = saved(both)
    first = torch.tensor([0])
    both.select_trials(first)
    theirs, ours = (rule.param_groups[0]["design"] for rule in (both, designed(order=1)))
    assert running.same(theirs, ours)
    assert "ema of order 1 and bessel of order 3, and" in refusal(designed(order=1), state)


@pytest.mark.parametrize(
    ("rule", "state", "words"),
    [
        (
            lambda: sections(LOW),
            lambda: saved(sections(LOWER)),
            "this is the state of sos=[[0.01, 0.0, 0.0, 1.0, -0.99, 0.0]], and the filter here is "
            "sos=[[0.1, 0.0, 0.0, 1.0, -0.9, 0.0]]; make the same one, or begin without it",
        ),
        (
            lambda: sections(LOW),
            lambda: saved(sections([*LOW, *LOW])),
            "this is the state of sos=[[0.1, 0.0, 0.0, 1.0, -0.9, 0.0], [0.1,",
        ),
        (
            lambda: sections(LOW),
            lambda: saved(FilterFlip([torch.nn.Parameter(torch.ones(2, 3))], alpha=0.1)),
            "state of another optimizer, its groups have no slots; load what a FilterFlip of sos=",
        ),
        (
            lambda: FilterFlip([torch.nn.Parameter(torch.ones(2, 3))], alpha=0.1),
            lambda: saved(sections(LOW)),
            "state of another optimizer, its groups have no gamma",
        ),
        (
            designed,
            lambda: saved(sections(LOW)),
            "its groups have no design; load what a DesignedFilter of ema of order 2 saved",
        ),
    ],
)
def test_the_state_of_other_sections_is_refused_and_both_are_named(rule, state, words):
    assert words in refusal(rule(), state())


def test_the_state_of_the_same_sections_is_loaded():
    rule = sections(LOW)
    rule.load_state_dict(saved(sections(LOW)))
    assert rule.step_count == 3


@pytest.mark.parametrize("damping", [0.05, 0.4, 1.0, 3.0])
def test_every_design_is_named_by_what_makes_it(damping):
    for family, order in product(FAMILIES, range(1, 5)):
        rows = prototype(family, order, damping)
        said = in_words(padded([rows, prototype("bessel", 4, 1.0)])[0])
        name, _, rest = said.partition(" of order ")
        number, _, ring = rest.partition(" with damping ")
        again = prototype(
            "butterworth" if name == "any family but ema" else name,
            int(number),
            float(ring or 1),
        )
        np.testing.assert_allclose(again, rows, rtol=1e-3)
        assert family in said or order < 3, said
