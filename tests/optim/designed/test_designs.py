"""Designed filters against scipy's designs, and flips against scipy's own filter."""

import copy
import math
from array import array
from dataclasses import asdict

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

from tuner import kernels
from tuner.errors import InvalidInput
from tuner.optim import DesignedFilter, FilterFlip, Schedule
from tuner.optim.designed import slots
from tuner.optim.designed.prototypes import RIPPLE_DB, prototype
from tuner.optim.designed.sections import check_low_pass
from tuner.optim.equivalence import describe
from tuner.optim.rules import build_optimizer
from tuner.rules import DECAYS, FAMILIES, complete
from tuner.translation import EXACT, as_filter

DESIGNS = [(family, order) for family in FAMILIES for order in (1, 2, 3, 4)]
designs = pytest.mark.parametrize(("family", "order"), DESIGNS)
FREQUENCIES = np.linspace(0.01, math.pi, 60)


def randn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def trace(optimizer, weight, gradients):
    signs = []
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
        signs.append(weight.detach().clone())
    return torch.stack(signs)


def made(family, order, memory, damping=0.4):
    return slots.of_design(prototype(family, order, damping), np.array(1 / memory))


def sections(family, order, memory, damping=0.4):
    return slots.to_sections(made(family, order, memory, damping))


def scipys_signs(sos, gradients):
    s = scipy.signal.sosfilt(sos, gradients.numpy(), axis=0)
    assert (s != 0).all()
    return torch.from_numpy(-np.sign(s))


@designs
@pytest.mark.parametrize("memory", [1.0, 7.0, 300.0])
def test_flips_are_those_of_scipys_filter(family, order, memory):
    g = randn(order, 400, 50)
    weight = torch.nn.Parameter(torch.ones(50, dtype=torch.float64))
    rule = DesignedFilter([weight], memory, family, order, 0.4)
    assert torch.equal(trace(rule, weight, g), scipys_signs(sections(family, order, memory), g))


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("memory", [1.0, 20.0, 500.0])
def test_the_families_of_textbooks_are_scipys(order, memory):
    cutoff = 1 / memory
    analog = scipy.signal.cheb1ap(order, RIPPLE_DB)

    def gain(w):
        return abs(scipy.signal.freqs_zpk(*analog, [w])[1][0])

    half = brentq(lambda w: gain(w) - gain(1e-9) / math.sqrt(2), 1.0, 20.0, xtol=1e-15)
    edge = 2 * math.atan(math.tan(cutoff / 2) / half) / math.pi
    alpha = min(1.0, cutoff / math.sqrt(2 ** (1 / order) - 1))
    theirs = {
        "butterworth": scipy.signal.butter(order, cutoff / math.pi, output="sos"),
        "bessel": scipy.signal.bessel(order, cutoff / math.pi, norm="mag", output="sos"),
        "chebyshev1": scipy.signal.cheby1(order, RIPPLE_DB, edge, output="sos"),
        "ema": np.tile([alpha, 0, 0, 1, alpha - 1, 0], (order, 1)),
    }
    for family, sos in theirs.items():
        _, expected = scipy.signal.sosfreqz(sos, FREQUENCIES)
        _, (mean,) = scipy.signal.sosfreqz(sos, [0])
        _, ours = scipy.signal.sosfreqz(sections(family, order, memory), FREQUENCIES)
        assert ours == pytest.approx(expected / mean, rel=1e-10, abs=1e-10), family


@designs
def test_the_gain_is_1_at_frequency_0_and_half_the_power_at_the_cut_off(family, order):
    sos = sections(family, order, 2000.0)
    _, (mean, there) = scipy.signal.sosfreqz(sos, [0, 1 / 2000])
    assert mean == pytest.approx(1, abs=1e-7)
    assert abs(there) ** 2 == pytest.approx(0.5, rel=1e-3)


def test_the_moving_average_comes_close_to_equal_weights_of_the_newest_gradients():
    impulse = np.zeros(1000)
    impulse[0] = 1
    spread = [
        np.abs(scipy.signal.sosfilt(sections("moving_average", n, 100.0), impulse) - box).sum()
        for n in (1, 2, 3, 4)
        for box in [np.where(np.arange(1000) < 278, 1 / 278, 0)]
    ]
    assert sorted(spread, reverse=True) == spread


def test_a_first_order_average_is_filter_flip_whatever_the_schedule():
    g = randn(1, 60, 40)
    one, two = (torch.nn.Parameter(torch.ones(40, dtype=torch.float64)) for _ in range(2))
    decay = Schedule("cosine", 60)
    ours = DesignedFilter([one], memory=4, family="ema", order=1, schedule=decay)
    assert torch.equal(
        trace(ours, one, g), trace(FilterFlip([two], alpha=0.25, schedule=decay), two, g)
    )


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("order", [1, 2])
def test_what_is_exactly_a_cascade_is_carried_as_one_and_flips_as_one(order, decay):
    settings = {"family": "ema", "order": order, "memory": 9.0, "cutoff_decay": decay}
    found = as_filter(asdict(describe("designed_filter", settings, 300)))
    if order == 2 and decay != "constant":
        assert found.settings is None
        assert found.reason.endswith("cutoff_t = factor(t) / memory, every coefficient follows")
        return
    assert found.weight == EXACT
    g, weights = randn(order, 300, 1, 50), [torch.ones(1, 50, dtype=torch.float64)] * 2
    design, cascade = (torch.nn.Parameter(weight.clone()) for weight in weights)
    ours = build_optimizer("designed_filter", [design], [settings], steps=300)
    twin = build_optimizer("filter_flip", [cascade], [found.settings], steps=300)
    assert torch.equal(trace(ours, design, g), trace(twin, cascade, g))


@pytest.mark.parametrize(("family", "order"), [("bessel", 2), ("ema", 3), ("damped", 1)])
def test_what_is_no_cascade_is_not_carried(family, order):
    settings = {"family": family, "order": order, "memory": 9.0}
    found = as_filter(asdict(describe("designed_filter", settings, 300)))
    assert (found.settings, found.weight) == (None, 0.0)
    assert "is another filter than a cascade" in found.reason


def test_a_share_of_a_run_of_unknown_length_is_not_carried():
    settings = {"family": "ema", "order": 1, "memory": 0.1, "memory_unit": "runs"}
    assert as_filter(asdict(describe("designed_filter", settings))).settings is None


@designs
def test_under_an_even_gradient_no_change_of_the_cut_off_stirs_the_filter(family, order):
    rows, state = prototype(family, order, 0.4), np.zeros((2, 2))
    outputs = []
    for step in range(900):
        cutoff = 0.5 if step < 400 else (0.05, 0.9, 0.0, 0.3)[step % 4]
        x = 1.0
        for i, slot in enumerate(slots.of_design(rows, np.array(cutoff))):
            feed, out, b, a, c, d, e, _ = slot
            w, v = state[i]
            state[i] = w + b * x - a * w + c * v, v + d * x - e * w
            x = feed * x + out * w
        outputs.append(x)
    assert outputs[400:] == pytest.approx([1.0] * 500, abs=1e-9)


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_at_a_memory_of_100_000_steps_float32_flips_as_scipys_filter_in_float64():
    memory, steps, n, k = 1e5, 20_000, 12, len(DESIGNS)
    rows = np.zeros((k, 2, 8))
    rows[:, :, slots.FEED] = 1
    for place, design in enumerate(DESIGNS):
        own = made(*design, memory)
        rows[place, : len(own)] = own
    g = randn(3, steps, n).float()
    same, b = g[:, None].expand(steps, k, n).contiguous(), torch.ones(k, n)
    states = [torch.zeros(k, n) for _ in range(4)]
    lies = [array("q", [tensor.data_ptr() for tensor in each]) for each in ([b], states)]
    flips, signs = torch.empty(k, dtype=torch.int64), torch.empty(steps, k, n)
    size, settled = array("q", [n]), array("q", [1])
    numbers = torch.tensor(rows, dtype=torch.float32)
    for step in range(steps):
        now = array("q", [same[step].data_ptr()])
        kernels.call("tuner_slots_f32", 1, k, size, flips, settled, *lies, now, 2, numbers)
        signs[step] = b
    for place, design in enumerate(DESIGNS):
        exact = scipys_signs(sections(*design, memory), g.double())
        assert (signs[:, place].double() != exact).double().mean() < 1e-4, design


@pytest.mark.parametrize("order", [2, 3, 4])
def test_a_direct_form_in_float32_has_no_gain_at_frequency_0_to_speak_of(order):
    """The reason for slots: the direct form's coefficients are rounded to another filter."""
    rounded = sections("butterworth", order, 1e5).astype(np.float32).astype(np.float64)
    with np.errstate(divide="ignore"):
        gain = np.prod(rounded[:, :3].sum(1) / rounded[:, 3:].sum(1))
    assert not 0.9 < gain < 1.1
    exact = made("butterworth", order, 1e5).astype(np.float32).astype(np.float64)
    feed, out, b, a, _, d, e, n = np.moveaxis(exact, -1, 0)
    two = n == 2
    w = np.where(two, d / np.where(two, e, 1), b / a)
    assert np.prod(feed + out * w) == pytest.approx(1, abs=1e-6)


def test_a_memory_is_in_steps_or_a_share_of_the_run_and_at_least_a_step():
    for trial, cutoff in (
        ({"memory": 0.05, "memory_unit": "runs"}, 1 / 20),
        ({"memory": 1e-9, "memory_unit": "runs"}, 1.0),
        ({"memory": 50.0}, 1 / 50),
        ({}, 1e-3),
    ):
        rule = build_optimizer("designed_filter", [torch.ones(1, 2)], [trial], steps=400)
        assert rule.param_groups[0]["lr"].tolist() == [cutoff]


def test_numbers_may_be_driven_by_torchs_schedulers_and_a_group_has_its_own_cut_off():
    one, two = (torch.nn.Parameter(torch.ones(9)) for _ in range(2))
    rule = DesignedFilter(
        [{"params": [one], "cutoff": 0.5}, {"params": [two]}], memory=10, family="bessel"
    )
    decay = torch.optim.lr_scheduler.StepLR(rule, 1, 0.5)
    trace(rule, one, randn(1, 1, 9).float())
    decay.step()
    trace(rule, one, randn(1, 1, 9).float())
    for group, cutoff in zip(rule.param_groups, (0.25, 0.05), strict=True):
        expected = made("bessel", 2, 1 / cutoff)
        assert np.array(group["slots"]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "give cutoff, or the same as lr"),
        ({"memory": 10, "cutoff": 0.1}, "give memory or cutoff, and not both"),
        ({"cutoff": 0.1, "lr": 0.1}, "two names of one hyperparameter"),
        ({"memory": 0.5}, "memory must be at least 1 step, got 0.5"),
        ({"memory": math.nan}, "memory must be at least 1 step, got nan"),
        ({"memory": math.inf}, r"cutoff must be in \(0, 1\], got 0"),
        ({"memory": 10, "family": "butter"}, "family must be one of ema, butterworth, bessel"),
        ({"memory": 10, "order": 5}, "order must be a whole number from 1 to 4, got 5"),
        ({"memory": 10, "order": 1.5}, "order must be a whole number from 1 to 4, got 1.5"),
        ({"memory": 10, "damping": 0.0}, r"damping must be in \[0.05, 10\], got 0.0"),
        ({"memory": 10, "order": [1, 2], "family": ["ema"] * 3}, "got 3 of family, 2 of order"),
    ],
)
def test_what_is_no_design_is_refused(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        DesignedFilter([torch.nn.Parameter(torch.ones(2, 2))], **arguments)


def test_a_group_may_have_a_memory_and_a_design_of_its_own_also_in_a_copy():
    rule = copy.deepcopy(DesignedFilter([torch.nn.Parameter(torch.ones(2))], 10, "bessel"))
    param = torch.nn.Parameter(torch.ones(2))
    rule.add_param_group({"params": [param], "memory": 5.0, "order": 3})
    trace(rule, param, randn(1, 1, 2).float())
    assert rule.param_groups[1]["lr"] == 0.2
    assert np.array(rule.param_groups[1]["slots"]) == pytest.approx(made("bessel", 3, 5.0))
    for own, words in (
        ({"order": 5}, "order must be a whole"),
        ({"memory": 0.1}, "at least 1 step"),
        ({"alpha": 0.1}, "alpha, which is no hyperparameter"),
    ):
        with pytest.raises(InvalidInput, match=words):
            rule.add_param_group({"params": [torch.nn.Parameter(torch.ones(2))], **own})
    assert len(rule.param_groups) == 2


def test_settings_below_a_step_are_refused_with_the_way_out():
    with pytest.raises(InvalidInput, match=r'at least 1 step, got 0.1; .*memory_unit="runs"'):
        complete("designed_filter", {"memory": 0.1})


@pytest.mark.parametrize(
    ("sos", "words"),
    [
        (scipy.signal.butter(2, 0.1, "high", output="sos"), "no low-pass: its gain .* at freq"),
        (
            scipy.signal.butter(2, [0.1, 0.3], "band", output="sos"),
            "no low-pass.* trains nothing",
        ),
        ([[-1, 0, 0, 1, -0.5, 0]], "its gain is -2 at frequency 0.*flips uphill"),
        ([[1, -1, 0, 1, 0, 0]], "its gain is 0 at frequency 0, 2 at 1/2 and 2 at most"),
        ([[0, 0, 0, 1, 0, 0]], "no low-pass"),
        ([[1, 0, 0, 1, -1.05, 0]], "unstable, its pole 1.05 has modulus 1.05"),
        ([[1, 0, 0, 0, 1, -0.5]], "not causal: a section with a0 = 0"),
    ],
)
def test_a_filter_that_trains_nothing_is_refused_in_a_sentence(sos, words):
    with pytest.raises(InvalidInput, match=words) as refusal:
        check_low_pass(sos, "FilterFlip: sos")
    assert "\n" not in str(refusal.value)


@given(st.sampled_from(DESIGNS), st.floats(0.05, 10), st.floats(0, 7))
def test_every_design_is_a_low_pass_and_comes_back_from_its_sections(design, damping, decades):
    sos = sections(*design, 10**decades, damping)
    assert slots.to_sections(slots.of_sections(sos)) == pytest.approx(sos, rel=1e-12, abs=1e-15)
    if decades < 6:  # beyond, float64 does not hold the sections themselves
        check_low_pass(sos, "it")
