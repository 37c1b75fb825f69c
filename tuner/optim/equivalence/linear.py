"""Any rule's settings as the linear filter that they are, or are closest to, in slots."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tuner.errors import InvalidInput
from tuner.optim.designed import slots
from tuner.optim.designed.prototypes import Array, design_of
from tuner.optim.designed.sections import check_low_pass
from tuner.optim.equivalence.maps import AlphaGamma, section_from_filter
from tuner.optim.equivalence.record import describe
from tuner.rules import Setting, complete

ADAM_EPS = 1e-8
"""What Adam adds to the root of its second moment."""

_OF_WEIGHTS = ("learning_rate_decay", "init_scale", "clip", "scaling")
_BROKEN = ("clip_inactive", "scaling_off")


@dataclass(frozen=True)
class Linear:
    """A linear filter of the gradients.

    Args:
        numbers: Its slots, shape [S, 8].
        notes: What of the settings it leaves out, a sentence each.
    """

    numbers: Array
    notes: tuple[str, ...] = ()


def linear_filter(
    rule: str,
    settings: Mapping[str, Setting],
    *,
    steps: int | None = None,
    second_moment: float | None = None,
) -> Linear:
    """The filter of the gradients that settings are, at the first step's rate.

    Adam is that of SGD whose rate is divided by the root of the second moment, where it stays.

    Args:
        rule: A name in ``tuner.rules.RULES``.
        settings: The rule's hyperparameters; absent ones take defaults.
        steps: Length of the run, where a memory is a share of it.
        second_moment: Mean square of the gradients, positive: what Adam divides by.

    Raises:
        UnknownName: If the rule or a hyperparameter does not exist.
        InvalidInput: If a value is out of range or missing, or the filter is unstable or no
            low-pass; in a sentence.
    """
    full = complete(rule, settings)
    if rule in ("latent_adam", "latent_adamw"):
        sgd = _sgd_of_adam(full, second_moment, decoupled=rule == "latent_adamw")
        return linear_filter("latent_sgd", sgd, steps=steps)
    notes = [
        f"shown as at the first step: {name.replace('_', ' ')} is {value}"
        for name, value in full.items()
        if isinstance(value, str) and name.endswith("_decay") and value != "constant"
    ]
    if rule == "designed_filter":
        if full["memory_unit"] == "runs" and steps is None:
            raise InvalidInput(
                "designed_filter.memory is a share of the run; say how long that is: --steps N"
            )
        design = design_of(full, steps or 1)
        return Linear(slots.at_cutoff(design, 1 / design.memory), tuple(notes))
    if full.get("tau"):
        notes.append(f"shown without the threshold {full['tau']:g}, which no linear filter has")
        full["tau"] = 0.0
    record = describe(rule, full, steps)
    notes += [each.why for each in record.conditions if each.name in _BROKEN and not each.holds]
    sos = record.sos
    if sos is None and record.alpha is not None and record.gamma is not None:
        notes.append("without weight decay alpha falls like 1/t; shown as at the first step")
        sos = (section_from_filter(AlphaGamma(record.alpha, record.gamma)),)
    if sos is None:
        why = next(each.why for each in record.conditions if each.name == "real_filter")
        raise InvalidInput(f"{rule}: these settings are no filter: {why}")
    return Linear(slots.of_sections(check_low_pass(sos, rule)), tuple(notes))


def _sgd_of_adam(
    full: Mapping[str, Setting], second_moment: float | None, *, decoupled: bool
) -> dict[str, Setting]:
    """Latent SGD whose latent weight is Adam's while the second moment stays where it is."""
    decay, beta1 = float(full["weight_decay"]), float(full["beta1"])
    if second_moment is None and decoupled and decay > 0:
        second_moment = 1.0  # it is the size of w alone, which no sign knows
    if second_moment is None or not 0 < second_moment < math.inf:
        raise InvalidInput(
            "Adam divides by the root of the gradients' mean square; give it, "
            f"--second-moment 1e-6 for example, positive and finite, got {second_moment}"
        )
    size = math.sqrt(second_moment) + ADAM_EPS
    shared = {
        name: full[name] for name in ("learning_rate_decay", "init_scale", "clip", "scaling")
    }
    return {
        **shared,
        "learning_rate": float(full["learning_rate"]) / size,
        "weight_decay": decay * size if decoupled else decay,
        "momentum": beta1,
        "coupled": not decoupled,
        "dampening": 0.0 if decoupled else beta1,
    }
