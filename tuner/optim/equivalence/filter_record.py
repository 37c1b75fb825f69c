"""The gradient filter of a configuration as plain data, and that of a rule that is one itself."""

from dataclasses import dataclass

from tuner.optim.equivalence import law
from tuner.optim.equivalence.conditions import Condition, Knob, not_inert
from tuner.optim.equivalence.maps import AlphaGamma, Section, section_from_filter

CONSTANT = "alpha and gamma constant"
ALPHA_DECAYS = "alpha_t = alpha * factor(t), gamma constant"
COUPLED_DECAYS = (
    "alpha_t and gamma_t both move (Riccati recursion), alpha_t gamma_t = eta_t lambda"
)
NORM_GROWS = "alpha_t = eta_t / (N_0 + sum of eta), gamma constant; N_0 is the init scale"
NO_FILTER = "no real filter, hence no alpha to schedule"


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
        start_bound: The largest |s0|; None where that is not known before the run.
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
    start_bound: float | None
    schedule: FilterSchedule
    conditions: tuple[Condition, ...]
    redundant: tuple[Knob, ...] = ()


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run beside its settings; see ``describe``."""

    steps: int | None
    gradient_max: float | None


def at_rest(
    rule: str,
    filter_: AlphaGamma,
    schedule: FilterSchedule,
    steps: int | None,
    why: str,
    *,
    more: tuple[Condition, ...] = (),
) -> FilterRecord:
    """The record of a rule that is a filter by itself and starts from zero.

    Args:
        rule: Its name.
        filter_: At the first step.
        schedule: How it moves.
        steps: Length of the run; None if not known.
        why: Why it is linear in the gradient.
        more: Conditions beside those of all filters.
    """
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
            *more,
        ),
    )


def without_filter(
    rule: str,
    *,
    half_life_steps: float | None,
    start_state: str,
    start_bound: float,
    schedule: FilterSchedule,
    conditions: tuple[Condition, ...],
) -> FilterRecord:
    """The record of a configuration that is no linear filter of its gradients.

    Args:
        rule: The update rule's name.
        half_life_steps: As in ``FilterRecord``.
        start_state: Likewise.
        start_bound: Likewise.
        schedule: Likewise.
        conditions: Likewise; they say what is missing.
    """
    return FilterRecord(
        rule=rule,
        alpha=None,
        gamma=None,
        real=False,
        half_life_steps=half_life_steps,
        flip_ratio=None,
        sos=None,
        start_state=start_state,
        start_bound=start_bound,
        schedule=schedule,
        conditions=conditions,
    )
