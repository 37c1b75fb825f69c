"""Low-pass filters of order 1 to 4, by family, cut off at an angular frequency of 1. No torch.

A prototype is a filter of continuous time, H(0) = 1 and |H(i)|^2 = 1/2, as sections

    (1 + n2 s^2) / (1 + d1 s + d2 s^2)    or, where the order is odd, one of    1 / (1 + d1 s)

``slots.of_design`` puts it on steps, at any cut-off.

Source: scipy.signal's ``buttap``, ``besselap`` and ``cheb1ap`` have the same poles.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.polynomial import polynomial
from numpy.typing import NDArray

from tuner.rules import Setting

Array = NDArray[np.float64]
Poles = NDArray[np.complex128]

RIPPLE_DB = 1.0
"""Of the Chebyshev family: how far the gain varies below the cut-off, in decibels."""

N2, D2, D1, THETA, SCALE, ORDER = range(6)
"""A section's row.

``THETA`` says how s is put on steps (``slots.of_design``), ``SCALE`` multiplies the cut-off, and
``ORDER`` is 2, 1, or 0 where a row only fills up a batch.
"""

BILINEAR, BACKWARD = 0.5, 1.0
"""The two values of ``THETA``."""


class Design(NamedTuple):
    """What ``DesignedFilter`` takes of a trial's settings.

    Args:
        family: One of ``tuner.rules.FAMILIES``.
        order: 1 to 4.
        memory: In steps, at least 1.
        damping: Of the damped family.
    """

    family: str
    order: int
    memory: float
    damping: float


def design_of(full: Mapping[str, Setting], steps: int) -> Design:
    """The design that settings of ``designed_filter`` ask for.

    Args:
        full: The settings in full.
        steps: Length of the run. A share of it that is less than a step is a step.
    """
    memory = float(full["memory"])
    if full["memory_unit"] == "runs":
        memory = max(1.0, memory * steps)
    return Design(str(full["family"]), int(full["order"]), memory, float(full["damping"]))


@lru_cache(maxsize=1024)
def prototype(family: str, order: int, damping: float) -> Array:
    """The sections of a family's filter, rows of N2 to ORDER, shape [(order + 1) // 2, 6].

    ema: moving averages in a row, all with the same alpha, put on steps as such.
    butterworth: flattest below the cut-off. bessel: flattest delay, next to no overshoot.
    chebyshev1: steepest, its gain varies by 1 decibel below the cut-off.
    moving_average: the mean of the newest gradients, each weighing the same. One that is exact
    keeps all of them; this is its Padé approximation of that order, which keeps ``order`` numbers.
    damped: pairs of poles with that damping (1: critically damped, below: it rings, above: two
    averages of different rates), and one pole beside them where the order is odd.

    Args:
        family: One of ``tuner.rules.FAMILIES``.
        order: How many poles, 1 to 4.
        damping: Of the damped family, positive.
    """
    if family == "ema":
        rows = _sections(-np.ones(order, dtype=complex))
        rows[:, [THETA, SCALE]] = BACKWARD, 1 / math.sqrt(2 ** (1 / order) - 1)
    else:
        poles, n2 = _poles(family, order, damping)
        rows = _sections(poles)
        rows[0, N2] = n2
        cutoff = _cutoff(rows)
        rows[:, [N2, D2, D1]] *= (cutoff**2, cutoff**2, cutoff)
    rows.setflags(write=False)
    return rows


def in_words(rows: Array) -> str:
    """Which design a prototype is of, such as "bessel of order 3"; see ``prototype``.

    Args:
        rows: As ``prototype`` makes them, filled up or not.
    """
    rows = rows[rows[:, ORDER] > 0]
    order = int(rows[:, ORDER].sum())
    for family in ("ema", "butterworth", "bessel", "chebyshev1", "moving_average"):
        known = prototype(family, order, 1.0)
        if known.shape == rows.shape and np.allclose(known, rows):
            others = order == 1 and family != "ema"  # all of them have the same single pole
            return f"{'any family but ema' if others else family} of order {order}"
    single, (_, d2, d1) = rows[:, ORDER] == 1, rows.T[:3]
    lead = np.where(single, d1, d2)
    radius = lead.prod() ** (-1 / order)
    total = (np.where(single, 1, d1) / lead).sum() / radius
    damping = (total - order % 2) / (order - order % 2)
    return f"damped of order {order} with damping {damping:.4g}"


def padded(prototypes: Sequence[Array]) -> Array:
    """Prototypes side by side, shape [K, S, 6], filled up to the same number of sections."""
    most = max(map(len, prototypes))
    return np.stack([np.pad(rows, ((0, most - len(rows)), (0, 0))) for rows in prototypes])


def _poles(family: str, order: int, damping: float) -> tuple[Poles, float]:
    """A filter's poles, on any scale, and the square term of its numerator."""
    angles = np.pi * (2 * np.arange(order) + 1) / (2 * order)
    circle = -np.sin(angles) + 1j * np.cos(angles)
    match family:
        case "butterworth":
            return circle, 0.0
        case "chebyshev1":
            width = math.asinh(1 / math.sqrt(10 ** (RIPPLE_DB / 10) - 1)) / order
            return math.sinh(width) * circle.real + 1j * math.cosh(width) * circle.imag, 0.0
        case "bessel":
            return _roots(_delay(order)), 0.0
        case "moving_average":  # (1 - e^-s) / s, with Padé's e^-s = P(-s) / P(s)
            coefficients = _delay(order)
            return _roots(coefficients), 2 * coefficients[3] if order >= 3 else 0.0
    root = np.emath.sqrt(damping**2 - 1)
    pair = [-damping + root, -damping - root]
    return np.array((pair * 2)[: order - order % 2] + [-1.0] * (order % 2), dtype=complex), 0.0


def _delay(order: int) -> Array:
    """Padé's P with e^-s = P(-s) / P(s), lowest power first: Bessel's polynomial, reversed."""
    powers = range(order + 1)
    ways = [math.comb(order, k) * math.factorial(2 * order - k) for k in powers]
    return np.array(ways) / math.factorial(2 * order)


def _roots(coefficients: Array) -> Poles:
    return polynomial.polyroots(coefficients).astype(complex)


def _sections(poles: Poles) -> Array:
    """Sections without zeros that have these poles, put on steps by the bilinear transform."""
    upper = sorted(poles[poles.imag > 1e-9], key=abs)
    reals = sorted(poles[abs(poles.imag) <= 1e-9].real)
    pairs = [(pole, pole.conjugate()) for pole in upper]
    pairs += list(zip(reals[::2], reals[1::2], strict=False))
    rows = [[0, (1 / (p * q)).real, (-(p + q) / (p * q)).real, BILINEAR, 1, 2] for p, q in pairs]
    if len(reals) % 2:
        rows.append([0, 0, -1 / reals[-1], BILINEAR, 1, 1])
    return np.array(rows, dtype=np.float64)


def _cutoff(rows: Array) -> float:
    """The lowest frequency at which |H|^2 is a half: 0 = |denominator|^2 - 2 |numerator|^2."""
    above = below = np.ones(1)
    for n2, d2, d1, *_ in rows:
        above = polynomial.polymul(above, [1, -2 * n2, n2 * n2])
        below = polynomial.polymul(below, [1, d1 * d1 - 2 * d2, d2 * d2])
    roots = polynomial.polyroots(np.trim_zeros(polynomial.polysub(below, 2 * above), "b"))
    squares = roots.real[(abs(roots.imag) < 1e-9 * abs(roots)) & (roots.real > 0)]
    return math.sqrt(squares.min())
