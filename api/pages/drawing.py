"""Small line charts, as numbers for a template to draw: no script, no style of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 420, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 30
"""Size of a chart and its margins, in the units of its view box."""

_TICKS = 4


@dataclass(frozen=True)
class Tick:
    """A labelled place on an axis."""

    place: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A line over numbered steps.

    Args:
        title: What is drawn, for those who cannot see it too.
        line: The points of a polyline.
        band: The points of a polygon around it, or nothing.
        xs: Ticks from left to right.
        ys: Ticks from bottom to top.
    """

    title: str
    line: str
    band: str
    xs: tuple[Tick, ...]
    ys: tuple[Tick, ...]


def chart(
    title: str,
    steps: Sequence[float],
    values: Sequence[float | None],
    *,
    band: tuple[Sequence[float | None], Sequence[float | None]] | None = None,
    log_steps: bool = False,
    shares: bool = True,
) -> Chart | None:
    """The chart of values over steps; None without two known ones.

    Args:
        title: What is drawn.
        steps: Ascending, above 0 if ``log_steps``.
        values: One per step; a missing one is left out.
        band: Lower and upper bounds, one per step.
        log_steps: Whether the steps are spaced by their logarithm.
        shares: Whether they are shares, such as accuracies, and labelled in per cent.
    """
    known = [(x, y) for x, y in zip(steps, values, strict=True) if y is not None]
    if len(known) < 2:
        return None
    bounds = []
    if band is not None:
        bounds = [
            (x, low, high)
            for x, low, high in zip(steps, *band, strict=True)
            if low is not None and high is not None
        ]
    lowest, highest = min(y for _, y in known), max(y for _, y in known)
    ys = _round_values(lowest, highest)
    bottom, top = min(lowest, ys[0]), max(highest, ys[-1])
    first, last = known[0][0], known[-1][0]

    def across(x: float) -> float:
        scale = math.log if log_steps else float
        share = (scale(x) - scale(first)) / (scale(last) - scale(first))
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def up(y: float) -> float:
        share = (min(max(y, bottom), top) - bottom) / (top - bottom)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    around = [(x, low) for x, low, _ in bounds] + [(x, high) for x, _, high in reversed(bounds)]
    return Chart(
        title=title,
        line=" ".join(f"{across(x)},{up(y)}" for x, y in known),
        band=" ".join(f"{across(x)},{up(y)}" for x, y in around),
        xs=tuple(Tick(across(x), f"{x:g}") for x in _round_steps(first, last, log_steps)),
        ys=tuple(Tick(up(y), _label(y, ys) if shares else f"{y:.4g}") for y in ys),
    )


def _round_values(lowest: float, highest: float) -> list[float]:
    """Round numbers around and between two."""
    span = highest - lowest or max(abs(highest), 1e-3)
    rough = span / _TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _round_steps(first: float, last: float, log_steps: bool) -> list[float]:
    """The first step, the last, and a few between."""
    if log_steps:
        powers = (10.0**power for power in range(12))
        between = [x for x in powers if first < x < last / 1.5]
    else:
        stride = max(1, round((last - first) / _TICKS))
        between = [x for x in range(0, int(last), stride) if first < x <= last - stride / 2]
    return [first, *between, last]


def _label(value: float, ticks: Sequence[float]) -> str:
    """A share in per cent, with as many digits as tell the ticks apart."""
    step = 100 * (ticks[1] - ticks[0])
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if digits < 3 and abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
        digits += 1  # steps of 2.5
    return f"{100 * value:.{digits}f}%"
