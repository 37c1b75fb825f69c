"""What a trial stores about its equivalence: its filter, and under which conditions."""

import math
from collections.abc import Callable, Mapping

from tuner.errors import InvalidInput
from tuner.optim.decay import factor
from tuner.optim.designed import slots
from tuner.optim.designed.prototypes import SCALE, Design, design_of, prototype
from tuner.optim.equivalence import law
from tuner.optim.equivalence.conditions import (
    Condition,
    knobs_of_latent_sgd,
    not_inert,
    of_latent_sgd,
    scaling_off,
)
from tuner.optim.equivalence.family import (
    of_bayes_binn,
    of_bop2nd_order,
    of_sgdat,
    of_signed,
    of_target_flip_ratio,
)
from tuner.optim.equivalence.filter_record import (
    ALPHA_DECAYS,
    CONSTANT,
    COUPLED_DECAYS,
    NO_FILTER,
    NORM_GROWS,
    FilterRecord,
    FilterSchedule,
    RunFacts,
    at_rest,
)
from tuner.optim.equivalence.latent_filter import LatentFilter
from tuner.optim.equivalence.magnitude import Magnitude, require
from tuner.optim.equivalence.maps import AlphaGamma
from tuner.rules import Setting, complete

CUTOFF_DECAYS = "cutoff_t = factor(t) / memory, every coefficient follows"

MOST_STEPS = 10_000_000
"""A schedule's filters are computed step by step; beyond this it takes more than seconds."""


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


def _of_filter_flip(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    filter_, decay = (
        AlphaGamma(float(full["alpha"]), float(full["gamma"])),
        str(full["alpha_decay"]),
    )
    schedule = FilterSchedule(decay, ALPHA_DECAYS)
    if run.steps is not None:
        last = filter_.alpha * factor(decay, run.steps - 1, run.steps)
        schedule = FilterSchedule(decay, ALPHA_DECAYS, last, filter_.gamma)
    return at_rest(rule, filter_, schedule, run.steps, "it is a linear filter by itself")


def _of_designed_filter(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    """A low-pass by itself; an ema of order 1 or 2 is a real (alpha, gamma) too.

    One of order 1 stays so whatever its cut-off does, for alpha is the cut-off. One of order 2 is
    none that decays: a cascade's gamma stays where it is.

    Of a memory that is a share of a run of unknown length no numbers are known.
    """
    decay, no_latent = str(full["cutoff_decay"]), "there is no latent weight"
    known = full["memory_unit"] == "steps" or run.steps is not None
    design = design_of(full, run.steps or 1)
    numbers = slots.at_cutoff(design, 1 / design.memory)
    real = design.family == "ema" and design.order <= 2
    last = 0.0 if run.steps is None else factor(decay, run.steps - 1, run.steps) / design.memory
    alpha, gamma = _averages(design, 1 / design.memory) if real and known else (None, None)
    ends = _averages(design, last) if alpha is not None and last > 0 else (None, None)
    moves = design.order == 2 and decay != "constant"
    how = CUTOFF_DECAYS
    if alpha is not None and not moves:
        how = CONSTANT if decay == "constant" else ALPHA_DECAYS
    return FilterRecord(
        rule=rule,
        alpha=alpha,
        gamma=gamma,
        real=real,
        half_life_steps=law.half_life_steps(law.forgets(numbers)) if known else None,
        flip_ratio=law.flip_ratio_of_slots(numbers) if known else None,
        sos=tuple(tuple(row) for row in slots.to_sections(numbers).tolist()) if known else None,
        start_state="all state 0",
        start_bound=0.0,
        schedule=FilterSchedule(decay, how, *ends),
        conditions=(
            Condition("linear_in_gradient", True, "it is a linear filter by itself"),
            Condition("stable", True, "every design's poles lie inside the unit circle"),
            Condition(
                "real_filter",
                real,
                f"{design.family} of order {design.order} "
                + ("is" if real else "is another filter than")
                + " a cascade of one or two averages",
            ),
            Condition("bare_gradient", True, "the filter's input is the gradient itself"),
            Condition(
                "constant_gamma",
                not moves,
                "the schedule moves every pole" if moves else "the cut-off is constant",
            ),
            Condition("clip_inactive", True, no_latent),
            Condition("scaling_off", True, no_latent),
            Condition("start_forgotten", True, "the filter starts from zero"),
            not_inert(1 / design.memory if known else None, steps=run.steps),
        ),
    )


def _averages(design: Design, cutoff: float) -> tuple[float, float]:
    """The alpha and gamma that an ema of order 1 or 2 has."""
    alpha = min(1.0, cutoff * float(prototype("ema", design.order, 1.0)[0, SCALE]))
    return alpha, alpha if design.order == 2 else 1.0


def _of_bop(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    alpha, tau = float(full["gamma"]), float(full["tau"])
    filter_ = AlphaGamma(alpha, 1.0)
    schedule = FilterSchedule("constant", CONSTANT, alpha, 1.0)
    if tau == 0:
        return at_rest(
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
    "designed_filter": _of_designed_filter,
    "bop": _of_bop,
    "latent_sgd": _of_latent_sgd,
    "latent_adam": _of_adam,
    "latent_adamw": _of_adam,
    "latent_signsgd": of_signed,
    "latent_lion": of_signed,
    "bop2nd_order": of_bop2nd_order,
    "sgdat": of_sgdat,
    "bayes_binn": of_bayes_binn,
    "target_flip_ratio": of_target_flip_ratio,
}
"""Update rule -> its filter, from the rule's name, its settings in full, and the run."""
