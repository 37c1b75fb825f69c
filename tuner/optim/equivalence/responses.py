"""What a filter makes of an impulse, of an even gradient and of oscillations."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.optim.designed.prototypes import Array
from tuner.optim.equivalence import law

POINTS = 240
"""Of each curve, over steps and frequencies that are spaced by their logarithm."""

_FORGOTTEN = 9.0
"""e^-9: what a filter still knows at the horizon, a ten thousandth."""


@dataclass(frozen=True)
class Responses:
    """A filter's curves and numbers.

    Args:
        steps: Whole numbers from 1, rising, shape [N]: after how many gradients.
        impulse: Weight in s of the gradient that came so many steps ago, the newest at 1, [N].
        step: s after so many gradients that are all 1, shape [N].
        frequencies: In cycles a step, rising to 1/2, shape [F].
        response: H at the frequencies, complex, shape [F].
        gain: H at frequency 0: the sum of all weights.
        memory: In steps, 1 over the cut-off in radians a step, where the gain has fallen to
            sqrt(1/2) of that at frequency 0; None if it does not fall so far.
        delay: Mean age in steps of what s is made of; the newest gradient is 0 steps old.
        noise_gain: Variance of s under unit white noise, at a gain of 1.
        flip_ratio: Share of the signs that change at a step under white noise.
    """

    steps: NDArray[np.int64]
    impulse: Array
    step: Array
    frequencies: Array
    response: NDArray[np.complex128]
    gain: float
    memory: float | None
    delay: float
    noise_gain: float
    flip_ratio: float


def horizon(numbers: Array) -> int:
    """Steps after which a filter has as good as forgotten a gradient.

    Args:
        numbers: Slots, shape [S, 8].
    """
    return max(10, math.ceil(_FORGOTTEN / max(law.forgets(numbers), 1e-14)))


def responses(numbers: Array, *, steps: int | None = None) -> Responses:
    """The curves and numbers of a stable low-pass.

    Args:
        numbers: Slots, shape [S, 8], a filter that ``sections.check_low_pass`` lets pass.
        steps: How far the curves go, at least 1; until all is forgotten if None.
    """
    end = horizon(numbers) if steps is None else steps
    grid = np.unique(np.geomspace(1, end, POINTS).round().astype(np.int64))
    change, enters, seen, feed = law.state_space(numbers)
    settled = -np.linalg.solve(change, enters)
    gain = float(seen @ settled + feed)
    move, aged, age = np.eye(len(change)) + change, np.stack([settled, enters], 1), 0
    impulse, step = np.full(len(grid), feed), np.full(len(grid), feed)
    for place, n in enumerate(grid.tolist()):
        if n > 1:
            aged, age = np.linalg.matrix_power(move, n - 2 - age) @ aged, n - 2
            impulse[place] = seen @ aged[:, 1]
            step[place] = gain - seen @ (move @ aged[:, 0])
    frequencies = np.geomspace(min(0.01, 0.1 / end), 0.5, POINTS)
    return Responses(
        steps=grid,
        impulse=impulse,
        step=step,
        frequencies=frequencies,
        response=law.response_of_slots(numbers, frequencies),
        gain=gain,
        memory=_memory(numbers, gain, frequencies),
        delay=float(-seen @ np.linalg.solve(change, settled) / gain),
        noise_gain=law.noise_gain(numbers) / gain**2,
        flip_ratio=law.flip_ratio_of_slots(numbers) or 0.0,
    )


def _memory(numbers: Array, gain: float, frequencies: Array) -> float | None:
    """1 over the lowest angular frequency at which half the power is left."""

    def falls_short(at: Array) -> NDArray[np.bool_]:
        return abs(law.response_of_slots(numbers, at)) < gain * math.sqrt(0.5)

    below = np.flatnonzero(falls_short(frequencies))
    if not below.size:
        return None
    low, high = frequencies[below[0] - 1] if below[0] else 0.0, frequencies[below[0]]
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if falls_short(np.array([middle]))[0] else (middle, high)
    return float(1 / (2 * math.pi * high))
