"""Where a rule that averages gradients begins if its weights were real before."""

import math
from collections.abc import Mapping
from dataclasses import replace

from tuner.optim.equivalence import law
from tuner.optim.equivalence.conditions import FORGOTTEN, Condition
from tuner.optim.equivalence.filter_record import FilterRecord
from tuner.optim.equivalence.linear import linear_filter
from tuner.optim.equivalence.record import describe
from tuner.rules import Setting, complete

_SETTLED = "every average at -sigma sqrt(G) w / rms(w)"
_AVERAGING = ("filter_flip", "designed_filter", "bop", "bop2nd_order", "target_flip_ratio")
"""The rules that ``flip.Flipping.settle`` has something to do for."""


def firmness(rule: str, settings: Mapping[str, Setting], steps: int) -> float:
    """How far s spreads under white noise of variance 1: the root of the noise gain.

    Args:
        rule: One that averages gradients.
        settings: The rule's hyperparameters.
        steps: Length of the run.
    """
    if rule == "target_flip_ratio":  # of the alpha that the law begins with
        ratio = min(0.5, float(complete(rule, settings)["flip_ratio"]))
        rule, settings = "filter_flip", {"alpha": 2 * math.sin(math.pi * ratio / 2) ** 2}
    return math.sqrt(law.noise_gain(linear_filter(rule, settings, steps=steps).numbers))


def describe_from_real(rule: str, settings: Mapping[str, Setting], steps: int) -> FilterRecord:
    """As ``describe``, of a run whose weights were real before, w.

    sigma is the root mean square of the gradients that w had at last, G the filter's noise gain:
    s begins as far from 0 as gradients of that size will spread it.

    Args:
        rule: As for ``describe``.
        settings: As for ``describe``.
        steps: Length of the run from there on.
    """
    record = describe(rule, settings, steps)
    if rule not in _AVERAGING:
        return record
    name = "start_forgotten"
    half_life = record.half_life_steps
    forgotten = None if half_life is None else math.ceil(half_life * -math.log2(FORGOTTEN))
    why = "how long the real weights last is not known"
    if forgotten is not None:
        why = f"the real weights' part is below 1% after {forgotten} steps, the run has {steps}"
    begun = Condition(name, None if forgotten is None else forgotten <= steps, why)
    others = tuple(each for each in record.conditions if each.name != name)
    return replace(record, start_state=_SETTLED, start_bound=None, conditions=(*others, begun))
