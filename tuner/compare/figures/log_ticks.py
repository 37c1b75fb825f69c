"""Ticks of logarithmic axes: as many labels as fit beside each other, also below one decade.

Matplotlib labels the ticks between decades where the range is narrow, and lets them overprint.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from math import ceil, floor, isclose, log, log10

from matplotlib.axis import XAxis, YAxis
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

FONT_SIZE = 9
"""Points, of every tick's label."""
MOST_TICKS = 9
"""No axis has more labels than this."""
_GAP = 5.0
_ROUNDING = 1e-9


def plain_number(value: float) -> str:
    """A count or a duration: ``20,000``, ``0.25``."""
    return f"{value:,.10g}"


def power(value: float) -> str:
    """A power of ten, or a multiple of one, as mathematics."""
    exponent = floor(log10(value) + _ROUNDING)
    factor = value / 10.0**exponent
    times = "" if isclose(factor, 1) else rf"{factor:.6g}\times"
    return rf"$\mathdefault{{{times}10^{{{exponent}}}}}$"


@lru_cache(maxsize=1000)
def text_width(text: str, size: float) -> float:
    """Width of one line of text in points, at a font size in points."""
    font = FontProperties(size=size)
    with boxes_for_missing_glyphs():
        sizes = TextToPath().get_text_width_height_descent(text, font, text.startswith("$"))
    return float(sizes[0])


@contextmanager
def boxes_for_missing_glyphs() -> Iterator[None]:
    """No warnings of glyphs that no font has: a box stands in for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        yield


def log_axis(axis: XAxis | YAxis, label: Callable[[float], str], *, least: float = 0.0) -> None:
    """Make an axis logarithmic, with labels that do not overlap.

    Args:
        axis: The x or the y axis of a panel.
        label: A tick's value in words.
        least: No tick lies below it and no step is finer: 1 for what is counted.
    """
    if isinstance(axis, XAxis):
        axis.axes.set_xscale("log")
        axis.set_tick_params(pad=6)  # clear of the lowest label of the other axis
    else:
        axis.axes.set_yscale("log")
    axis.set_major_locator(_LogTicks(axis, label, least))
    axis.set_major_formatter(FuncFormatter(lambda value, _: label(value) if value > 0 else ""))
    axis.set_minor_formatter(NullFormatter())


class _LogTicks(LogLocator):
    """The most round numbers whose labels fit."""

    def __init__(self, drawn: XAxis | YAxis, label: Callable[[float], str], least: float) -> None:
        super().__init__()
        self._drawn, self._label, self._least = drawn, label, least

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        low, high = sorted((vmin, vmax))
        if not 0 < low < high:
            return []
        choices = sorted(_round(low, high, self._least), key=len, reverse=True)
        return next((ticks for ticks in choices if self._fits(ticks, low, high)), [])

    def _fits(self, ticks: list[float], low: float, high: float) -> bool:
        if len(ticks) > MOST_TICKS:
            return False
        horizontal = isinstance(self._drawn, XAxis)
        box, inch = self._drawn.axes.bbox, self._drawn.axes.figure.dpi
        points = 72 * (box.width if horizontal else box.height) / inch
        places = [points * log(tick / low) / log(high / low) for tick in ticks]
        sizes = [
            text_width(self._label(tick), FONT_SIZE) if horizontal else 1.3 * FONT_SIZE
            for tick in ticks
        ]
        return all(
            b - a >= (size_a + size_b) / 2 + _GAP
            for (a, b), (size_a, size_b) in zip(pairwise(places), pairwise(sizes), strict=True)
        )


def _round(low: float, high: float, least: float) -> Iterator[list[float]]:
    """Choices of round numbers in [low, high]: decades, 1-2-5, even steps in a narrow range."""
    exponents = range(floor(log10(low)), ceil(log10(high)) + 1)
    choices = [
        [10.0**e for e in exponents if e % stride == 0] for stride in range(1, len(exponents) + 1)
    ]
    choices.append([factor * 10.0**e for e in exponents for factor in (1, 2, 5)])
    if high < 10 * low:
        fine = floor(log10(high - low))
        steps = [factor * 10.0**e for e in range(fine - 1, fine + 1) for factor in (1, 2, 5)]
        choices += [
            [step * i for i in range(ceil(low / step), floor(high / step) + 1)]
            for step in steps
            if step >= least
        ]
    for ticks in choices:
        yield [
            tick
            for tick in ticks
            if tick >= least and low * (1 - _ROUNDING) <= tick <= high * (1 + _ROUNDING)
        ]
