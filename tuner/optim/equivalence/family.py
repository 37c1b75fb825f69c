"""Which gradient filter the rules of ``tuner.optim.family`` are, and where they are none."""

import math
from collections.abc import Mapping

from tuner.optim.decay import factor
from tuner.optim.equivalence import law
from tuner.optim.equivalence.conditions import Condition, not_inert, scaling_off
from tuner.optim.equivalence.filter_record import (
    ALPHA_DECAYS,
    CONSTANT,
    NO_FILTER,
    FilterRecord,
    FilterSchedule,
    RunFacts,
    at_rest,
    without_filter,
)
from tuner.optim.equivalence.maps import AlphaGamma
from tuner.rules import Setting


def of_signed(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    """Latent SignSGD and Lion: averages of the sign of an average, which is no filter."""
    product = float(full["learning_rate"]) * float(full["weight_decay"])
    averages = 0 < product <= 1
    why = "a step has the same length whatever the gradient's size"
    if averages:
        why += (
            f"; of the steps' signs it is exactly an average, alpha = eta lambda = {product:.3g}"
        )
    clip = float(full["clip"])
    no_clip = "there is no clip" if math.isinf(clip) else f"whether |w| reaches {clip:.3g} is open"
    return without_filter(
        rule,
        half_life_steps=law.half_life_steps(product) if averages else None,
        start_state="w0, m0 = 0",
        start_bound=float(full["weight_decay"]) * float(full["init_scale"]),
        schedule=FilterSchedule(
            str(full["learning_rate_decay"]), ALPHA_DECAYS if averages else NO_FILTER
        ),
        conditions=(
            Condition("linear_in_gradient", False, why),
            Condition("real_filter", False, "a sum of signs is not a linear filter"),
            Condition("clip_inactive", True if math.isinf(clip) else None, no_clip),
            scaling_off(bool(full["scaling"])),
            not_inert(product if averages else None, steps=run.steps),
        ),
    )


def of_bop2nd_order(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    """Without a threshold the divisor changes no sign; with one the rule is no filter."""
    alpha, tau = float(full["gamma"]), float(full["tau"])
    schedule = FilterSchedule("constant", CONSTANT, alpha, 1.0)
    if tau == 0:
        why = "with threshold 0 the second moment changes no sign"
        return at_rest(rule, AlphaGamma(alpha, 1.0), schedule, run.steps, why)
    why = f"with threshold tau = {tau:.3g} > 0 a flip needs |m| > tau sqrt(v)"
    return without_filter(
        rule,
        half_life_steps=law.half_life_steps(alpha),
        start_state="m0 = v0 = 0",
        start_bound=0.0,
        schedule=schedule,
        conditions=(
            Condition("linear_in_gradient", False, why),
            Condition("real_filter", False, f"with threshold 0 it would be alpha = {alpha:.3g}"),
        ),
    )


def of_sgdat(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:  # noqa: ARG001
    """A plain sum of all gradients, under a threshold that flips raise."""
    threshold = float(full["threshold"])
    why = (
        "every flip raises the weight's threshold"
        if threshold > 0
        else "it is a sum of gradients, the limit alpha -> 0 of an average"
    )
    return without_filter(
        rule,
        half_life_steps=None,
        start_state="m0 = 0, no flips",
        start_bound=0.0,
        schedule=FilterSchedule(str(full["learning_rate_decay"]), NO_FILTER),
        conditions=(
            Condition("linear_in_gradient", threshold == 0, why),
            Condition("real_filter", False, "it forgets nothing: alpha would be 0"),
        ),
    )


def of_bayes_binn(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:
    """A leaky sum where tanh^2(lambda) is 1 to rounding, as it is once gradients were added."""
    alpha, mu = float(full["learning_rate"]), float(full["momentum"])
    decay = str(full["learning_rate_decay"])
    saturated = Condition(
        "log_odds_saturated",
        None,
        "the gradient's factor is constant while |lambda| is above 9, where tanh is 1 in float32",
    )
    start = f"lambda0 = +-{float(full['init']):.3g}, m0 = 0"
    if mu > 0:
        return without_filter(
            rule,
            half_life_steps=law.half_life_steps(alpha),
            start_state=start,
            start_bound=float(full["init"]),
            schedule=FilterSchedule(decay, NO_FILTER),
            conditions=(
                Condition("linear_in_gradient", None, saturated.why),
                Condition("real_filter", False, "its momentum is corrected for the first steps"),
                saturated,
            ),
        )
    last = {}
    if run.steps is not None:
        last = {
            "last_alpha": alpha * factor(decay, run.steps - 1, run.steps),
            "last_gamma": 1.0,
        }
    return at_rest(
        rule,
        AlphaGamma(alpha, 1.0),
        FilterSchedule(decay, ALPHA_DECAYS, **last),
        run.steps,
        "it is a leaky sum of gradients",
        more=(saturated,),
    )


def of_target_flip_ratio(rule: str, full: Mapping[str, Setting], run: RunFacts) -> FilterRecord:  # noqa: ARG001
    """A moving average at each step, whose alpha depends on the flips, hence on the gradients."""
    ratio, feedback = float(full["flip_ratio"]), float(full["feedback"])
    alpha = 2 * math.sin(math.pi * min(ratio, 0.5) / 2) ** 2
    why = f"alpha begins at {alpha:.3g} and follows the flips" if feedback else "alpha is given"
    return without_filter(
        rule,
        half_life_steps=law.half_life_steps(alpha),
        start_state="s0 = 0",
        start_bound=0.0,
        schedule=FilterSchedule(str(full["flip_ratio_decay"]), "the wanted flip ratio decays"),
        conditions=(
            Condition("linear_in_gradient", feedback == 0, why),
            Condition("real_filter", False, "no single alpha: each parameter has its own"),
        ),
    )
