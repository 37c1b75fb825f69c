"""Exact maps between SGD on latent weights and a gradient filter, constant settings, both ways.

The filter of (alpha, gamma) is m = (1 - gamma) m + gamma g;  s = (1 - alpha) s + alpha m.
With s = -lambda w the signs agree at every step, for any gradients, from the start state given
with each map. ``product`` is eta lambda (1 - dampening) throughout: rate and decay act only so.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from tuner.optim.equivalence.magnitude import require

Section = tuple[float, float, float, float, float, float]
"""A second-order section b0, b1, b2, 1, a1, a2 in scipy.signal's convention."""


@dataclass(frozen=True)
class AlphaGamma:
    """A cascade of two exponential moving averages.

    Args:
        alpha: Weight of the newest m in s, in (0, 1].
        gamma: Weight of the newest gradient in m, in (0, 1]; 1 leaves one average.

    Raises:
        InvalidInput: If alpha or gamma is outside (0, 1].
    """

    alpha: float
    gamma: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.alpha <= 1, "filter.alpha", "must be in (0, 1]", self.alpha)
        require(0 < self.gamma <= 1, "filter.gamma", "must be in (0, 1]", self.gamma)


class Sgd(NamedTuple):
    """What of SGD's constant settings decides the signs: eta lambda and mu."""

    product: float
    momentum: float


def check_sgd(product: float, momentum: float) -> None:
    """Refuse a product that is not positive and finite, and a momentum outside [0, 1)."""
    require(0 < product < math.inf, "product", "must be positive and finite", product)
    require(0 <= momentum < 1, "momentum", "must be in [0, 1)", momentum)


def filter_from_decoupled(product: float, momentum: float) -> AlphaGamma | None:
    """The filter of decoupled SGD whose momentum is an average.

    m = mu m + (1 - mu) g;  w = (1 - eta lambda) w - eta m:  alpha = eta lambda, gamma = 1 - mu

    Start state s0 = -lambda w0, m0 = 0. None where eta lambda > 1: each step overshoots 0.
    """
    check_sgd(product, momentum)
    return AlphaGamma(product, 1 - momentum) if product <= 1 else None


def decoupled_from_filter(filter_: AlphaGamma) -> Sgd:
    """Inverse of ``filter_from_decoupled``: eta lambda = alpha, mu = 1 - gamma."""
    return Sgd(filter_.alpha, 1 - filter_.gamma)


def real_bound(momentum: float, *, nesterov: bool = False) -> float:
    """The largest product for which coupled SGD is a filter with real alpha and gamma.

    (1 - sqrt(mu))^2, or ((1 - mu) / (1 + mu))^2 with nesterov momentum.
    """
    require(0 <= momentum < 1, "momentum", "must be in [0, 1)", momentum)
    root = (1 - momentum) / (1 + momentum) if nesterov else 1 - math.sqrt(momentum)
    return root * root


def filter_from_coupled(
    product: float, momentum: float, *, nesterov: bool = False
) -> AlphaGamma | None:
    """The filter of torch.optim.SGD at a constant learning rate.

    alpha and gamma are the small and the large root of x^2 - (1 - mu + a) x + a = 0, so that
    alpha gamma = a and (1 - alpha)(1 - gamma) = mu. With nesterov momentum the middle coefficient
    is 1 - mu + a (1 + mu) and the filter runs on (1 + mu) g_t - mu g_{t-1}.

    Start state m0 = s0 = -lambda w0, and g_0 = s0 with nesterov: the state in which a constant
    gradient -lambda w0 would have left the filter.

    Args:
        product: a = eta lambda (1 - dampening), positive.
        momentum: mu, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.

    Returns:
        The filter, or None above ``real_bound``: use ``section_from_coupled`` there.
    """
    check_sgd(product, momentum)
    if product > real_bound(momentum, nesterov=nesterov):
        return None
    if nesterov:
        total = 1 - momentum + product * (1 + momentum)
        squares = (1 - momentum) ** 2 - product * (1 + momentum) ** 2
        discriminant = (1 - product) * squares
    else:
        total = 1 - momentum + product
        root = math.sqrt(momentum)
        discriminant = ((1 - root) ** 2 - product) * ((1 + root) ** 2 - product)
    gamma = (total + math.sqrt(max(discriminant, 0.0))) / 2
    return AlphaGamma(product / gamma, min(gamma, 1.0))


def coupled_from_filter(filter_: AlphaGamma, *, nesterov: bool = False) -> Sgd:
    """Inverse of ``filter_from_coupled``; every filter is reached except alpha = gamma = 1.

    eta lambda = alpha gamma, mu = (1 - alpha)(1 - gamma), which nesterov divides by
    1 - alpha gamma. alpha and gamma may be exchanged: the order of the averages does not matter.

    Raises:
        InvalidInput: With nesterov, if alpha = gamma = 1, where mu is undetermined.
    """
    product = filter_.alpha * filter_.gamma
    momentum = (1 - filter_.alpha) * (1 - filter_.gamma)
    if nesterov:
        require(product < 1, "filter", "nesterov needs alpha gamma < 1", product)
        momentum /= 1 - product
    return Sgd(product, momentum)


def filter_from_bop(gamma: float) -> AlphaGamma:
    """The filter of Bop with threshold 0: Bop's gamma is alpha, gamma is 1, the start is 0."""
    return AlphaGamma(gamma, 1.0)


def bop_from_filter(filter_: AlphaGamma) -> float:
    """Bop's gamma with threshold 0.

    Raises:
        InvalidInput: If the filter's own gamma is not 1, which Bop does not have.
    """
    require(filter_.gamma == 1, "filter.gamma", "must be 1 for Bop", filter_.gamma)
    return filter_.alpha


def section_from_filter(filter_: AlphaGamma) -> Section:
    """The filter as one second-order section: alpha gamma over (1 - (1 - alpha)/z)(1 - ...)."""
    p, q = 1 - filter_.alpha, 1 - filter_.gamma
    return (filter_.alpha * filter_.gamma, 0.0, 0.0, 1.0, -(p + q), p * q)


def section_from_decoupled(product: float, momentum: float) -> Section:
    """Decoupled SGD in direct form, also where eta lambda is above 1."""
    check_sgd(product, momentum)
    p = 1 - product
    return (product * (1 - momentum), 0.0, 0.0, 1.0, -(p + momentum), p * momentum)


def section_from_coupled(product: float, momentum: float, *, nesterov: bool = False) -> Section:
    """torch.optim.SGD in direct form, which exists for every configuration.

    s_t = (1 + mu - a) s_{t-1} - mu s_{t-2} + a g_t;  with nesterov
    s_t = (1 + mu)(1 - a) s_{t-1} - mu (1 - a) s_{t-2} + a (1 + mu) g_t - a mu g_{t-1}

    Start state s_0 = s_{-1} = g_0 = -lambda w0, ``scipy.signal.sosfilt_zi(sos) * s0``.
    """
    check_sgd(product, momentum)
    if not nesterov:
        return (product, 0.0, 0.0, 1.0, product - 1 - momentum, momentum)
    rest = 1 - product
    b0, b1 = product * (1 + momentum), -product * momentum
    return (b0, b1, 0.0, 1.0, -(1 + momentum) * rest, momentum * rest)


def coupled_from_section(section: Section) -> Sgd:
    """Inverse of ``section_from_coupled``; a section with b1 other than 0 is Nesterov's.

    Raises:
        InvalidInput: If torch.optim.SGD has no such section, to one part in a billion.
    """
    b0, b1 = section[:2]
    product = b0 + b1
    require(product > 0, "section", "b0 + b1 must be positive (it is eta lambda)", product)
    momentum = -b1 / product if b1 else section[5]
    expected = section_from_coupled(product, momentum, nesterov=b1 != 0)
    close = all(map(lambda x, y: math.isclose(x, y, abs_tol=1e-9), section, expected))
    require(close, "section", f"torch's SGD has only sections like {expected}", section)
    return Sgd(product, momentum)
