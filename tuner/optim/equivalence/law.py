"""What a linear filter does to gradients: flip ratio, memory, gain, frequency response."""

import cmath
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tuner.errors import InvalidInput
from tuner.optim.designed import slots
from tuner.optim.designed.prototypes import Array
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
    _check_stable(sos)
    ratio = flip_ratio_of_slots(slots.of_sections(np.asarray(sos, dtype=np.float64)))
    require(ratio is not None, "sos", "the filter must not be zero", np.asarray(sos).tolist())
    return float(ratio or 0.0)


def flip_ratio_of_slots(numbers: Array) -> float | None:
    """As ``flip_ratio_of_sections``, of slots of any memory; None if the filter is zero.

    Args:
        numbers: Slots, shape [S, 8].
    """
    change, enters, seen, feed = state_space(numbers)
    spread = _covariance(change, enters)
    variance = seen @ spread @ seen + feed * feed
    if not variance > 0:
        return None
    moved = seen @ change
    difference = moved @ spread @ moved + (seen @ enters - feed) ** 2 + feed * feed
    return _flips(float(difference / (2 * variance)))


def noise_gain(numbers: Array) -> float:
    """Variance of s under white noise of variance 1: the sum of squares of the impulse response.

    Args:
        numbers: Slots, shape [S, 8].
    """
    change, enters, seen, feed = state_space(numbers)
    return float(seen @ _covariance(change, enters) @ seen + feed * feed)


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
    return response_of_slots(slots.of_sections(np.asarray(sos, dtype=np.float64)), f)


def response_of_slots(numbers: Array, frequencies: Array) -> NDArray[np.complex128]:
    """As ``frequency_response``, of slots of any memory.

    Args:
        numbers: Slots, shape [S, 8].
        frequencies: In cycles per step, shape [F].
    """
    delta = np.expm1(2j * math.pi * frequencies)  # z - 1
    response: NDArray[np.complex128] = np.ones_like(delta)
    for feed, out, b, a, c, d, e, order in numbers:
        if order == 0:
            response = response * feed
        elif order == 1:
            response = response * (feed + out * b / (delta + a))
        else:
            response = response * (
                feed + out * (b * delta + c * d) / (delta * (delta + a) + c * e)
            )
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


def forgets(numbers: Array) -> float:
    """1 minus the largest pole's modulus, of slots of any memory: s forgets by that a step.

    Args:
        numbers: Slots, shape [S, 8].
    """
    change, *_ = state_space(numbers)
    if not change.size:
        return 1.0
    poles_from_one = np.linalg.eigvals(change)
    square = 2 * poles_from_one.real + abs(poles_from_one) ** 2  # |pole|^2 - 1
    return float((-square / (1 + np.sqrt(1 + square))).min())


def state_space(numbers: Array) -> tuple[Array, Array, Array, float]:
    """A filter in slots as its state's change, what enters, what is seen of it, and the feed.

    z_t = z_{t-1} + change z_{t-1} + enters g_t,   s_t = seen z_{t-1} + feed g_t.

    What is small, a change at a step, is never the difference of large numbers.
    """
    size = int(numbers[:, slots.ORDER].sum())
    change, enters = np.zeros((size, size)), np.zeros(size)
    seen, feed, at = np.zeros(size), 1.0, 0
    for own_feed, out, b, a, c, d, e, order in numbers:
        for row, (of_input, of_w) in enumerate([(b, -a), (d, -e)][: int(order)], start=at):
            change[row], enters[row] = of_input * seen, of_input * feed
            change[row, at] += of_w
        seen, feed = own_feed * seen, own_feed * feed
        if order:
            seen[at] += out
        if order == 2:
            change[at, at + 1] += c
        at += int(order)
    return change, enters, seen, feed


def _covariance(change: Array, enters: Array) -> Array:
    """Covariance P of the state under unit white noise.

    change P + P change' + change P change' = -enters enters', Lyapunov's equation.
    """
    one = np.eye(len(change))
    system = np.kron(change, one) + np.kron(one, change) + np.kron(change, change)
    return np.linalg.solve(system, -np.outer(enters, enters).ravel()).reshape(change.shape)
