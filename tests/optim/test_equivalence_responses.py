"""Responses of filters against scipy.signal, and of rules against the recursions that they are."""

import math

import numpy as np
import pytest
import scipy.signal

from tuner.errors import InvalidInput
from tuner.optim.designed import slots
from tuner.optim.equivalence import describe, linear_filter, noise_gain, responses
from tuner.rules import RULES

FILTERS = {
    "cascade": ("filter_flip", {"alpha": 0.02, "gamma": 0.3}),
    "one average": ("filter_flip", {"alpha": 0.01}),
    "no memory": ("filter_flip", {"alpha": 1.0}),
    "bop": ("bop", {"gamma": 0.01, "tau": 0.0}),
    "torch": ("latent_sgd", {"weight_decay": 1e-2, "momentum": 0.9, "coupled": True}),
    "nesterov": (
        "latent_sgd",
        {"weight_decay": 0.1, "momentum": 0.9, "coupled": True, "nesterov": True},
    ),
    "rings": (
        "latent_sgd",
        {"learning_rate": 0.3, "weight_decay": 0.1, "momentum": 0.9, "coupled": True},
    ),
    "decoupled": ("latent_sgd", {"weight_decay": 0.1, "momentum": 0.8}),
    "butterworth": ("designed_filter", {"family": "butterworth", "order": 4, "memory": 30.0}),
    "moving": ("designed_filter", {"family": "moving_average", "order": 3, "memory": 80.0}),
}

NO_FILTERS = {"latent_signsgd", "latent_lion", "sgdat", "target_flip_ratio"}


@pytest.mark.parametrize("name", FILTERS)
def test_impulse_step_and_frequency_response_are_scipys(name):
    numbers = linear_filter(*FILTERS[name]).numbers
    found, sos = responses(numbers, steps=4000), slots.to_sections(numbers)
    impulse = np.zeros(4000)
    impulse[0] = 1
    h = scipy.signal.sosfilt(sos, impulse)
    assert found.impulse == pytest.approx(h[found.steps - 1], abs=1e-10)
    assert found.step == pytest.approx(np.cumsum(h)[found.steps - 1], abs=1e-10)
    _, response = scipy.signal.sosfreqz(sos, 2 * np.pi * found.frequencies)
    assert found.response == pytest.approx(response, abs=1e-10)
    assert found.frequencies[-1] == 0.5
    assert found.gain == pytest.approx(h.sum(), abs=1e-9)
    assert found.noise_gain == pytest.approx((h**2).sum() / h.sum() ** 2, rel=1e-8)
    assert found.delay == pytest.approx((np.arange(4000) * h).sum() / h.sum(), abs=1e-5)


def test_the_memory_is_one_over_the_cut_off_and_of_an_average_one_over_alpha():
    numbers = linear_filter("designed_filter", {"family": "bessel", "memory": 1e5}).numbers
    assert responses(numbers).memory == pytest.approx(1e5, rel=1e-9)
    average = responses(linear_filter("filter_flip", {"alpha": 1e-3}).numbers)
    assert average.memory == pytest.approx(1000, rel=1e-3)
    assert average.delay == pytest.approx(999)
    assert responses(linear_filter("filter_flip", {"alpha": 1.0}).numbers).memory is None


def test_curves_go_on_until_all_is_forgotten_or_as_far_as_asked_for():
    numbers = linear_filter("filter_flip", {"alpha": 1e-4, "gamma": 0.5}).numbers
    assert responses(numbers).step[-1] == pytest.approx(1, abs=2e-4)
    assert responses(numbers, steps=7).steps.tolist() == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("rule", ["latent_adam", "latent_adamw"])
def test_adam_at_a_second_moment_that_stays_is_its_own_recursion(rule):
    eta, decay, beta1, v = 0.01, 0.05, 0.9, 0.04
    settings = {"learning_rate": eta, "weight_decay": decay, "beta1": beta1}
    numbers = linear_filter(rule, settings, second_moment=v).numbers
    g = np.random.default_rng(0).normal(size=500)
    w = m = 0.0
    weights = []
    for x in g:
        if rule == "latent_adam":
            m = beta1 * m + (1 - beta1) * (x + decay * w)
        else:
            m, w = beta1 * m + (1 - beta1) * x, (1 - eta * decay) * w
        w = w - eta * m / (math.sqrt(v) + 1e-8)
        weights.append(w)
    s = scipy.signal.sosfilt(slots.to_sections(numbers), g)
    ratio = -np.array(weights) / s
    assert ratio == pytest.approx(np.full(500, ratio[-1]), rel=1e-9)
    assert ratio[-1] > 0


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_a_filter_or_is_refused_in_a_sentence(rule):
    try:
        found = responses(linear_filter(rule, {}, second_moment=1.0).numbers)
    except InvalidInput as error:
        assert rule in NO_FILTERS
        assert str(error).startswith(f"{rule}: these settings are no filter: ")
    else:
        assert rule not in NO_FILTERS
        assert found.step[-1] == pytest.approx(found.gain, rel=2e-3)


def test_what_the_settings_have_beside_a_filter_is_told():
    decayed = {"learning_rate_decay": "cosine", "weight_decay": 0.1, "clip": 1e-3, "scaling": True}
    notes = " ".join(linear_filter("latent_sgd", decayed).notes)
    for words in ("first step", "decay is cosine", "the clip 0.001 lies below", "mean|w|"):
        assert words in notes
    assert "without the threshold 0.1" in linear_filter("bop", {"tau": 0.1}).notes[0]
    never = linear_filter("latent_sgd", {"momentum": 0.5})
    assert "falls like 1/t" in never.notes[0]
    expected = describe("latent_sgd", {"momentum": 0.5})
    first = linear_filter("filter_flip", {"alpha": expected.alpha, "gamma": expected.gamma})
    assert noise_gain(never.numbers) == pytest.approx(noise_gain(first.numbers))
    assert linear_filter("filter_flip", {}).notes == ()


@pytest.mark.parametrize(
    ("rule", "settings", "words"),
    [
        ("latent_sgd", {"learning_rate": 50.0, "weight_decay": 0.1}, "latent_sgd is unstable"),
        (
            "latent_sgd",
            {"coupled": True, "momentum": 0.9, "dampening": 1.0},
            "no filter: dampening 1 lets the first gradient in",
        ),
        ("latent_adam", {}, "give it, --second-moment 1e-6 for example.*got None"),
        ("latent_adamw", {"weight_decay": 0.0}, "--second-moment"),
        ("designed_filter", {"memory": 0.1, "memory_unit": "runs"}, "say how long .*--steps N"),
        ("filter_flip", {"alpha": 2.0}, "alpha must be in"),
    ],
)
def test_what_is_no_filter_is_refused_in_a_sentence(rule, settings, words):
    with pytest.raises(InvalidInput, match=words):
        linear_filter(rule, settings)
