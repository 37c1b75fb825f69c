"""The form that filters run in, good for any memory and any cut-off that moves. No torch.

Each section is a slot, eight numbers and two numbers of state. Of the input x it makes

    y = feed x + out w;    w += b x - a w + c v;    v += d x - e w    (w as it was before)

and y is the next slot's input. One with a single pole has no v, one without poles only ``feed``.

Why not the direct form, y = b0 x + b1 x' + b2 x'' - a1 y' - a2 y''. At a cut-off of w radians a
step 1 + a1 + a2 is about w^2. float32 knows a1 and a2 to 1e-7, so that from a memory of some 3,000
steps on (w^2 = 1e-7) nothing is left of it: the gain at frequency 0 is anything, the poles are
anywhere, the sum is lost in what it is the small difference of. Here every coefficient is a small
number with all its digits, and what a step adds is small beside the state and never a difference
of large numbers (the delta form, z - 1 in place of z). Of noise, s is about sqrt(w); what is added
to w and to v is about w^1.5 and w. Each addition rounds s by 1e-7 of itself, and 1 / w of them add
up like sqrt(1 / w): at a memory of 10^5 steps that is some 1e-5 of s.

A cut-off may move at every step. A design's slots are scaled so that under an even gradient w and
v are both that gradient, whatever the cut-off: then no change of it stirs them. At a cut-off of 0
everything is held.

Source: Middleton & Goodwin (1986), doi:10.1109/TAC.1986.1104162, for the delta form.
"""

import numpy as np
from numpy.typing import NDArray

from tuner.optim.designed.prototypes import BACKWARD, Array, Design, prototype

FEED, OUT, B, A, C, D, E, ORDER = range(8)
"""A slot's numbers. ``ORDER`` is 2, 1 or 0: how many numbers of state it has."""


def at_cutoff(design: Design, cutoff: float) -> Array:
    """The slots of a design at a cut-off in [0, 1] radians a step, shape [S, 8]."""
    return of_design(prototype(design.family, design.order, design.damping), np.array(cutoff))


def of_design(rows: Array, cutoff: Array) -> Array:
    """The slots of designs at a cut-off, shape [..., S, 8]; all have a gain of 1 at frequency 0.

    The bilinear transform keeps the cut-off where it is, the backward one makes moving averages:

        s = (z - 1) / (K (1 + (z - 1) / 2)),  K = 2 tan(cutoff / 2)
        s = (1 - alpha)(z - 1) / (alpha z),   alpha = min(1, scale cutoff)

    Args:
        rows: Prototypes, shape [..., S, 6], as ``prototypes.prototype`` makes them.
        cutoff: In radians a step, in [0, 1], shape [...].
    """
    n2, d2, d1, theta, scale, order = np.moveaxis(rows, -1, 0)
    backward, at = theta == BACKWARD, np.asarray(cutoff)[..., None] * scale
    k = np.where(backward, np.minimum(at, 1), 2 * np.tan(np.minimum(at, 1) / 2))
    mu = np.where(backward, 1 - k, 1.0)
    n2, d2, d1, theta, order, k, mu = np.broadcast_arrays(n2, d2, d1, theta, order, k, mu)
    slots = np.zeros((*k.shape, 8))
    slots[..., ORDER] = order
    slots[order == 0, FEED] = 1

    one = order == 1
    below = np.where(one, d1 * mu + theta * k, 1.0)
    single = np.stack([theta * k / below, d1 * mu / below, k / below, k / below], -1)
    slots[..., : A + 1] = np.where(one[..., None], single, slots[..., : A + 1])

    two, near = order == 2, d2 - n2
    below = np.where(two, d2 * mu**2 + d1 * mu * k * theta + (k * theta) ** 2, 1.0)
    lead = np.where(two, near * mu + d1 * k * theta, 1.0)
    slow = (2 * near * mu * theta + d1 * theta**2 * k) * k - d1 * n2 * mu**2
    turn = np.where(two, k * lead / np.where(two, d1, 1.0) / below, 0.0)
    pair = [
        (n2 * mu**2 + (k * theta) ** 2) / below,
        mu * lead / below,
        k * slow / (below * lead),
        (d1 * mu + 2 * k * theta) * k / below,
        d1 * k / lead,
        turn,
        turn,
    ]
    slots[..., :ORDER] = np.where(two[..., None], np.stack(pair, -1), slots[..., :ORDER])
    return slots


def of_sections(sos: NDArray[np.float64]) -> Array:
    """The slots of stable second-order sections, shape [..., S, 8].

    w is what remains of y without x, v is scaled by a power of two, so that both are of one size.

    Args:
        sos: In scipy.signal's convention, shape [..., S, 6].
    """
    b0, b1, b2, _, a1, a2 = np.moveaxis(np.asarray(sos, dtype=np.float64), -1, 0)
    slots = np.zeros((*b0.shape, 8))
    two = (b2 != 0) | (a2 != 0)
    one = ~two & ((b1 != 0) | (a1 != 0))
    slots[..., FEED] = b0
    slots[..., OUT] = two | one
    slots[..., ORDER] = 2 * two + one
    slots[..., A] = np.where(two, 2 + a1, np.where(one, 1 + a1, 0))
    slots[..., B] = np.where(two, 2 * b0 + b1, np.where(one, b0 + b1, 0)) - b0 * slots[..., A]
    end = np.where(two, 1 + a1 + a2, 1.0)
    scale = 2.0 ** np.round(np.log2(end) / 2)
    slots[..., C] = np.where(two, scale, 0)
    slots[..., D] = np.where(two, (b0 + b1 + b2 - b0 * end) / scale, 0)
    slots[..., E] = np.where(two, end / scale, 0)
    return slots


def to_sections(slots: Array) -> Array:
    """Slots as second-order sections in scipy.signal's convention, shape [..., S, 6]."""
    feed, out, b, a, c, d, e, order = np.moveaxis(slots, -1, 0)
    end, middle = c * e, feed * a + out * b
    top = c * (feed * e + out * d)
    one, zero = np.ones_like(feed), np.zeros_like(feed)
    pair = [feed, middle - 2 * feed, feed - middle + top, one, a - 2, 1 - a + end]
    single = [feed, middle - feed, zero, one, a - 1, zero]
    none = [feed, zero, zero, one, zero, zero]
    sections: Array = np.select(
        [order[..., None] == 2, order[..., None] == 1],
        [np.stack(pair, -1), np.stack(single, -1)],
        np.stack(none, -1),
    )
    return sections


def in_words(slots: Array) -> str:
    """Slots as the sections that they are, in a phrase."""
    sections = [[float(f"{number:.4g}") for number in row] for row in to_sections(slots)]
    return f"sos={sections}"
