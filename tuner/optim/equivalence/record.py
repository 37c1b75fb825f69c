"""What a trial stores about its equivalence: its filter, and under which conditions."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tuner.errors import InvalidInput
from tuner.optim.decay import factor
from tuner.optim.equivalence import law
from tuner.optim.equivalence.conditions import (
    Condition,
    Knob,
    knobs_of_latent_sgd,
    not_inert,
    of_latent_sgd,
    scaling_off,
)
from tuner.optim.equivalence.latent_filter import LatentFilter
from tuner.optim.equivalence.magnitude import Magnitude, require
from tuner.optim.equivalence.maps import AlphaGamma, Section, section_from_filter
from tuner.rules import Setting, complete

CONSTANT = "alpha and gamma constant"
ALPHA_DECAYS = "alpha_t = alpha * factor(t), gamma constant"
COUPLED_DECAYS = (
    "alpha_t and gamma_t both move (Riccati recursion), alpha_t gamma_t = eta_t lambda"
)
NORM_GROWS = "alpha_t = eta_t / (N_0 + sum of eta), gamma constant; N_0 is the init scale"
NO_FILTER = "no real filter, hence no alpha to schedule"

MOST_STEPS = 10_000_000
"""A schedule's filters are computed step by step; beyond this it takes more than seconds."""


@dataclass(frozen=True)
class FilterSchedule:
    """How the filter moves over the run.

    Args:
        kind: The schedule of alpha or of the learning rate: constant, linear, cosine or step.
        map: How it moves alpha and gamma, in one line.
        last_alpha: alpha at the last step; None if the number of steps is not known.
        last_gamma: gamma at the last step; None likewise.
    """

    kind: str
    map: str
    last_alpha: float | None = None
    last_gamma: float | None = None


@dataclass(frozen=True)
class FilterRecord:
    """The gradient filter that a configuration is; ``dataclasses.asdict`` makes it JSON.

    Args:
        rule: The update rule's name.
        alpha: alpha at the first step; None where no real filter exists.
        gamma: gamma at the first step; None likewise.
        real: Whether a real (alpha, gamma) filter of the gradients exists.
        half_life_steps: Steps in which a gradient's weight in s halves, at the first step's rate.
        flip_ratio: Predicted share of signs that change per step under white-noise gradients, at
            the first step's rate; None where the law says nothing.
        sos: The filter at the first step's rate as one second-order section (scipy.signal).
        start_state: The state the filter starts from.
        start_bound: The largest |s0|.
        schedule: How the filter moves over the run.
        conditions: What the equivalence needs, and whether it is so.
        redundant: For latent SGD, the seven knobs and whether each is redundant; else empty.
    """

    rule: str
    alpha: float | None
    gamma: float | None
    real: bool
    half_life_steps: float | None
    flip_ratio: float | None
    sos: tuple[Section, ...] | None
    start_state: str
    start_bound: float
    schedule: FilterSchedule
    conditions: tuple[Condition, ...]
    redundant: tuple[Knob, ...] = ()


def describe(
    rule: str,
    settings: Mapping[str, Setting],
    steps: int | None = None,
    *,
    gradient_max: float | None = None,
) -> FilterRecord:
    """The gradient filter that a configuration is, and under which conditions.

    Args:
        rule: A name in ``tuner.rules.RULES``.
        settings: The rule's hyperparameters; absent ones take defaults.
        steps: Length of the run, in 1 .. ``MOST_STEPS``; None if not known.
        gradient_max: The largest |gradient| (before any momentum), at least 0; None if not known.

    Raises:
        UnknownName: If the rule or a hyperparameter does not exist.
        InvalidInput: If a value is outside its range, or nobody wrote what filter the rule is.
    """
    full = complete(rule, settings)
    fits = steps is None or 1 <= steps <= MOST_STEPS
    require(fits, "describe.steps", f"must be in 1 .. {MOST_STEPS:,}", steps)
    bounded = gradient_max is None or 0 <= gradient_max < math.inf
    require(bounded, "describe.gradient_max", "must be at least 0 and finite", gradient_max)
    if rule not in DESCRIPTIONS:
        raise InvalidInput(
            f"update rule {rule!r}: nothing here says which gradient filter it is; "
            "add its description to DESCRIPTIONS in tuner/optim/equivalence/record.py"
        )
    return DESCRIPTIONS[rule](rule, full, RunFacts(steps, gradient_max))


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run beside its settings; see ``describe``."""

    steps: int | None
    gradient_max: float | None


def _of_filter_flip(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    filter_, decay = (
        AlphaGamma(float(full["alpha"]), float(full["gamma"])),
        str(full["alpha_decay"]),
    )
    schedule = FilterSchedule(decay, ALPHA_DECAYS)
    if run.steps is not None:
        last = filter_.alpha * factor(decay, run.steps - 1, run.steps)
        schedule = FilterSchedule(decay, ALPHA_DECAYS, last, filter_.gamma)
    return _at_rest(rule, filter_, schedule, run.steps, "it is a linear filter by itself")


def _of_bop(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    alpha, tau = float(full["gamma"]), float(full["tau"])
    filter_ = AlphaGamma(alpha, 1.0)
    schedule = FilterSchedule("constant", CONSTANT, alpha, 1.0)
    if tau == 0:
        return _at_rest(
            rule, filter_, schedule, run.steps, "with threshold 0 Bop is EMA, then sign"
        )
    why = (
        f"with threshold tau = {tau:.3g} > 0 a flip needs |m| > tau, which no linear filter gives"
    )
    return FilterRecord(
        rule=rule,
        alpha=None,
        gamma=None,
        real=False,
        half_life_steps=law.half_life_steps(alpha),
        flip_ratio=None,
        sos=None,
        start_state="m0 = 0",
        start_bound=0.0,
        schedule=schedule,
        conditions=(
            Condition("linear_in_gradient", False, why),
            Condition("real_filter", False, f"with threshold 0 it would be alpha = {alpha:.3g}"),
        ),
    )


def _at_rest(
    rule: str, filter_: AlphaGamma, schedule: FilterSchedule, steps: int | None, why: str
) -> FilterRecord:
    """The record of a rule that is a filter by itself and starts from zero."""
    no_latent = "there is no latent weight"
    return FilterRecord(
        rule=rule,
        alpha=filter_.alpha,
        gamma=filter_.gamma,
        real=True,
        half_life_steps=law.half_life_steps(min(filter_.alpha, filter_.gamma)),
        flip_ratio=law.flip_ratio(filter_),
        sos=(section_from_filter(filter_),),
        start_state="s0 = m0 = 0",
        start_bound=0.0,
        schedule=schedule,
        conditions=(
            Condition("linear_in_gradient", True, why),
            Condition("stable", True, "alpha and gamma are in (0, 1]"),
            Condition("real_filter", True, "alpha and gamma are given"),
            Condition("bare_gradient", True, "the filter's input is the gradient itself"),
            Condition("constant_gamma", True, f"gamma is {filter_.gamma:.3g} throughout"),
            Condition("clip_inactive", True, no_latent),
            Condition("scaling_off", True, no_latent),
            Condition("start_forgotten", True, "the filter starts from zero"),
            not_inert(filter_.alpha, steps=steps),
        ),
    )


def _of_latent_sgd(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    magnitude, steps = Magnitude.from_settings(full), run.steps
    latent = LatentFilter(magnitude)
    filter_, section = latent.filter, latent.section
    conditions = of_latent_sgd(latent, steps=steps, gradient_max=run.gradient_max)
    ratio = None
    if filter_ is not None and section is not None and not magnitude.nesterov:
        ratio = law.flip_ratio(filter_)
    elif section is not None and latent.stable:
        ratio = law.flip_ratio_of_sections([section])
    half_life = None
    if latent.modulus is not None and latent.stable:
        half_life = law.half_life_steps(1 - latent.modulus)
    return FilterRecord(
        rule=rule,
        alpha=None if filter_ is None else filter_.alpha,
        gamma=None if filter_ is None else filter_.gamma,
        real=filter_ is not None,
        half_life_steps=half_life,
        flip_ratio=ratio,
        sos=None if section is None else (section,),
        start_state=_start_state(magnitude),
        start_bound=latent.start_bound,
        schedule=_schedule(latent, steps),
        conditions=conditions,
        redundant=knobs_of_latent_sgd(latent, conditions),
    )


def _start_state(magnitude: Magnitude) -> str:
    if magnitude.weight_decay == 0:
        return "s0 = -w0 / init_scale, m0 = 0"
    if not magnitude.coupled:
        return "s0 = -lambda w0, m0 = 0"
    state = "m0 = s0 = -lambda w0"
    if magnitude.nesterov:
        return f"{state}, and g_0 = s0"
    if magnitude.input_gain < 1:
        return f"{state}, and g_1 enters as s0 + (g_1 - s0) / (1 - dampening)"
    return state


def _schedule(latent: LatentFilter, steps: int | None) -> FilterSchedule:
    given = latent.magnitude
    kind = given.learning_rate_decay
    if latent.filter is None:
        return FilterSchedule(kind, NO_FILTER)
    if given.weight_decay == 0:
        how = NORM_GROWS
    elif kind == "constant":
        how = CONSTANT
    else:
        how = COUPLED_DECAYS if given.coupled and given.momentum > 0 else ALPHA_DECAYS
    filters = None if steps is None else latent.sequence(steps)
    if filters is None:
        return FilterSchedule(kind, how)
    return FilterSchedule(kind, how, float(filters.alpha[-1]), float(filters.gamma[-1]))


def _of_adam(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    """Adam is no linear filter; AdamW is an average of what Adam's normalisation leaves."""
    rate, decay = float(full["learning_rate"]), float(full["weight_decay"])
    product, kind = rate * decay, str(full["learning_rate_decay"])
    averages = rule == "latent_adamw" and 0 < product <= 1
    why = "each weight is divided by the root mean square of its own gradients"
    if averages:
        why += f"; of that ratio it is exactly an average with alpha = eta lambda = {product:.3g}"
    clip = float(full["clip"])
    no_clip = "there is no clip" if math.isinf(clip) else f"whether |w| reaches {clip:.3g} is open"
    return FilterRecord(
        rule=rule,
        alpha=None,
        gamma=None,
        real=False,
        half_life_steps=law.half_life_steps(product) if averages else None,
        flip_ratio=None,
        sos=None,
        start_state="s0 = -lambda w0, Adam's averages 0" if decay > 0 else "w0, Adam's averages 0",
        start_bound=decay * float(full["init_scale"]),
        schedule=FilterSchedule(kind, ALPHA_DECAYS if averages else NO_FILTER),
        conditions=(
            Condition("linear_in_gradient", False, why),
            Condition("real_filter", False, "Adam is not a linear filter of the gradient"),
            Condition("clip_inactive", True if math.isinf(clip) else None, no_clip),
            scaling_off(bool(full["scaling"])),
            not_inert(product if averages else None, steps=run.steps),
        ),
    )


DESCRIPTIONS: Mapping[str, Callable[[str, Mapping[str, Setting], RunFacts], FilterRecord]] = {
    "filter_flip": _of_filter_flip,
    "bop": _of_bop,
    "latent_sgd": _of_latent_sgd,
    "latent_adam": _of_adam,
    "latent_adamw": _of_adam,
}
"""Update rule -> its filter, from the rule's name, its settings in full, and the run."""
