"""The figures of a search's trials: what each is called, how it is drawn and explained.

A new one is a file with the functions of ``TrialFigure``, and a line in ``TRIAL_FIGURES``.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from matplotlib.figure import Figure

from tuner.compare.figures.axes import as_svg
from tuner.compare.figures.trials import learning_curves, parallel_coordinates, slices
from tuner.compare.figures.trials.tried import Tried, TriedTrial


class TrialFigure(Protocol):
    """What the file of a figure has."""

    def trials(self, tried: Tried, /) -> Sequence[TriedTrial]:
        """Which are on it: none where there is nothing to draw."""

    def draw(self, tried: Tried, /) -> Figure:
        """The drawing."""

    def caption(self, tried: Tried, /) -> str:
        """What is drawn, and what is left out, in sentences."""


TRIAL_FIGURES: Mapping[str, tuple[str, TrialFigure]] = {
    "learning_curves": ("Learning curves", learning_curves),
    "slices": ("Score against each setting", slices),
    "parallel_coordinates": ("Settings side by side", parallel_coordinates),
}
"""Name -> heading and file, in the order of the page."""


def svg(name: str, tried: Tried) -> str:
    """A figure as an ``<svg>`` element."""
    return as_svg(TRIAL_FIGURES[name][1].draw(tried), salt=name)
