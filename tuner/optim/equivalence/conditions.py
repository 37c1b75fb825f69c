"""Under which conditions a configuration is the filter it maps to, and which knobs that frees."""

import math
from dataclasses import dataclass

from tuner.optim.equivalence.latent_filter import LatentFilter
from tuner.optim.equivalence.law import poles
from tuner.optim.equivalence.maps import real_bound

FORGOTTEN = 0.01
"""The start counts as forgotten when its weight in s has fallen to this share."""
NEGLIGIBLE = 1e-20
"""Nor does a start matter that is no further from 0 than a first step of this gradient moves w."""
INERT = 0.1
"""alpha is inert below this many times 1/T, T the number of steps."""


@dataclass(frozen=True)
class Condition:
    """One condition of the equivalence.

    Args:
        name: Its name, the same for every configuration.
        holds: Whether it holds; None where that depends on what is not known.
        why: One sentence with the numbers.
    """

    name: str
    holds: bool | None
    why: str


@dataclass(frozen=True)
class Knob:
    """One of the seven magnitude hyperparameters, and whether it could be dropped here.

    Args:
        name: The hyperparameter.
        redundant: Whether the signs can be had without it; None where that is not known.
        why: One sentence.
    """

    name: str
    redundant: bool | None
    why: str


def of_latent_sgd(
    latent: LatentFilter, *, steps: int | None, gradient_max: float | None
) -> tuple[Condition, ...]:
    """Every condition under which latent SGD is a gradient filter of constant gamma at rest."""
    return (
        Condition("linear_in_gradient", True, "the latent weight is a weighted sum of gradients"),
        _stable(latent),
        _real_filter(latent),
        _bare_gradient(latent),
        _constant_gamma(latent),
        clip_inactive(latent, steps=steps, gradient_max=gradient_max),
        scaling_off(latent.magnitude.scaling),
        start_forgotten(latent, steps=steps),
        not_inert(latent.alpha, steps=steps),
    )


def _stable(latent: LatentFilter) -> Condition:
    if latent.stable:
        return Condition("stable", True, "bounded gradients keep s bounded")
    product = latent.magnitude.product
    return Condition("stable", False, f"eta lambda = {product:.3g} is too large: w diverges")


def _real_filter(latent: LatentFilter) -> Condition:
    name, magnitude = "real_filter", latent.magnitude
    if latent.filter is not None:
        return Condition(name, True, "alpha and gamma are real and in (0, 1]")
    if latent.section is None:
        return Condition(name, False, "dampening 1 lets the first gradient in and no other")
    product = magnitude.product
    if not magnitude.coupled:
        return Condition(name, False, f"eta lambda = {product:.3g} is above 1")
    bound = real_bound(magnitude.momentum, nesterov=magnitude.nesterov)
    rings = any(pole.imag for pole in poles(latent.section))
    why = (
        f"eta lambda = {product:.3g} is above {bound:.3g}: "
        + ("the roots are complex, the filter rings" if rings else "alpha or gamma would exceed 1")
        + ("" if magnitude.learning_rate_decay == "constant" else " (at the first step)")
    )
    direct = "; run it in direct form, FilterFlip(sos=...)" if latent.stable else ""
    return Condition(name, False, why + direct)


def _bare_gradient(latent: LatentFilter) -> Condition:
    name, magnitude = "bare_gradient", latent.magnitude
    if magnitude.nesterov:
        return Condition(name, False, "nesterov filters (1 + mu) g_t - mu g_{t-1} instead of g_t")
    if magnitude.input_gain < 1:
        return Condition(
            name, False, "torch does not dampen the first gradient, all others it does"
        )
    return Condition(name, True, "the filter's input is the gradient itself")


def _constant_gamma(latent: LatentFilter) -> Condition:
    name, magnitude = "constant_gamma", latent.magnitude
    moves = magnitude.coupled and magnitude.momentum > 0 and magnitude.weight_decay > 0
    if moves and magnitude.learning_rate_decay != "constant":
        return Condition(
            name, False, "with weight decay inside the momentum, a schedule moves gamma too"
        )
    return Condition(
        name,
        True,
        f"gamma is {1 - magnitude.momentum:.3g} throughout"
        if not moves
        else "the learning rate is constant, hence so is gamma",
    )


def clip_inactive(
    latent: LatentFilter, *, steps: int | None, gradient_max: float | None
) -> Condition:
    """Whether the clip can never be reached.

    With weight decay |w| <= G max(|w0|, g_max / lambda), G the filter's gain bound (1 for real
    filters of the bare gradient); without, |w| <= |w0| + g_max sum(eta) / (1 - mu) for a
    heavy-ball buffer.
    """
    name, magnitude = "clip_inactive", latent.magnitude
    clip, start = magnitude.clip, magnitude.init_scale
    if clip == math.inf:
        return Condition(name, True, "there is no clip")
    if clip < start:
        return Condition(
            name, False, f"the clip {clip:.3g} lies below the initial weights' bound {start:.3g}"
        )
    reach = latent.reach(steps)
    if reach is None:
        return Condition(name, None, f"whether |w| stays below {clip:.3g} is not known beforehand")
    allowed = 0.0 if clip < reach.of_start else (clip - reach.rest) / reach.of_gradient
    if gradient_max is None:
        return Condition(name, None, f"it holds while every |gradient| <= {allowed:.3g}")
    holds = gradient_max <= allowed
    relation = "<=" if holds else ">"
    return Condition(
        name, holds, f"the largest |gradient| {gradient_max:.3g} {relation} {allowed:.3g}"
    )


def scaling_off(scaling: bool) -> Condition:
    """Whether the forward pass uses bare signs."""
    if not scaling:
        return Condition("scaling_off", True, "the forward pass uses the bare signs")
    return Condition(
        "scaling_off",
        False,
        "mean|w| moves with w and divides each channel's gradient (exactly so only where batch "
        "norm's eps is 0)",
    )


def start_forgotten(latent: LatentFilter, *, steps: int | None) -> Condition:
    """Whether the initial weights cannot delay a flip: they fade, or are next to nothing.

    They fade if their share of s falls to one percent within the run. They are next to nothing if

        |w0| <= 1e-20 step,   step = eta (1 - mu) decoupled, eta (1 - dampening) coupled

    ``step`` being how far a gradient of 1 moves w at the first step. A first gradient above 2e-12
    then makes float32 round w0 away: from there on the run is bit for bit the one from w0 = 0.
    Not so with channel scaling, where w0 sets the gradient's own size, nor where w diverges.
    """
    name, magnitude = "start_forgotten", latent.magnitude
    worth = _worth_of_start(latent)
    if worth <= NEGLIGIBLE and latent.stable and not magnitude.scaling:
        return Condition(
            name, True, f"the start weighs no more than a first step of gradient {worth:.1g}"
        )
    if magnitude.weight_decay == 0:
        first_steps = magnitude.init_scale / magnitude.learning_rate
        return Condition(
            name,
            False,
            "without weight decay the start never fades: it weighs up to "
            f"{first_steps:.3g} first steps of unit gradient",
        )
    forgotten = latent.steps_until(FORGOTTEN, steps)
    if forgotten is None:
        return Condition(name, False, "the start's weight stays above 1% throughout")
    after = f"the start's weight is below 1% after {forgotten} steps"
    if steps is None:
        return Condition(name, None, f"{after}; the number of steps is not given")
    if latent.filter is None and latent.magnitude.learning_rate_decay != "constant":
        return Condition(name, None, f"at the first step's rate {after}")
    return Condition(name, forgotten <= steps, f"{after}, the run has {steps}")


def _worth_of_start(latent: LatentFilter) -> float:
    """The gradient whose first step moves w by init_scale; inf if no gradient moves w."""
    magnitude = latent.magnitude
    gain = magnitude.input_gain if magnitude.coupled else 1 - magnitude.momentum
    step = magnitude.learning_rate * gain
    return magnitude.init_scale / step if step > 0 else math.inf


def not_inert(alpha: float | None, *, steps: int | None) -> Condition:
    """Whether the run is long enough for alpha to matter: alpha >= 0.1 / T."""
    name = "alpha_not_inert"
    if alpha is None:
        return Condition(name, None, "there is no real alpha")
    if steps is None:
        return Condition(name, None, f"it holds in runs of at least {INERT / alpha:.3g} steps")
    floor = INERT / steps
    relation = ">=" if alpha >= floor else "<"
    return Condition(name, alpha >= floor, f"alpha {alpha:.3g} {relation} 0.1/T = {floor:.3g}")


def knobs_of_latent_sgd(
    latent: LatentFilter, conditions: tuple[Condition, ...]
) -> tuple[Knob, ...]:
    """Which of the seven magnitude knobs are redundant for this configuration, and why."""
    holds = {condition.name: condition for condition in conditions}
    magnitude = latent.magnitude
    decay, squared = magnitude.weight_decay, magnitude.scaling
    start, clip = holds["start_forgotten"], holds["clip_inactive"]
    if decay > 0:
        factors = (
            f"learning rate by {decay:.3g}, init scale and clip by {math.sqrt(decay):.3g}"
            if squared
            else f"learning rate, init scale and clip by {decay:.3g}"
        )
        exactly = " where batch norm's eps is 0" if squared else ""
        weight_decay = Knob(
            "weight_decay", True, f"set it to 1 and multiply {factors}: no sign changes{exactly}"
        )
        init_scale = Knob("init_scale", start.holds, start.why)
    else:
        weight_decay = Knob("weight_decay", False, "at 0, alpha falls like 1/t")
        init_scale = Knob(
            "init_scale",
            True,
            "set it to 1 and rescale learning rate and clip with it: no sign changes",
        )
    return (
        init_scale,
        Knob(
            "learning_rate",
            False,
            "it makes alpha: only its product with weight decay acts"
            if decay > 0
            else "its ratio to the init scale sets how fast alpha falls",
        ),
        Knob("learning_rate_decay", False, "it makes alpha's decay"),
        Knob("clip", clip.holds, clip.why),
        Knob("scaling", not squared, holds["scaling_off"].why),
        Knob("momentum", False, "it makes gamma" if latent.filter else "it damps the ringing"),
        weight_decay,
    )
