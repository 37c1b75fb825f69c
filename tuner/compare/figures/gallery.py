"""The figures of a comparison: what each is called, who is on it, how it is drawn and explained.

A new figure is one file, with the functions of ``FigureFile``, and one line in ``FIGURES``.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

from matplotlib.figure import Figure

from tuner.compare.comparison import Comparison
from tuner.compare.figures import (
    budgets,
    distribution,
    filter_plane,
    flip_ratio,
    importance,
    over_budgets,
    repeated_searches,
    tuning_curves,
)
from tuner.compare.figures.axes import as_file, as_svg
from tuner.compare.figures.ranks import critical_difference

ReportSection = Literal["verdict", "ranks", "budgets", "filters", "importance"]
"""The report's part that a figure stands in."""


class FigureFile(Protocol):
    """What the file of a figure has."""

    def arms(self, comparison: Comparison, /) -> Collection[object]:
        """Who is on it: nobody where the comparison has nothing to draw."""

    def draw(self, comparison: Comparison, /) -> Figure:
        """The drawing of these arms."""

    def caption(self, comparison: Comparison, /) -> str:
        """What is drawn, and what is left out, in sentences."""


@dataclass(frozen=True)
class FigurePlace:
    """Where a figure stands in the report, and the file that makes it."""

    section: ReportSection
    file: FigureFile


FIGURES: Mapping[str, FigurePlace] = {
    "tuning_curves": FigurePlace("verdict", tuning_curves),
    "critical_difference": FigurePlace("ranks", critical_difference),
    "over_budgets": FigurePlace("budgets", over_budgets),
    "budgets": FigurePlace("budgets", budgets),
    "distribution": FigurePlace("budgets", distribution),
    "repeated_searches": FigurePlace("budgets", repeated_searches),
    "filters": FigurePlace("filters", filter_plane),
    "flip_ratio": FigurePlace("filters", flip_ratio),
    "importance": FigurePlace("importance", importance),
}
"""Name -> place and file, in the order of the report."""


@dataclass(frozen=True)
class Picture:
    """One figure of a comparison, drawn when it is asked for.

    Args:
        name: A key of ``FIGURES``; files are called so.
        comparison: What ``compare`` returned.
    """

    name: str
    comparison: Comparison

    @property
    def section(self) -> ReportSection:
        """The report's part that it stands in."""
        return FIGURES[self.name].section

    @property
    def caption(self) -> str:
        """What it shows and leaves out."""
        return FIGURES[self.name].file.caption(self.comparison)

    @cached_property
    def drawing(self) -> Figure:
        """The figure."""
        return FIGURES[self.name].file.draw(self.comparison)

    def saved(self, kind: str) -> bytes:
        """The drawing as the content of a file: png, svg or pdf."""
        return as_file(self.drawing, kind)

    @property
    def svg(self) -> str:
        """The drawing as an ``<svg>`` element to put into a page; the same numbers, same bytes."""
        return as_svg(self.drawing, salt=self.name)


def pictures(comparison: Comparison) -> list[Picture]:
    """Every figure that the comparison has something for, once, in the order of the report."""
    return [
        Picture(name, comparison) for name, place in FIGURES.items() if place.file.arms(comparison)
    ]


def in_section(section: ReportSection) -> list[str]:
    """Names of the figures that may stand in a part of the report, in its order."""
    return [name for name, place in FIGURES.items() if place.section == section]


def main_picture(comparison: Comparison) -> Picture:
    """The figure that every comparison has: its tuning curves."""
    return Picture("tuning_curves", comparison)
