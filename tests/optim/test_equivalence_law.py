"""The flip-rate law, memory and frequency response, against simulation, scipy and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt, sosfreqz

from tuner.errors import InvalidInput
from tuner.optim.designed import slots
from tuner.optim.designed.prototypes import Design
from tuner.optim.equivalence import (
    AlphaGamma,
    flip_ratio,
    flip_ratio_of_sections,
    flip_ratio_of_slots,
    forgets,
    frequency_response,
    gain_bound,
    half_life_steps,
    noise_gain,
    pole_modulus,
    poles,
    section_from_coupled,
    section_from_filter,
    steps_until,
)
from tuner.rules import FAMILIES

RINGING = section_from_coupled(0.01, 0.9)
NESTEROV = section_from_coupled(0.02, 0.9, nesterov=True)
SLOW = section_from_filter(AlphaGamma(1e-2, 0.1))
FILTERS = {
    "slow": [SLOW],
    "one average": [section_from_filter(AlphaGamma(0.05))],
    "ringing": [RINGING],
    "nesterov": [NESTEROV],
    "two sections": [SLOW, RINGING],
    "butterworth": butter(5, 0.05, output="sos"),
}
unit = st.floats(1e-3, 1)


def measured(sos, seed=0, weights=400, steps=4000):
    """Mean share of sign changes under white noise and its standard error over weights."""
    random = np.random.default_rng(seed)
    s = sosfilt(np.asarray(sos), random.normal(size=(2000 + steps, weights)), axis=0)[2000:]
    each = (np.diff(np.sign(s), axis=0) != 0).mean(axis=0)
    return each.mean(), each.std(ddof=1) / math.sqrt(weights)


@pytest.mark.parametrize("name", FILTERS)
def test_the_flip_rate_law_is_what_white_noise_gives(name):
    ratio, error = measured(FILTERS[name])
    assert error < 0.02 * ratio
    assert flip_ratio_of_sections(FILTERS[name]) == pytest.approx(ratio, abs=4.5 * error)


@given(unit, unit)
def test_both_forms_of_the_law_agree_with_the_literal_arccos(alpha, gamma):
    filter_ = AlphaGamma(alpha, gamma)
    rho = 1 - alpha * gamma / (1 + (1 - alpha) * (1 - gamma))
    assert flip_ratio(filter_) == pytest.approx(math.acos(rho) / math.pi, rel=1e-6)
    sections = [section_from_filter(filter_)]
    assert flip_ratio_of_sections(sections) == pytest.approx(flip_ratio(filter_), rel=1e-6)


@given(st.floats(1e-4, 1), st.floats(0.01, 0.99))
def test_heavy_ball_flips_as_its_direct_form_says_complex_roots_included(product, mu):
    """An AR(2) process has 1 - rho = (1 + a1 + a2) / (1 + a2) = a / (1 + mu)."""
    found = flip_ratio_of_sections([section_from_coupled(product, mu)])
    assert found == pytest.approx(math.acos(1 - product / (1 + mu)) / math.pi, rel=1e-6)


def leading_term(filter_):
    """The law for small alpha: sqrt(2 alpha gamma / (2 - gamma)) / pi."""
    return math.sqrt(2 * filter_.alpha * filter_.gamma / (2 - filter_.gamma)) / math.pi


def test_the_law_gives_the_known_numbers():
    filter_ = AlphaGamma(1e-3, 0.1)
    assert flip_ratio(filter_) == pytest.approx(3.27e-3, abs=5e-6)
    assert leading_term(filter_) == pytest.approx(flip_ratio(filter_), rel=1e-3)
    assert flip_ratio(AlphaGamma(1.0, 1.0)) == pytest.approx(0.5)
    assert flip_ratio(AlphaGamma(1e-12, 1e-3)) == pytest.approx(
        leading_term(AlphaGamma(1e-12, 1e-3)), rel=1e-6
    )


def test_a_filter_in_two_sections_flips_as_in_one():
    alpha, gamma = 0.01, 0.3
    two = [section_from_filter(AlphaGamma(alpha)), section_from_filter(AlphaGamma(gamma))]
    assert flip_ratio_of_sections(two) == pytest.approx(flip_ratio(AlphaGamma(alpha, gamma)))


@given(unit)
def test_the_weight_of_a_gradient_halves_in_a_half_life(alpha):
    steps = half_life_steps(alpha)
    assert (1 - alpha) ** steps == pytest.approx(0.5 if alpha < 1 else 1)
    if alpha < 1e-2:
        assert steps == pytest.approx(math.log(2) / alpha, rel=alpha)
    assert steps_until(0.25, alpha) == pytest.approx(2 * steps)


@pytest.mark.parametrize("name", FILTERS)
def test_the_frequency_response_is_scipys(name):
    sos = np.asarray(FILTERS[name])
    f = np.linspace(0, 0.5, 101)
    _, expected = sosfreqz(sos, worN=2 * math.pi * f)
    assert frequency_response(sos, f) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", FILTERS)
def test_the_noise_gain_is_the_sum_of_squares_of_scipys_impulse_response(name):
    impulse = np.zeros(20_000)
    impulse[0] = 1
    expected = (sosfilt(np.asarray(FILTERS[name]), impulse) ** 2).sum()
    assert noise_gain(slots.of_sections(np.asarray(FILTERS[name]))) == pytest.approx(expected)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_at_long_memories_flips_and_noise_fall_as_those_of_a_filter_of_continuous_time(
    family, order
):
    """In continuous time noise falls like 1 / memory, and so do flips; no digit is lost."""
    near, far = (slots.at_cutoff(Design(family, order, m, 0.5), 1 / m) for m in (1e4, 1e8))
    assert noise_gain(far) == pytest.approx(noise_gain(near) / 1e4, rel=1e-3)
    assert forgets(far) == pytest.approx(forgets(near) / 1e4, rel=1e-3)
    smooth = order > 1 and (family, order) != ("moving_average", 3)
    ratios = [flip_ratio_of_slots(numbers) for numbers in (near, far)]
    assert ratios[1] == pytest.approx(ratios[0] / (1e4 if smooth else 1e2), rel=1e-2)


@given(st.floats(1e-4, 1.5), st.floats(0, 0.99), st.booleans())
def test_the_poles_are_the_denominators_roots(product, mu, nesterov):
    section = section_from_coupled(product, mu, nesterov=nesterov)
    for pole in poles(section):
        assert abs(pole * pole + section[4] * pole + section[5]) < 1e-12 * (1 + abs(pole)) ** 2
    assert pole_modulus([section]) == pytest.approx(max(abs(np.roots(section[3:]))), rel=1e-6)


@given(st.floats(1e-2, 1), st.floats(0, 0.95), st.booleans())
def test_no_gradients_drive_a_filter_past_its_gain_bound(product, mu, nesterov):
    section = section_from_coupled(product, mu, nesterov=nesterov)
    impulse = np.zeros(2000)
    impulse[0] = 1
    worst = np.abs(sosfilt(np.array([section]), impulse)).sum()
    assert worst <= gain_bound(section) * (1 + 1e-9)


def test_a_real_filter_never_exceeds_the_largest_gradient():
    assert gain_bound(SLOW) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: flip_ratio_of_sections([section_from_coupled(4.0, 0.5)]), "its pole -2"),
        (lambda: gain_bound(section_from_coupled(4.0, 0.5)), "inside the unit circle"),
        (lambda: flip_ratio_of_sections([(0.0, 0.0, 0.0, 1.0, 0.0, 0.0)]), "must not be zero"),
        (lambda: flip_ratio_of_sections([(1.0, 0.0, 0.0, 1.0, math.nan, 0.0)]), "unstable"),
        (lambda: half_life_steps(math.nan), r"alpha: must be in \(0, 1\], got nan"),
        (lambda: steps_until(1.0, 0.1), r"share: must be in \(0, 1\), got 1"),
        (lambda: frequency_response([SLOW], [0.6]), r"must be in \[0, 0.5\] cycles"),
    ],
)
def test_the_law_refuses_what_it_does_not_cover(call, words):
    with pytest.raises(InvalidInput, match=words):
        call()
