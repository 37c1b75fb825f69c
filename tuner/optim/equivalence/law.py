"""What a linear filter does to gradients: flip ratio, memory, gain, frequency response."""

import cmath
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InvalidInput
from tuner.optim.equivalence.magnitude import require
from tuner.optim.equivalence.maps import AlphaGamma, Section

SecondOrderSections = Sequence[Section] | NDArray[np.float64]
"""Second-order sections one after the other, shape [S, 6]."""


def flip_ratio(filter_: AlphaGamma) -> float:
    """Share of signs that change at each step under white-noise gradients.

    arccos(rho) / pi,   1 - rho = alpha gamma / (1 + (1 - alpha)(1 - gamma))

    rho is the correlation of s_t with s_{t-1}; the share follows for Gaussian gradients, and in
    good approximation for others, since s averages many of them.
    """
    p, q = 1 - filter_.alpha, 1 - filter_.gamma
    return _flips(filter_.alpha * filter_.gamma / (1 + p * q))


def flip_ratio_of_sections(sos: SecondOrderSections) -> float:
    """The flip-rate law for any stable linear filter.

    1 - rho = V((1 - 1/z) H) / (2 V(H)), where V is the output's variance under white noise: the
    step-to-step differences of s have 2 (1 - rho) times the variance of s.

    Args:
        sos: Sections in scipy.signal's convention, shape [S, 6].

    Raises:
        InvalidInput: If a pole lies on or outside the unit circle, or the filter is zero.
    """
    b, a = _polynomials(sos)
    variance = _variance(b, a)
    require(variance > 0, "sos", "the filter must not be zero", np.asarray(sos).tolist())
    return _flips(_variance(np.convolve(b, [1.0, -1.0]), a) / (2 * variance))


def half_life_steps(alpha: float) -> float:
    """Steps after which a gradient's weight in s has halved: ln(1/2)/ln(1 - alpha), ~ ln 2/alpha.

    Args:
        alpha: The smaller of alpha and gamma, in (0, 1].
    """
    return steps_until(0.5, alpha)


def steps_until(share: float, alpha: float) -> float:
    """Steps after which (1 - alpha)^n has fallen to ``share``; 0 for alpha = 1.

    Raises:
        InvalidInput: If share is outside (0, 1) or alpha outside (0, 1].
    """
    require(0 < share < 1, "share", "must be in (0, 1)", share)
    require(0 < alpha <= 1, "alpha", "must be in (0, 1]", alpha)
    return math.log(share) / math.log1p(-alpha) if alpha < 1 else 0.0


def poles(section: Section) -> tuple[complex, complex]:
    """The two poles of one section."""
    _, _, _, a0, a1, a2 = section
    root = cmath.sqrt(a1 * a1 - 4 * a0 * a2)
    far = (-a1 - root) / (2 * a0) if a1 > 0 else (-a1 + root) / (2 * a0)
    return far, (a2 / (a0 * far) if far else 0j)


def pole_modulus(sos: SecondOrderSections) -> float:
    """The largest pole's modulus; the filter is stable below 1, and forgets like modulus^t."""
    return max(abs(pole) for section in sos for pole in poles(tuple(section)))


def gain_bound(section: Section) -> float:
    """A bound on |s| / max|g|, from any past: (|b0| + |b1| + |b2|) / prod(1 - |pole|).

    1 for a real filter on the bare gradient, so s never exceeds the largest gradient.

    Raises:
        InvalidInput: If the section is unstable.
    """
    first, second = (1 - abs(pole) for pole in poles(section))
    _check_stable([section])
    return sum(abs(b) for b in section[:3]) / (first * second)


def frequency_response(
    sos: SecondOrderSections, frequencies: Sequence[float] | NDArray[np.float64]
) -> NDArray[np.complex128]:
    """H(e^{2 pi i f}) of a linear filter, shape [F].

    Args:
        sos: Sections in scipy.signal's convention, shape [S, 6].
        frequencies: f in cycles per step, shape [F], from 0 to the Nyquist frequency 1/2.
    """
    f = np.asarray(frequencies, dtype=np.float64)
    inside = bool(((0 <= f) & (f <= 0.5)).all())
    require(inside, "frequencies", "must be in [0, 0.5] cycles per step", frequencies)
    delay = np.exp(-2j * math.pi * f)
    response: NDArray[np.complex128] = np.ones_like(delay)
    for b0, b1, b2, a0, a1, a2 in sos:
        response = response * (b0 + delay * (b1 + delay * b2)) / (a0 + delay * (a1 + delay * a2))
    return response


def _flips(one_minus_rho: float) -> float:
    """arccos(rho) / pi, exact for rho near 1: arccos(1 - x) = 2 arcsin(sqrt(x / 2))."""
    return 2 * math.asin(math.sqrt(min(one_minus_rho / 2, 1.0))) / math.pi


def _check_stable(sos: SecondOrderSections) -> None:
    for section in sos:
        for pole in poles(tuple(section)):
            if not abs(pole) < 1:
                raise InvalidInput(
                    f"sos is unstable: its pole {pole:.6g} has modulus {abs(pole):.6g} and must "
                    "lie inside the unit circle"
                )


def _polynomials(sos: SecondOrderSections) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numerator and denominator of the whole filter, in powers of 1/z."""
    _check_stable(sos)
    b = a = np.ones(1)
    for section in np.asarray(sos, dtype=np.float64):
        b, a = np.convolve(b, section[:3]), np.convolve(a, section[3:])
    return b, a


def _variance(b: NDArray[np.float64], a: NDArray[np.float64]) -> float:
    """Variance of B(z)/A(z) driven by unit white noise.

    The autocovariances phi of 1/A solve sum_j a_j phi_|k-j| = [k = 0], the Yule-Walker equations;
    then the variance is sum_k c_k phi_|k| with c the autocorrelation of b.
    """
    order = len(a) - 1
    system = np.zeros((order + 1, order + 1))
    for k in range(order + 1):
        for j in range(order + 1):
            system[k, abs(k - j)] += a[j]
    phi = list(np.linalg.solve(system, np.eye(order + 1)[0]))
    while len(phi) < len(b):
        phi.append(-sum(a[j] * phi[len(phi) - j] for j in range(1, order + 1)))
    c = np.correlate(b, b, mode="full")[len(b) - 1 :]
    return float(c[0] * phi[0] + 2 * np.dot(c[1:], phi[1 : len(b)]))
