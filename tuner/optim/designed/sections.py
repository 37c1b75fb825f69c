"""Which second-order sections make a filter that trains. No torch."""

import numpy as np

from tuner.errors import InvalidInput
from tuner.optim.designed.prototypes import Array

LEAST_GAIN = 1e-3
"""A low-pass has at least this gain at frequency 0, as a part of its largest."""

_FREQUENCIES = np.concatenate([[0.0], np.geomspace(1e-7, 0.5, 200)])


def check_low_pass(sos: object, who: str) -> Array:
    """Sections of a filter whose sign trains a weight: causal, stable, a low-pass.

    What a gradient has in common from step to step lies at frequency 0. A filter that takes it
    away leaves noise, whose sign trains nothing; one that turns it round flips uphill.

    Args:
        sos: Sections in scipy.signal's convention, shape [S, 6].
        who: Who was given them, in words.

    Raises:
        InvalidInput: Saying what is wrong with them.
    """
    numbers = np.array(sos, dtype=np.float64)
    if numbers.ndim != 2 or numbers.shape[-1] != 6 or 0 in numbers.shape:
        raise InvalidInput(f"{who} must have shape [S, 6] or [K, S, 6], got {numbers.shape}")
    if (numbers[:, 3] == 0).any():
        raise InvalidInput(
            f"{who} is not causal: a section with a0 = 0 asks for gradients that are yet to come; "
            "delay the filter until a0 is 1"
        )
    if not np.isfinite(numbers).all() or not (numbers[:, 3] == 1).all():
        raise InvalidInput(f"{who} must be finite with a0 = 1 in every section")
    for section in numbers:
        pole = max(np.roots(section[3:]), key=abs, default=0.0)
        if not abs(pole) < 1:
            raise InvalidInput(
                f"{who} is unstable, its pole {pole:.6g} has modulus {abs(pole):.6g}"
                " and must lie inside the unit circle"
            )
    delay = np.exp(-2j * np.pi * _FREQUENCIES)[:, None]
    b, a = numbers[:, :3], numbers[:, 3:]
    above, below = (x[:, 0] + delay * (x[:, 1] + delay * x[:, 2]) for x in (b, a))
    response = (above / below).prod(axis=1)
    gains, mean = abs(response), float(response[0].real)
    if not mean >= max(LEAST_GAIN * gains.max(), (1 - 1e-9) * gains[-1]) or mean == 0:
        raise InvalidInput(
            f"{who} is no low-pass: its gain is {mean:.3g} at frequency 0, {gains[-1]:.3g} at 1/2 "
            f"and {gains.max():.3g} at most; the sign of a gradient without its mean trains "
            "nothing, and against its mean it flips uphill"
        )
    return numbers
