"""How an arm looks: the same colour, line and marker in every figure of a comparison.

Colours are Okabe and Ito's, told apart by every common kind of colour blindness. Lines and
markers differ too, so that the figures survive a black-and-white printer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

LineStyle = str | tuple[int, tuple[float, ...]]
Marker = str | tuple[int, Literal[0, 1, 2], int]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES: tuple[LineStyle, ...] = (
    "-",
    (0, (5, 2)),
    (0, (1, 1.4)),
    (0, (6, 2, 1, 2)),
    (0, (12, 2.5)),
    (0, (2.5, 3)),
    (0, (6, 2, 1, 2, 1, 2)),
    (0, (1, 3.5)),
)
MARKERS: tuple[Marker, ...] = (
    *("o", "s", "^", "D", "v", "P", "X", "*", "<", "p", ">", "d"),
    *((4, 1, 0), (3, 1, 0), "h", (6, 1, 0)),
)
"""Filled ones only: a hollow marker has a meaning of its own."""


@dataclass(frozen=True)
class Style:
    """Colour, line and marker of one arm."""

    colour: str
    line: LineStyle
    marker: Marker


def arm_styles(names: Sequence[str]) -> dict[str, Style]:
    """Arm name -> its style, by its place among all arms of the comparison.

    The first 16 markers differ. Colour and line repeat together after 56 arms, colour and marker
    after 112.
    """
    return {
        name: Style(
            COLOURS[place % len(COLOURS)],
            LINES[place % len(LINES)],
            MARKERS[place % len(MARKERS)],
        )
        for place, name in enumerate(names)
    }
