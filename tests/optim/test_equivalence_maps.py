"""Each exact map, against the literal recursions of both sides on random gradients in float64."""

import math

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.signal import sosfilt, sosfilt_zi

from tuner.errors import InvalidInput
from tuner.optim.equivalence import (
    AlphaGamma,
    Filters,
    alphas_from_decoupled,
    bop_from_filter,
    coupled_from_filter,
    coupled_from_filters,
    coupled_from_section,
    decoupled_from_alphas,
    decoupled_from_filter,
    filter_from_bop,
    filter_from_coupled,
    filter_from_decoupled,
    filters_from_coupled,
    learning_rates,
    pole_modulus,
    poles,
    real_bound,
    section_from_coupled,
    section_from_decoupled,
    section_from_filter,
)

Array = NDArray[np.float64]
STEPS, WEIGHTS = 300, 5
DECAYS = ["constant", "linear", "cosine", "step"]
seeds = st.integers(0, 2**32 - 1)
momenta = st.floats(0, 0.99)
unit = st.floats(1e-5, 1)
shares = st.floats(1e-4, 0.999)


def gradients(seed: int) -> tuple[Array, Array]:
    """Gradients g_t, shape [T, P], and initial weights, shape [P], in [-1, 1)."""
    random = np.random.default_rng(seed)
    return random.normal(size=(STEPS, WEIGHTS)), random.uniform(-1, 1, WEIGHTS)


def decoupled(g: Array, w: Array, eta: Array, decay: Array, mu: float) -> Array:
    """Latent weights after each step of SGD with decoupled decay and averaged momentum."""
    m, ws = np.zeros_like(w), []
    for t in range(len(g)):
        m = mu * m + (1 - mu) * g[t]
        w = (1 - eta[t] * decay[t]) * w - eta[t] * m
        ws.append(w)
    return np.array(ws)


def coupled(
    g: Array,
    w: Array,
    eta: Array,
    decay: float,
    mu: Array,
    nesterov: bool = False,
    dampening: float = 0.0,
) -> Array:
    """Latent weights after each step of torch.optim.SGD, its undampened first step included."""
    buffer, ws = np.zeros_like(w), []
    for t in range(len(g)):
        d = g[t] + decay * w
        if mu[t] != 0:
            buffer = d if t == 0 else mu[t] * buffer + (1 - dampening) * d
            d = d + mu[t] * buffer if nesterov else buffer
        w = w - eta[t] * d
        ws.append(w)
    return np.array(ws)


def cascade(g: Array, alpha: Array, gamma: Array, s: Array, m: Array) -> Array:
    """The filter's s after each step."""
    out = []
    for t in range(len(g)):
        m = (1 - gamma[t]) * m + gamma[t] * g[t]
        s = (1 - alpha[t]) * s + alpha[t] * m
        out.append(s)
    return np.array(out)


def constant(value: float) -> Array:
    return np.full(STEPS, value)


def same(s: Array, other: Array, tolerance: float = 1e-12) -> None:
    """Equal to rounding, relative to each sequence's largest entry, and with the same signs."""
    scale = np.abs(other).max(axis=0)
    assert (np.abs(s - other) <= tolerance * scale).all()
    clear = np.abs(other) > tolerance * scale
    assert (np.sign(s) == np.sign(other))[clear].all()
    assert clear.mean() > 0.99


@pytest.mark.slow
@given(seeds, st.floats(1e-4, 1), st.floats(1e-4, 0.999), momenta, st.sampled_from(DECAYS))
def test_decoupled_sgd_is_the_filter_under_any_schedule(seed, eta, product, mu, decay):
    g, w0 = gradients(seed)
    lam = product / eta
    rates = learning_rates(eta, decay, STEPS)
    w = decoupled(g, w0, rates, constant(lam), mu)
    found = filter_from_decoupled(eta * lam, mu)
    alphas = found.alpha * rates / eta
    same(cascade(g, alphas, constant(found.gamma), -lam * w0, 0 * w0), -lam * w)


@pytest.mark.slow
@given(seeds, momenta, st.floats(1e-3, 1), shares)
@example(0, 0.9, 0.1, 5e-5 / 2.633403898972404e-3)
def test_torch_sgd_is_the_filter_whose_alpha_and_gamma_are_the_roots(seed, mu, eta, share):
    g, w0 = gradients(seed)
    lam = share * real_bound(mu) / eta
    assume(eta * lam > 1e-9)
    w = coupled(g, w0, constant(eta), lam, constant(mu))
    found = filter_from_coupled(eta * lam, mu)
    assert found is not None and found.alpha <= found.gamma * (1 + 1e-7)
    start = -lam * w0
    s = cascade(g, constant(found.alpha), constant(found.gamma), start, start)
    same(s, -lam * w, 1e-11)


def test_starting_torch_sgd_with_m0_at_zero_is_not_exact():
    g, w0 = gradients(0)
    w = coupled(g, w0, constant(0.1), 5e-4, constant(0.9))
    found = filter_from_coupled(5e-5, 0.9)
    s = cascade(g, constant(found.alpha), constant(found.gamma), -5e-4 * w0, 0 * w0)
    assert np.abs(s + 5e-4 * w).max() > 1e-6


@pytest.mark.slow
@given(seeds, st.floats(0.01, 0.95), shares)
def test_nesterov_is_the_filter_on_the_difference_of_gradients(seed, mu, share):
    g, w0 = gradients(seed)
    lam = 0.5
    eta = share * real_bound(mu, nesterov=True) / lam
    assume(eta * lam > 1e-9)
    w = coupled(g, w0, constant(eta), lam, constant(mu), nesterov=True)
    found = filter_from_coupled(eta * lam, mu, nesterov=True)
    start = -lam * w0
    shifted = np.vstack([start, g[:-1]])
    s = cascade(
        (1 + mu) * g - mu * shifted, constant(found.alpha), constant(found.gamma), start, start
    )
    same(s, -lam * w, 1e-11)


@given(seeds, st.floats(0.01, 0.95), st.floats(1e-3, 0.5), st.booleans())
@example(0, 0.9, 0.5, False)
def test_every_stable_torch_sgd_is_its_direct_form_complex_roots_included(seed, mu, share, nest):
    g, w0 = gradients(seed)
    eta, lam = 1.0, share * (1 + 1 / (1 + 2 * mu))
    w = coupled(g, w0, constant(eta), lam, constant(mu), nesterov=nest)
    section = section_from_coupled(eta * lam, mu, nesterov=nest)
    assert pole_modulus([section]) < 1
    start = sosfilt_zi(np.array([section]))[:, :, None] * (-lam * w0)
    s, _ = sosfilt(np.array([section]), g, axis=0, zi=start)
    same(s, -lam * w, 1e-11)


@pytest.mark.slow
@given(seeds, st.floats(0.1, 0.9), st.floats(0, 0.9), shares)
def test_dampening_only_changes_the_product_and_the_first_gradient(seed, mu, dampening, share):
    g, w0 = gradients(seed)
    lam = 0.25
    eta = 0.99 * share * real_bound(mu) / lam / (1 - dampening)
    w = coupled(g, w0, constant(eta), lam, constant(mu), dampening=dampening)
    found = filter_from_coupled(eta * lam * (1 - dampening), mu)
    start = -lam * w0
    g = np.vstack([start + (g[:1] - start) / (1 - dampening), g[1:]])
    s = cascade(g, constant(found.alpha), constant(found.gamma), start, start)
    same(s, -lam * w, 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("from_root", [False, True])
@given(seed=seeds, mu=st.floats(0.01, 0.95), share=st.floats(1e-3, 0.9))
def test_scheduled_torch_sgd_is_the_riccati_filter(decay, nesterov, from_root, seed, mu, share):
    g, w0 = gradients(seed)
    lam, bound = 0.5, real_bound(mu, nesterov=nesterov)
    rates = learning_rates(share * bound / lam, decay, STEPS)
    root = filter_from_coupled(share * bound, mu, nesterov=nesterov)
    found = filters_from_coupled(
        rates, lam, mu, nesterov=nesterov, first_alpha=root.alpha if from_root else None
    )
    w = coupled(g, w0, rates, lam, constant(mu), nesterov=nesterov)
    start = -lam * w0
    shifted = np.vstack([start, g[:-1]])
    inputs = (1 + mu) * g - mu * shifted if nesterov else g
    same(cascade(inputs, found.alpha, found.gamma, start, start), -lam * w, 1e-11)
    if not from_root:
        assert found.alpha[0] == lam * rates[0] and found.gamma[0] == 1


def test_the_riccati_filter_settles_at_the_roots_under_a_constant_learning_rate():
    found = filters_from_coupled(constant(0.1), 5e-4, 0.9)
    root = filter_from_coupled(5e-5, 0.9)
    assert found.alpha[-1] == pytest.approx(root.alpha, rel=1e-9)
    assert found.gamma[-1] == pytest.approx(root.gamma, rel=1e-9)
    still = filters_from_coupled(constant(0.1), 5e-4, 0.9, first_alpha=root.alpha)
    assert still.gamma == pytest.approx(root.gamma, rel=1e-12)


def test_a_riccati_recursion_that_leaves_the_unit_interval_says_that_there_is_no_filter():
    assert filters_from_coupled(constant(1.0), 0.05, 0.9) is None


def test_frozen_roots_per_step_are_not_exact_for_scheduled_torch_sgd():
    g, w0 = gradients(0)
    rates = learning_rates(0.1, "linear", STEPS)
    w = coupled(g, w0, rates, 5e-3, constant(0.9))
    frozen = [filter_from_coupled(5e-3 * rate, 0.9) for rate in rates]
    alphas, gammas = (np.array([getattr(f, n) for f in frozen]) for n in ("alpha", "gamma"))
    s = cascade(g, alphas, gammas, -5e-3 * w0, -5e-3 * w0)
    assert np.abs(s + 5e-3 * w).max() > 1e-3 * np.abs(5e-3 * w).max()


@pytest.mark.slow
@given(seeds, momenta, st.floats(1e-3, 10), st.floats(0.01, 100), st.sampled_from(DECAYS))
def test_without_weight_decay_sgd_is_a_filter_of_falling_alpha(seed, mu, eta, norm, decay):
    g, w0 = gradients(seed)
    rates = learning_rates(eta, decay, STEPS)
    w = decoupled(g, w0, rates, constant(0), mu)
    found = alphas_from_decoupled(rates, 0.0, start_norm=norm)
    assert found.norm == pytest.approx(norm + np.cumsum(rates), rel=1e-12)
    s = cascade(g, found.alpha, constant(1 - mu), -w0 / norm, 0 * w0)
    same(s, -w / found.norm[:, None])


@pytest.mark.slow
@given(seeds, momenta, st.floats(0.01, 100))
def test_any_learning_rates_and_weight_decays_are_a_filter(seed, mu, norm):
    g, w0 = gradients(seed)
    random = np.random.default_rng(seed)
    rates, decays = random.uniform(1e-3, 1, (2, STEPS))
    w = decoupled(g, w0, rates, decays, mu)
    found = alphas_from_decoupled(rates, decays, start_norm=norm)
    s = cascade(g, found.alpha, constant(1 - mu), -w0 / norm, 0 * w0)
    same(s, -w / found.norm[:, None])
    back = decoupled_from_alphas(found.alpha, decays, start_norm=norm)
    assert back == pytest.approx(rates, rel=1e-9)


@given(st.floats(1e-3, 1), st.floats(1e-3, 1))
def test_a_norm_of_one_over_lambda_gives_back_alpha_eta_lambda(eta, lam):
    found = alphas_from_decoupled(constant(eta), lam, start_norm=1 / lam)
    assert found.alpha == pytest.approx(eta * lam, rel=1e-12)


@given(st.floats(1e-4, 0.02))
def test_a_constant_alpha_without_weight_decay_needs_a_growing_learning_rate(alpha):
    rates = decoupled_from_alphas(constant(alpha), 0.0, start_norm=1.0)
    assert rates[1:] / rates[:-1] == pytest.approx(1 / (1 - alpha), rel=1e-12)


@pytest.mark.slow
@given(seeds, unit)
def test_bop_without_threshold_is_one_average(seed, gamma):
    g, _ = gradients(seed)
    sign = np.ones(WEIGHTS)
    m, signs = np.zeros(WEIGHTS), []
    for t in range(STEPS):
        m = (1 - gamma) * m + gamma * g[t]
        sign = np.where((np.abs(m) > 0) & (np.sign(m) == sign), -sign, sign)
        signs.append(sign)
    found = filter_from_bop(gamma)
    s = cascade(g, constant(found.alpha), constant(found.gamma), 0 * m, 0 * m)
    assert (np.array(signs) == -np.sign(s)).all()
    assert bop_from_filter(found) == gamma


@given(unit, unit, st.booleans())
def test_the_maps_to_sgd_invert_the_maps_to_filters(alpha, gamma, nesterov):
    alpha, gamma = min(alpha, gamma), max(alpha, gamma)
    assume(gamma - alpha > 1e-3 and alpha * gamma < 1)
    filter_ = AlphaGamma(alpha, gamma)
    back = filter_from_decoupled(*decoupled_from_filter(filter_))
    assert (back.alpha, back.gamma) == pytest.approx((alpha, gamma), rel=1e-9)
    back = filter_from_coupled(*coupled_from_filter(filter_, nesterov=nesterov), nesterov=nesterov)
    assert (back.alpha, back.gamma) == pytest.approx((alpha, gamma), rel=1e-6)


@given(st.floats(1e-3, 0.8), st.floats(1e-6, 1.9), st.booleans())
def test_sections_give_back_their_product_and_momentum(mu, product, nesterov):
    section = section_from_coupled(product, mu, nesterov=nesterov)
    assert coupled_from_section(section) == pytest.approx((product, mu), rel=1e-6)


@pytest.mark.slow
@given(st.floats(1e-4, 0.5), st.floats(1e-3, 1), st.sampled_from(DECAYS))
def test_the_filter_with_decaying_alpha_is_torch_sgd_with_moving_momentum(alpha, gamma, decay):
    g, w0 = gradients(0)
    filters = Filters(learning_rates(alpha, decay, STEPS), constant(gamma))
    products, mus = coupled_from_filters(filters)
    w = coupled(g, w0, products, 1.0, mus)
    assert mus[0] == pytest.approx((1 - alpha) * (1 - gamma), rel=1e-12)
    same(cascade(g, filters.alpha, filters.gamma, -w0, -w0), -w, 1e-10)


@given(unit, unit)
def test_a_filters_section_has_its_poles(alpha, gamma):
    assume(abs(alpha - gamma) > 1e-3)
    found = sorted(pole.real for pole in poles(section_from_filter(AlphaGamma(alpha, gamma))))
    assert found == pytest.approx(sorted([1 - alpha, 1 - gamma]), abs=1e-9)
    section = section_from_decoupled(alpha, 1 - gamma)
    assert section == pytest.approx(section_from_filter(AlphaGamma(alpha, gamma)), abs=1e-12)


def test_real_filters_end_where_the_roots_meet():
    assert real_bound(0.9) == pytest.approx(2.63e-3, rel=2e-3)
    assert real_bound(0.99) == pytest.approx(2.5e-5, rel=6e-3)
    for mu in (0.5, 0.9, 0.99):
        for nesterov in (False, True):
            bound = real_bound(mu, nesterov=nesterov)
            assert filter_from_coupled(bound, mu, nesterov=nesterov) is not None
            assert filter_from_coupled(1.001 * bound, mu, nesterov=nesterov) is None
            section = section_from_coupled(1.001 * bound, mu, nesterov=nesterov)
            assert all(pole.imag != 0 for pole in poles(section))
            if not nesterov:
                assert pole_modulus([section]) == pytest.approx(math.sqrt(mu), rel=1e-12)


def test_the_customary_settings_give_ten_times_the_naive_alpha():
    found = filter_from_coupled(0.1 * 5e-4, 0.9)
    assert found.alpha == pytest.approx(5.02e-4, rel=1e-3)
    assert found.gamma == pytest.approx(0.0995, rel=1e-3)


def test_decoupled_sgd_above_one_is_no_filter():
    assert filter_from_decoupled(1.5, 0.9) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: AlphaGamma(math.nan),
        lambda: AlphaGamma(0.0),
        lambda: AlphaGamma(0.1, 1.5),
        lambda: filter_from_decoupled(math.nan, 0.9),
        lambda: filter_from_coupled(0.1, 1.0),
        lambda: filter_from_coupled(-0.1, 0.9),
        lambda: real_bound(math.nan),
        lambda: section_from_coupled(math.inf, 0.9),
        lambda: bop_from_filter(AlphaGamma(0.1, 0.5)),
        lambda: coupled_from_filter(AlphaGamma(1.0, 1.0), nesterov=True),
        lambda: coupled_from_section((0.1, 0.0, 0.0, 1.0, -0.5, 0.9)),
        lambda: coupled_from_section((-0.1, 0.0, 0.0, 1.0, -0.5, 0.9)),
        lambda: alphas_from_decoupled([0.1, math.nan], 0.1, start_norm=1.0),
        lambda: alphas_from_decoupled([0.1], [0.1, 0.2], start_norm=1.0),
        lambda: alphas_from_decoupled([2.0], 1.0, start_norm=1.0),
        lambda: alphas_from_decoupled([0.1], 0.1, start_norm=0.0),
        lambda: alphas_from_decoupled([], 0.1, start_norm=1.0),
        lambda: decoupled_from_alphas([1.0], 0.0, start_norm=1.0),
        lambda: filters_from_coupled([0.1], 0.0, 0.9),
        lambda: filters_from_coupled([0.1], 0.1, 0.9, dampening=1.0),
        lambda: coupled_from_filters(Filters(constant(1.5), constant(0.5))),
    ],
)
def test_values_outside_their_range_are_refused_in_one_line(call):
    with pytest.raises(InvalidInput, match=r"^[^\n]+(must|needs|has)[^\n]+, got [^\n]+$"):
        call()
