"""The figures of a suite: what each is called, how it is drawn and explained.

A new one is a file with the functions of ``SuiteFigure``, and a line in ``SUITE_FIGURES``.
"""

from collections.abc import Mapping
from typing import Protocol

from matplotlib.figure import Figure

from tuner.compare.figures.axes import as_file, as_svg
from tuner.compare.figures.suite import forest, profile
from tuner.compare.suite.outcome import Suite


class SuiteFigure(Protocol):
    """What the file of a figure has."""

    def draw(self, suite: Suite, /) -> Figure:
        """The drawing."""

    def caption(self, suite: Suite, /) -> str:
        """What is drawn, and what is left out, in sentences."""


SUITE_FIGURES: Mapping[str, SuiteFigure] = {"forest": forest, "profile": profile}
"""Name -> file, in the order of the report; the first is the suite's picture."""


def svg(name: str, suite: Suite) -> str:
    """A figure as an ``<svg>`` element."""
    return as_svg(SUITE_FIGURES[name].draw(suite), salt=f"suite {name}")


def saved(name: str, suite: Suite, kind: str) -> bytes:
    """A figure as the content of a file: png, svg or pdf."""
    return as_file(SUITE_FIGURES[name].draw(suite), kind)
