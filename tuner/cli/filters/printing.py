"""Filters on a terminal: their numbers, and their curves in a line each."""

from collections.abc import Sequence
from itertools import count

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tuner.cli.filters.given import Shown
from tuner.optim.designed.prototypes import Array

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 48
_LEAST_DB = -60.0


def print_filters(filters: Sequence[Shown], console: Console) -> None:
    """Print numbers and curves; curves run over steps and frequencies spaced by logarithm."""
    named = list(zip(map(_letter, count()), filters, strict=False))
    for letter, each in named:
        console.print(Text(f"{letter}  {each.text}"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("")
    for column in ("memory, steps", "mean age, steps", "noise gain", "flip ratio"):
        table.add_column(column, justify="right")
    for letter, each in named:
        curves = each.curves
        table.add_row(
            letter,
            "none" if curves.memory is None else f"{curves.memory:,.4g}",
            f"{round(curves.delay, 9) + 0.0:,.4g}",
            f"{curves.noise_gain:.4g}",
            f"{100 * curves.flip_ratio:.4g}%",
        )
    console.print(Text(), table)
    first, last = filters[0].curves.steps[[0, -1]]
    lowest = filters[0].curves.frequencies[0]
    charts = (
        (f"share of an even gradient in s after {first:,} .. {last:,} steps", _step_bars),
        ("weight of a gradient by its age, over the same steps", _impulse_bars),
        (f"gain from {_LEAST_DB:g} dB, at {lowest:.2g} .. 0.5 cycles a step", _gain_bars),
    )
    for title, bars in charts:
        console.print(Text(f"\n{title}", "bold"))
        for letter, each in named:
            console.print(Text(f"{letter}  {bars(each)}"))
    for letter, each in named:
        for note in each.filter.notes:
            console.print(Text(f"· {letter}: {note}", "yellow"), soft_wrap=True)


def _letter(place: int) -> str:
    """A, b, .. z, then a1, b1 and so on."""
    return chr(ord("a") + place % 26) + (str(place // 26) if place >= 26 else "")


def _step_bars(each: Shown) -> str:
    return _bars(each.curves.step / each.curves.gain, high=max(1.0, each.curves.step.max()))


def _impulse_bars(each: Shown) -> str:
    return _bars(each.curves.impulse, high=each.curves.impulse.max())


def _gain_bars(each: Shown) -> str:
    gain = np.maximum(abs(each.curves.response) / each.curves.gain, 1e-30)
    decibels = 20 * np.log10(gain)
    return _bars(decibels - _LEAST_DB, high=max(decibels.max(), 0.0) - _LEAST_DB)


def _bars(values: Array, *, high: float) -> str:
    """A curve in ``_WIDTH`` characters; what is below 0 is as low as 0."""
    places = np.linspace(0, len(values) - 1, _WIDTH).round().astype(int)
    levels = np.clip(values[places] / high, 0, 1) * (len(_BLOCKS) - 1)
    return "".join(_BLOCKS[level] for level in levels.round().astype(int))
