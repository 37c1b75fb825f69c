"""Weight magnitudes and gradient filters: what maps to what, exactly, and under which conditions.

``describe`` is what a trial records; the rest is what it is made of. Plain float arithmetic.

Source: the idea is Quist et al. (2023), arXiv:2303.02452; the maps are derived in the tests.
"""

from tuner.optim.equivalence.conditions import Condition, Knob
from tuner.optim.equivalence.filter_record import FilterRecord, FilterSchedule
from tuner.optim.equivalence.latent_filter import LatentFilter, Reach
from tuner.optim.equivalence.law import (
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
    steps_until,
)
from tuner.optim.equivalence.linear import Linear, linear_filter
from tuner.optim.equivalence.magnitude import (
    Invariants,
    Magnitude,
    canonical,
    invariants,
    rescale,
)
from tuner.optim.equivalence.maps import (
    AlphaGamma,
    Section,
    Sgd,
    bop_from_filter,
    coupled_from_filter,
    coupled_from_section,
    decoupled_from_filter,
    filter_from_bop,
    filter_from_coupled,
    filter_from_decoupled,
    real_bound,
    section_from_coupled,
    section_from_decoupled,
    section_from_filter,
)
from tuner.optim.equivalence.record import describe
from tuner.optim.equivalence.responses import Responses, horizon, responses
from tuner.optim.equivalence.scheduled import (
    Averages,
    Filters,
    alphas_from_decoupled,
    coupled_from_filters,
    decoupled_from_alphas,
    filters_from_coupled,
    learning_rates,
)
from tuner.optim.equivalence.start import describe_from_real, firmness

__all__ = [
    "AlphaGamma",
    "Averages",
    "Condition",
    "FilterRecord",
    "FilterSchedule",
    "Filters",
    "Invariants",
    "Knob",
    "LatentFilter",
    "Linear",
    "Magnitude",
    "Reach",
    "Responses",
    "Section",
    "Sgd",
    "alphas_from_decoupled",
    "bop_from_filter",
    "canonical",
    "coupled_from_filter",
    "coupled_from_filters",
    "coupled_from_section",
    "decoupled_from_alphas",
    "decoupled_from_filter",
    "describe",
    "describe_from_real",
    "filter_from_bop",
    "filter_from_coupled",
    "filter_from_decoupled",
    "filters_from_coupled",
    "firmness",
    "flip_ratio",
    "flip_ratio_of_sections",
    "flip_ratio_of_slots",
    "forgets",
    "frequency_response",
    "gain_bound",
    "half_life_steps",
    "horizon",
    "invariants",
    "learning_rates",
    "linear_filter",
    "noise_gain",
    "pole_modulus",
    "poles",
    "real_bound",
    "rescale",
    "responses",
    "section_from_coupled",
    "section_from_decoupled",
    "section_from_filter",
    "steps_until",
]
