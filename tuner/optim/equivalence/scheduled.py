"""Exact maps step by step, for any schedule of learning rate and weight decay, both ways.

Sequences are arrays of shape [T], one entry per step, the first step first.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InvalidInput
from tuner.optim.decay import factor
from tuner.optim.equivalence.magnitude import require

PerStep = NDArray[np.float64]
"""One number per step, shape [T]."""
Numbers = Sequence[float] | PerStep | float


class Filters(NamedTuple):
    """A filter that changes at every step: alpha_t and gamma_t, each of shape [T]."""

    alpha: PerStep
    gamma: PerStep


class Averages(NamedTuple):
    """alpha_t and the norms N_t with s_t = -w_t / N_t, each of shape [T]."""

    alpha: PerStep
    norm: PerStep


def learning_rates(peak: float, decay: str, steps: int) -> PerStep:
    """The learning rate of every step, shape [T]: peak * factor(decay, t, T)."""
    return peak * np.array([factor(decay, step, steps) for step in range(steps)])


def alphas_from_decoupled(
    rates: Numbers, weight_decays: Numbers, *, start_norm: float
) -> Averages:
    """The alphas of decoupled SGD, for any learning rates and weight decays, none included.

    N_t = (1 - eta_t lambda_t) N_{t-1} + eta_t;  alpha_t = eta_t / N_t;  gamma = 1 - mu

    The filter's start state is s0 = -w0 / N_0, m0 = 0. Any N_0 > 0 is exact. With a constant
    lambda and N_0 = 1/lambda it stays there, and alpha_t = eta_t lambda. Without weight decay
    N_t = N_0 + sum of eta: alpha falls like 1/t, it is not 0.

    Args:
        rates: eta_t, shape [T], positive.
        weight_decays: lambda_t, shape [] or [T], at least 0, with eta_t lambda_t <= 1.
        start_norm: N_0, positive.

    Raises:
        InvalidInput: If a value is outside its range.
    """
    eta, decay = _pair(rates, weight_decays, "learning rates", "weight decays")
    require(0 < start_norm < math.inf, "start_norm", "must be positive and finite", start_norm)
    product = eta * decay
    _each(product <= 1, "eta_t lambda_t", "must be at most 1", product)
    norms = np.empty_like(eta)
    norm = start_norm
    for t in range(len(eta)):
        norm = (1 - product[t]) * norm + eta[t]
        norms[t] = norm
    return Averages(eta / norms, norms)


def decoupled_from_alphas(
    alphas: Numbers, weight_decays: Numbers, *, start_norm: float
) -> PerStep:
    """Inverse of ``alphas_from_decoupled``: the learning rates, shape [T], that give these alphas.

    N_t = N_{t-1} / (1 - alpha_t + alpha_t lambda_t N_{t-1});  eta_t = alpha_t N_t

    Without weight decay a constant alpha takes a learning rate that grows by 1/(1 - alpha) a step.

    Args:
        alphas: alpha_t, shape [T], in (0, 1], and below 1 where lambda_t is 0.
        weight_decays: lambda_t, shape [] or [T], at least 0.
        start_norm: N_0, positive.

    Raises:
        InvalidInput: If a value is outside its range.
    """
    alpha, decay = _pair(alphas, weight_decays, "alphas", "weight decays")
    require(0 < start_norm < math.inf, "start_norm", "must be positive and finite", start_norm)
    reached = (alpha < 1) | ((alpha == 1) & (decay > 0))
    _each(reached, "alphas", "must be in (0, 1], and below 1 without weight decay", alpha)
    norm = start_norm
    rates = np.empty_like(alpha)
    for t in range(len(alpha)):
        norm = norm / (1 - alpha[t] + alpha[t] * decay[t] * norm)
        rates[t] = alpha[t] * norm
    return rates


def filters_from_coupled(
    rates: Numbers,
    weight_decay: float,
    momentum: float,
    *,
    nesterov: bool = False,
    dampening: float = 0.0,
    first_alpha: float | None = None,
) -> Filters | None:
    """The filters of torch.optim.SGD under any schedule (a Riccati recursion).

    a_t = lambda eta_t (1 - dampening);  gamma_t = a_t / alpha_t
    alpha_t = a_t + mu (eta_t / eta_{t-1}) alpha_{t-1} / (1 - alpha_{t-1})

    With nesterov, eta_t / eta_{t-1} becomes eta_t / eta_{t-1} - a_t, on (1 + mu) g_t - mu g_{t-1}.
    Start state m0 = s0 = -lambda w0 (and g_0 = s0 with nesterov).

    Args:
        rates: eta_t, shape [T], positive.
        weight_decay: lambda, positive.
        momentum: mu, in [0, 1).
        nesterov: Whether the momentum is Nesterov's.
        dampening: In [0, 1).
        first_alpha: alpha_1, by default a_1 (so gamma_1 = 1). Any value from a_1 up is exact;
            the small root of ``filter_from_coupled`` makes constant rates a constant filter.

    Returns:
        alpha_t and gamma_t, all in (0, 1], or None if they leave it: no real filter exists.

    Raises:
        InvalidInput: If a value is outside its range.
    """
    eta, decay = _pair(rates, weight_decay, "learning rates", "weight decay")
    require(weight_decay > 0, "weight_decay", "must be positive", weight_decay)
    require(0 <= momentum < 1, "momentum", "must be in [0, 1)", momentum)
    require(0 <= dampening < 1, "dampening", "must be in [0, 1)", dampening)
    product = eta * decay * (1 - dampening if momentum > 0 else 1.0)
    alphas = np.empty_like(eta)
    alphas[0] = product[0] if first_alpha is None else first_alpha
    for t in range(1, len(eta)):
        before = alphas[t - 1]
        if not 0 < before < 1 and momentum > 0:
            return None
        carried = eta[t] / eta[t - 1] - (product[t] if nesterov else 0.0)
        alphas[t] = product[t]
        if momentum > 0:
            alphas[t] += momentum * carried * before / (1 - before)
    gammas = product / alphas
    real = ((alphas > 0) & (alphas <= 1) & (gammas > 0) & (gammas <= 1 + 1e-12)).all()
    return Filters(alphas, np.minimum(gammas, 1.0)) if real else None


def coupled_from_filters(filters: Filters) -> tuple[PerStep, PerStep]:
    """Inverse of ``filters_from_coupled``: eta_t lambda and mu_t, each of shape [T].

    eta_t lambda = alpha_t gamma_t;  mu_t = gamma_{t-1} (1 - gamma_t)(1 - alpha_{t-1}) / gamma_t

    A filter with constant gamma and a decaying alpha so takes torch's SGD a decaying learning rate
    and a momentum that rises to 1 - gamma. The first momentum acts on an empty buffer; it is
    given as (1 - alpha_1)(1 - gamma_1).

    Raises:
        InvalidInput: If an alpha or a gamma is outside (0, 1], or their lengths differ.
    """
    alpha, gamma = _pair(filters.alpha, filters.gamma, "alphas", "gammas")
    _each(alpha <= 1, "alphas", "must be in (0, 1]", alpha)
    _each((0 < gamma) & (gamma <= 1), "gammas", "must be in (0, 1]", gamma)
    before_alpha = np.concatenate([alpha[:1], alpha[:-1]])
    before_gamma = np.concatenate([gamma[:1], gamma[:-1]])
    return alpha * gamma, before_gamma * (1 - gamma) * (1 - before_alpha) / gamma


def _each(holds: NDArray[np.bool_], place: str, rule: str, values: PerStep) -> None:
    """Refuse the first value, by its step, of which the rule does not hold."""
    if not holds.all():
        step = int(np.argmin(holds))
        raise InvalidInput(f"{place}: {rule}, got {values[step]:.6g} at step {step + 1}")


def _pair(first: Numbers, second: Numbers, name: str, other: str) -> tuple[PerStep, PerStep]:
    """Both as arrays of shape [T]: the first positive, the second at least 0, all finite."""
    values = np.atleast_1d(np.asarray(first, dtype=np.float64))
    others = np.asarray(second, dtype=np.float64)
    require(values.ndim == 1 and values.size > 0, name, "must have shape [T]", values.shape)
    fits = others.shape in ((), values.shape)
    require(fits, other, f"must have shape [] or {values.shape}", others.shape)
    others = np.broadcast_to(others, values.shape)
    _each((0 < values) & (values < math.inf), name, "must be positive and finite", values)
    _each((others >= 0) & (others < math.inf), other, "must be at least 0 and finite", others)
    return values, others
