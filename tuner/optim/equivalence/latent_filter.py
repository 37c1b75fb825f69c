"""Latent SGD with given settings, solved: its filter, its direct form, how far w can go."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tuner.optim.equivalence import maps
from tuner.optim.equivalence.law import gain_bound, pole_modulus, steps_until
from tuner.optim.equivalence.magnitude import Magnitude
from tuner.optim.equivalence.maps import AlphaGamma, Section
from tuner.optim.equivalence.scheduled import (
    Filters,
    alphas_from_decoupled,
    filters_from_coupled,
    learning_rates,
)


@dataclass(frozen=True)
class Reach:
    """A bound on latent weights: |w| <= max(of_start, rest + of_gradient * max|g|)."""

    of_start: float
    rest: float
    of_gradient: float


@dataclass(frozen=True)
class LatentFilter:
    """The filter that latent SGD is, judged at the first step's learning rate.

    Args:
        magnitude: Latent SGD's settings.
    """

    magnitude: Magnitude

    @cached_property
    def filter(self) -> AlphaGamma | None:
        """The real filter, None if there is none.

        Without weight decay it is the first step's, with N_0 = init_scale: s0 = -w0 / init_scale.
        """
        given = self.magnitude
        if given.input_gain == 0:
            return None
        if given.weight_decay == 0:
            rate = given.learning_rate * self.buffer_gain
            return AlphaGamma(rate / (given.init_scale + rate), 1 - given.momentum)
        if not given.coupled:
            return maps.filter_from_decoupled(given.product, given.momentum)
        return maps.filter_from_coupled(given.product, given.momentum, nesterov=given.nesterov)

    @property
    def alpha(self) -> float | None:
        """The filter's alpha at the first step."""
        return None if self.filter is None else self.filter.alpha

    @cached_property
    def section(self) -> Section | None:
        """The direct form; None without weight decay or input, where there is no fixed one."""
        given = self.magnitude
        if given.product == 0:
            return None
        if not given.coupled:
            return maps.section_from_decoupled(given.product, given.momentum)
        return maps.section_from_coupled(given.product, given.momentum, nesterov=given.nesterov)

    @property
    def buffer_gain(self) -> float:
        """What the momentum buffer makes of a constant gradient: 1 for an average."""
        given = self.magnitude
        return given.input_gain / (1 - given.momentum) if given.coupled else 1.0

    @property
    def modulus(self) -> float | None:
        """The slowest pole's modulus, 1 - alpha for real filters; None without weight decay."""
        if self.section is None:
            return None
        if self.filter is not None:
            return 1 - min(self.filter.alpha, self.filter.gamma)
        return pole_modulus([self.section])

    @property
    def stable(self) -> bool:
        """Whether bounded gradients keep s bounded."""
        return self.modulus is None or self.modulus < 1

    @property
    def start_bound(self) -> float:
        """The largest |s0|: lambda |w0|, or 1 without weight decay."""
        given = self.magnitude
        return given.weight_decay * given.init_scale if given.weight_decay > 0 else 1.0

    def sequence(self, steps: int) -> Filters | None:
        """alpha_t and gamma_t of every step of the run; None where no real filter exists."""
        given = self.magnitude
        if self.filter is None:
            return None
        rates = learning_rates(given.learning_rate, given.learning_rate_decay, steps)
        if given.weight_decay > 0 and given.coupled:
            return filters_from_coupled(
                rates,
                given.weight_decay,
                given.momentum,
                nesterov=given.nesterov,
                dampening=given.dampening,
                first_alpha=self.filter.alpha,
            )
        if given.weight_decay > 0:
            alphas = rates * given.weight_decay
        else:
            norm = given.init_scale
            alphas = alphas_from_decoupled(rates * self.buffer_gain, 0.0, start_norm=norm).alpha
        return Filters(alphas, np.full(steps, self.filter.gamma))

    def steps_until(self, share: float, steps: int | None) -> int | None:
        """Steps until the start's weight in s has fallen to ``share``.

        Under a schedule of known length it is None if that does not happen within the run.
        """
        if self.modulus is None or not self.stable:
            return None
        constant = self.magnitude.learning_rate_decay == "constant"
        if constant or steps is None or self.filter is None:
            return math.ceil(steps_until(share, 1 - self.modulus))
        filters = self.sequence(steps)
        if filters is None:
            return None
        slow = np.minimum(filters.alpha, filters.gamma)
        below = np.flatnonzero(np.cumprod(1 - slow) <= share)
        return int(below[0]) + 1 if len(below) else None

    def reach(self, steps: int | None) -> Reach | None:
        """A bound on |w| over the run; None where none is known."""
        given = self.magnitude
        if given.input_gain == 0 or not self.stable:
            return None
        if given.weight_decay == 0:
            if steps is None:
                return None
            rates = learning_rates(given.learning_rate, given.learning_rate_decay, steps)
            gain = 1 / (1 - given.momentum) if given.coupled else 1.0
            return Reach(given.init_scale, given.init_scale, gain * float(rates.sum()))
        constant = given.learning_rate_decay == "constant"
        if self.filter is not None:
            gain = 1 + 2 * given.momentum if given.nesterov else 1.0
        elif constant and self.section is not None:
            gain = gain_bound(self.section)
        else:
            return None
        if given.momentum > 0:
            gain *= (1 + given.dampening) / (1 - given.dampening)
        return Reach(gain * given.init_scale, 0.0, gain / given.weight_decay)
