"""What a trial records: symmetry, conditions and redundant knobs, each seen in a simulation."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tuner.errors import InvalidInput, UnknownName
from tuner.optim.equivalence import (
    LatentFilter,
    Magnitude,
    canonical,
    describe,
    filter_from_coupled,
    flip_ratio,
    flip_ratio_of_sections,
    invariants,
    learning_rates,
    record,
    rescale,
    steps_until,
)
from tuner.rules import RULES

TORCH = {"learning_rate": 0.1, "weight_decay": 5e-4, "momentum": 0.9, "coupled": True}
FINITE_CLIP = st.one_of(st.just(math.inf), st.floats(0.1, 2))


def latent_weights(given_, g, p, steps):
    """The literal recursion of latent SGD, clip included; w after each step, shape [T, P]."""
    w = given_.init_scale * p
    m = np.zeros_like(w)
    rates = learning_rates(given_.learning_rate, given_.learning_rate_decay, steps).astype(g.dtype)
    lam, mu, ws = given_.weight_decay, given_.momentum, []
    for t in range(steps):
        if given_.coupled:
            d = g[t] + lam * w
            if mu > 0:
                m = d if t == 0 else mu * m + (1 - given_.dampening) * d
                d = d + mu * m if given_.nesterov else m
            w = w - rates[t] * d
        else:
            m = mu * m + (1 - mu) * g[t]
            w = (1 - rates[t] * lam) * w - rates[t] * m
        w = np.clip(w, -given_.clip, given_.clip)
        ws.append(w)
    return np.array(ws)


@st.composite
def magnitudes(draw):
    """Settings of latent SGD that do not diverge."""
    mu = draw(st.sampled_from([0.0, 0.5, 0.9]))
    coupled = draw(st.booleans())
    nesterov = coupled and mu > 0 and draw(st.booleans())
    return Magnitude(
        learning_rate=draw(st.floats(0.01, 1)),
        weight_decay=draw(st.one_of(st.just(0.0), st.floats(1e-3, 0.3))),
        momentum=mu,
        init_scale=draw(st.floats(0.1, 2)),
        clip=draw(FINITE_CLIP),
        learning_rate_decay=draw(st.sampled_from(["constant", "linear", "cosine", "step"])),
        coupled=coupled,
        nesterov=nesterov,
        dampening=0.5 if coupled and not nesterov and draw(st.booleans()) else 0.0,
    )


def condition(record, name):
    return next(c for c in record.conditions if c.name == name)


def knob(record, name):
    return next(k for k in record.redundant if k.name == name)


@pytest.mark.slow
@given(magnitudes(), st.integers(-8, 8), st.integers(0, 2**32 - 1))
def test_scaling_by_a_power_of_two_changes_no_bit_of_any_sign(magnitude, power, seed):
    random = np.random.default_rng(seed)
    g, p = random.normal(size=(60, 4)), random.uniform(-1, 1, 4)
    w = latent_weights(magnitude, g, p, 60)
    scaled = latent_weights(rescale(magnitude, 2.0**power), g, p, 60)
    assert (scaled == 2.0**power * w).all()


@given(magnitudes(), st.floats(0.1, 10))
def test_scaling_leaves_the_canonical_member_and_the_invariants_alone(magnitude, k):
    for scaling in (False, True):
        one = dataclasses.replace(magnitude, scaling=scaling)
        other = rescale(one, k)
        assert dataclasses.astuple(invariants(other)) == pytest.approx(
            dataclasses.astuple(invariants(one)), rel=1e-9
        )
        member = canonical(one)
        expected = 1.0 if one.weight_decay > 0 else 0.0
        assert member.weight_decay == pytest.approx(expected)
        if expected == 0:
            assert member.init_scale == pytest.approx(1)


def test_the_invariants_are_products_with_weight_decay():
    found = invariants(Magnitude(learning_rate=0.1, weight_decay=0.02, init_scale=3.0, clip=5.0))
    assert (found.rate, found.start, found.clip) == pytest.approx((0.002, 0.06, 0.1))


def test_with_channel_scaling_the_symmetry_squares_the_factor():
    found = rescale(Magnitude(learning_rate=0.1, weight_decay=0.2, scaling=True), 2.0)
    assert (found.learning_rate, found.weight_decay, found.init_scale) == (0.4, 0.05, 2.0)


def test_a_grid_of_learning_rates_and_decays_is_mostly_duplicates():
    grid = [2.0**-i for i in range(7)]
    members = {
        invariants(
            Magnitude(learning_rate=rate, weight_decay=decay, init_scale=1 / decay, clip=1 / decay)
        )
        for rate in grid
        for decay in grid
    }
    assert len(members) == 13


def test_torchs_customary_settings_are_described():
    found = describe("latent_sgd", TORCH, 50_000)
    root = filter_from_coupled(5e-5, 0.9)
    assert (found.alpha, found.gamma, found.real) == (root.alpha, root.gamma, True)
    assert found.half_life_steps == pytest.approx(math.log(2) / root.alpha, rel=1e-3)
    assert found.flip_ratio == flip_ratio(root)
    assert found.start_state == "m0 = s0 = -lambda w0" and found.start_bound == 5e-4
    assert [c.holds for c in found.conditions] == [True] * 9
    assert {k.name for k in found.redundant if k.redundant} == {
        "init_scale",
        "clip",
        "scaling",
        "weight_decay",
    }


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("steps", [None, 1, 1000])
def test_every_rule_is_described_in_valid_json(rule, steps):
    record = dataclasses.asdict(describe(rule, {}, steps))
    assert json.loads(json.dumps(record, allow_nan=False))["rule"] == rule


@given(magnitudes(), st.one_of(st.none(), st.integers(1, 500)))
def test_every_latent_sgd_is_described_in_valid_json(magnitude, steps):
    record = describe("latent_sgd", dataclasses.asdict(magnitude), steps, gradient_max=1.0)
    json.dumps(dataclasses.asdict(record), allow_nan=False)
    assert [k.name for k in record.redundant] == [
        "init_scale",
        "learning_rate",
        "learning_rate_decay",
        "clip",
        "scaling",
        "momentum",
        "weight_decay",
    ]
    assert len(record.conditions) == 9


@given(magnitudes(), st.floats(0.01, 3), st.integers(0, 2**32 - 1), st.booleans())
def test_a_clip_called_inactive_never_acts(magnitude, gradient_max, seed, constant):
    reach = LatentFilter(magnitude).reach(80)
    assume(reach is not None)
    bound = max(reach.of_start, reach.rest + reach.of_gradient * gradient_max)
    settings = {**dataclasses.asdict(magnitude), "clip": bound * (1 + 1e-9)}
    record = describe("latent_sgd", settings, 80, gradient_max=gradient_max)
    assert condition(record, "clip_inactive").holds
    random = np.random.default_rng(seed)
    signs = 1 if constant else random.choice([-1, 1], size=(80, 4))
    g, p = gradient_max * signs * np.ones((80, 4)), random.choice([-1, 1], 4)
    free = latent_weights(dataclasses.replace(magnitude, clip=math.inf), g, p, 80)
    assert (np.abs(free) <= bound * (1 + 1e-9)).all()


def test_the_clips_bound_is_the_largest_gradient_over_the_weight_decay():
    settings = {**TORCH, "weight_decay": 0.01, "clip": 2.0}
    at, above = (
        condition(describe("latent_sgd", settings, gradient_max=g), "clip_inactive").holds
        for g in (0.02, 0.021)
    )
    assert at is True and above is False
    unknown = condition(describe("latent_sgd", settings), "clip_inactive")
    assert unknown.holds is None and "0.02" in unknown.why
    steady = latent_weights(
        Magnitude.from_settings({**settings, "clip": math.inf}),
        np.full((20_000, 1), 0.021),
        np.zeros(1),
        20_000,
    )
    assert np.abs(steady).max() > 2.0


def test_a_clip_below_the_initial_weights_acts():
    record = describe("latent_sgd", {**TORCH, "clip": 0.5}, gradient_max=0.0)
    assert condition(record, "clip_inactive").holds is False
    assert knob(record, "clip").redundant is False


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine", "step"])
def test_the_start_is_forgotten_when_the_record_says_so(decay):
    settings = {"learning_rate": 0.1, "weight_decay": 0.1, "learning_rate_decay": decay}
    latent = LatentFilter(Magnitude.from_settings(settings))
    after = latent.steps_until(0.01, 1000)
    free = latent_weights(latent.magnitude, np.zeros((1000, 1)), np.ones(1), 1000)[:, 0]
    assert free[after - 1] <= 0.01 < free[after - 2]
    assert condition(describe("latent_sgd", settings, 1000), "start_forgotten").holds
    assert condition(describe("latent_sgd", settings, 100), "start_forgotten").holds is False
    assert condition(describe("latent_sgd", settings), "start_forgotten").holds is None


NEXT_TO_NOTHING = {"learning_rate": 1e-3, "momentum": 0.9, "coupled": False}


@pytest.mark.parametrize("decay", ["constant", "linear", "cosine", "step"])
@pytest.mark.parametrize("weight_decay", [0.0, 1.0])
@pytest.mark.parametrize("steps", [None, 1, 1000])
def test_a_start_next_to_nothing_counts_as_forgotten(decay, weight_decay, steps):
    settings = {
        **NEXT_TO_NOTHING,
        "learning_rate_decay": decay,
        "weight_decay": weight_decay,
        "init_scale": 1e-30,
    }
    found = condition(describe("latent_sgd", settings, steps), "start_forgotten")
    assert found.holds and found.why.endswith("no more than a first step of gradient 1e-26")


@pytest.mark.parametrize(
    ("change", "step"),
    [
        ({}, 1e-4),
        ({"coupled": True}, 1e-3),
        ({"coupled": True, "dampening": 0.5}, 5e-4),
    ],
)
def test_a_start_is_next_to_nothing_up_to_a_step_of_gradient_1e_20(change, step):
    for share, holds in ((0.99, True), (1.01, False)):
        settings = {**NEXT_TO_NOTHING, "weight_decay": 0.1, "init_scale": share * 1e-20 * step}
        record = describe("latent_sgd", {**settings, **change}, 1000)
        assert condition(record, "start_forgotten").holds is holds
        assert knob(record, "init_scale").redundant is holds


@pytest.mark.parametrize(
    "change",
    [
        {"scaling": True},
        {"weight_decay": 3000.0},
        {"coupled": True, "dampening": 1.0},
    ],
)
def test_no_start_is_next_to_nothing_where_it_grows_or_sets_the_gradients_size(change):
    settings = {**NEXT_TO_NOTHING, "weight_decay": 0.1, "init_scale": 1e-30, **change}
    record = describe("latent_sgd", settings, 1000)
    assert condition(record, "start_forgotten").holds is False


@given(magnitudes(), st.integers(-39, 0), st.integers(0, 2**32 - 1))
def test_a_float32_run_from_a_negligible_start_is_the_run_from_zero(magnitude, exponent, seed):
    """Bit for bit from the first gradient on, of sizes from 2e-12 up."""
    gain = magnitude.input_gain if magnitude.coupled else 1 - magnitude.momentum
    start = 0.999e-20 * magnitude.learning_rate * gain
    one = dataclasses.replace(magnitude, init_scale=start, clip=math.inf)
    assume(LatentFilter(one).stable)
    assert condition(describe("latent_sgd", dataclasses.asdict(one), 50), "start_forgotten").holds
    random = np.random.default_rng(seed)
    size = max(2.0**exponent, 2e-12)
    g = (random.choice([-1, 1], size=(50, 4)) * random.uniform(1, 2, (50, 4)) * size).astype("f4")
    p = random.uniform(-1, 1, 4).astype("f4")
    from_start, from_zero = (latent_weights(one, g, q, 50) for q in (p, np.zeros(4, "f4")))
    assert from_start.dtype == np.float32
    assert (from_start == from_zero).all()


def test_complex_roots_are_recognised_and_come_as_a_section():
    record = describe("latent_sgd", {**TORCH, "weight_decay": 0.1}, 1000)
    assert (record.real, record.alpha, record.gamma) == (False, None, None)
    assert record.sos == ((pytest.approx(0.01), 0, 0, 1, pytest.approx(-1.89), 0.9),)
    assert record.half_life_steps == pytest.approx(steps_until(0.5, 1 - math.sqrt(0.9)))
    assert record.flip_ratio == pytest.approx(math.acos(1 - 0.01 / 1.9) / math.pi)
    assert "the filter rings" in condition(record, "real_filter").why


@pytest.mark.parametrize(
    ("change", "name", "holds"),
    [
        ({"learning_rate": 50.0, "weight_decay": 0.1}, "stable", False),
        ({"learning_rate": 38.0, "weight_decay": 0.1}, "real_filter", False),
        ({"coupled": False, "learning_rate": 15.0, "weight_decay": 0.1}, "real_filter", False),
        ({"dampening": 1.0}, "real_filter", False),
        ({"nesterov": True}, "bare_gradient", False),
        ({"dampening": 0.5}, "bare_gradient", False),
        ({"learning_rate_decay": "cosine"}, "constant_gamma", False),
        ({"learning_rate_decay": "cosine", "coupled": False}, "constant_gamma", True),
        ({"scaling": True}, "scaling_off", False),
        ({"weight_decay": 0.0}, "start_forgotten", False),
        ({"weight_decay": 1e-8}, "alpha_not_inert", False),
        ({}, "alpha_not_inert", True),
    ],
)
def test_each_condition_names_what_breaks_it(change, name, holds):
    found = condition(describe("latent_sgd", {**TORCH, **change}, 1000), name)
    assert found.holds is holds and found.why


def test_without_weight_decay_the_initial_scale_is_the_redundant_knob():
    record = describe("latent_sgd", {**TORCH, "weight_decay": 0.0, "coupled": False}, 1000)
    assert knob(record, "init_scale").redundant and not knob(record, "weight_decay").redundant
    assert record.alpha == pytest.approx(0.1 / 1.1)
    assert record.schedule.last_alpha == pytest.approx(0.1 / 101)
    assert record.half_life_steps is None and record.flip_ratio is None


def test_a_schedule_shows_where_the_filter_ends():
    record = describe("latent_sgd", {**TORCH, "learning_rate_decay": "linear"}, 1000)
    assert 0 < record.schedule.last_alpha < record.alpha
    assert record.schedule.last_gamma != record.gamma
    own = describe("filter_flip", {"alpha": 0.1, "gamma": 0.5, "alpha_decay": "linear"}, 10)
    assert own.schedule.last_alpha == pytest.approx(0.01) and own.schedule.last_gamma == 0.5


def test_rules_that_are_no_linear_filter_say_why():
    assert describe("bop", {"gamma": 0.1, "tau": 0.0}).real
    for rule, words in (("bop", "tau"), ("latent_adam", "root mean square")):
        record = describe(rule, {}, 1000)
        assert record.alpha is None and not record.real
        linear = condition(record, "linear_in_gradient")
        assert linear.holds is False and words in linear.why
    adamw = describe("latent_adamw", {"learning_rate": 0.01, "weight_decay": 0.1})
    assert adamw.half_life_steps == pytest.approx(steps_until(0.5, 1e-3))
    assert "exactly an average" in condition(adamw, "linear_in_gradient").why


def test_settings_outside_their_range_are_refused():
    with pytest.raises(UnknownName, match="did you mean 'latent_sgd'"):
        describe("latent_sdg", {})
    with pytest.raises(UnknownName, match="learning_rate"):
        describe("latent_sgd", {"lr": 0.1})
    with pytest.raises(InvalidInput, match=r"latent_sgd.learning_rate must be in .* got nan"):
        Magnitude(learning_rate=math.nan)
    with pytest.raises(InvalidInput, match="coupled"):
        Magnitude(learning_rate=0.1, nesterov=True)
    with pytest.raises(InvalidInput, match=r"steps: must be in 1 \.\. 10,000,000, got 0"):
        describe("latent_sgd", {}, 0)
    with pytest.raises(InvalidInput, match="gradient_max: must be at least 0"):
        describe("latent_sgd", {}, gradient_max=math.nan)
    with pytest.raises(InvalidInput, match="k must be positive"):
        rescale(Magnitude(learning_rate=0.1), 0.0)


def test_every_rule_says_which_filter_it_is() -> None:
    assert set(record.DESCRIPTIONS) == set(RULES)


def test_a_rule_that_nobody_described_is_refused_instead_of_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = {name: how for name, how in record.DESCRIPTIONS.items() if name != "latent_adam"}
    monkeypatch.setattr(record, "DESCRIPTIONS", kept)
    with pytest.raises(InvalidInput, match="'latent_adam': nothing here says which gradient"):
        describe("latent_adam", {})
    assert describe("latent_adamw", {}).rule == "latent_adamw"


def test_a_designed_average_is_described_as_filter_flip_is():
    for order, gamma in ((1, 1.0), (2, None)):
        found = describe(
            "designed_filter", {"family": "ema", "order": order, "memory": 500.0}, 9000
        )
        alpha = 1 / 500 / math.sqrt(2 ** (1 / order) - 1)
        twin = describe("filter_flip", {"alpha": alpha, "gamma": gamma or alpha}, 9000)
        assert (found.alpha, found.gamma) == pytest.approx((twin.alpha, twin.gamma))
        assert found.flip_ratio == pytest.approx(twin.flip_ratio, rel=1e-9)
        assert found.half_life_steps == pytest.approx(twin.half_life_steps, rel=1e-6)
        assert [c.holds for c in found.conditions] == [c.holds for c in twin.conditions]


def test_a_design_that_is_no_cascade_has_its_sections_and_no_point():
    found = describe("designed_filter", {"family": "bessel", "order": 4, "memory": 50.0}, 9000)
    assert (found.alpha, found.gamma, found.real) == (None, None, False)
    assert found.sos is not None
    assert found.flip_ratio == pytest.approx(flip_ratio_of_sections(found.sos))
    assert not condition(found, "real_filter").holds


def test_a_share_of_the_run_is_described_once_its_length_is_known():
    share = {"memory": 0.1, "memory_unit": "runs", "cutoff_decay": "linear", "order": 1}
    assert describe("designed_filter", share).sos is None
    found = describe("designed_filter", share, 1000)
    assert found.alpha == pytest.approx(0.01)
    assert found.schedule.last_alpha == pytest.approx(1e-5)
