"""Each hyperparameter's share of the importance, as bars."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import INK, QUIET, panels, tidy, title
from tuner.compare.figures.captions import left_out
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.statistics.ranking import HELD, Importance, Ranking
from tuner.errors import InvalidInput

METHODS = {
    "fANOVA": "fANOVA asks what explains all trials' scores.",
    "PED-ANOVA": "PED-ANOVA asks what it takes to be among the best tenth.",
}
"""Method -> what it asks, for the caption."""
_GREYS = ("#6b6b6b", "#bdbdbd")
"""The methods' own: a colour would be taken for an arm's."""
_BAR, _KEY = 0.42, 0.19
"""Inches: of a hyperparameter's bars, and of a line of the legend."""


def importance_figure(arms: Sequence[tuple[str, Importance]]) -> Figure:
    """Each hyperparameter's share as a bar with its interval: one panel per arm, one scale.

    Bars are ordered by the first method; each method has a grey and a hatch of its own.

    Args:
        arms: Name and importance of each arm.

    Raises:
        InvalidInput: If there is no arm.
    """
    if not arms:
        raise InvalidInput("importance figure: needs at least one arm, got none")
    rows = max(3, *(len(_names(importance)) for _, importance in arms))
    keys = _KEY * max(len(importance.rankings) for _, importance in arms) + 0.1
    height = _BAR * rows + keys
    drawing, grid = panels(len(arms), width=3.6, height=height + 0.9, share=False)
    for axes, (name, importance) in zip(grid, arms, strict=True):
        _bars(axes, importance, keys / height)
        title(axes, name, longest=32)
        axes.set_xlabel("share of the importance")
        tidy(axes, grid="x")
    return drawing


def _names(importance: Importance) -> list[str]:
    """The hyperparameters in the order they are drawn in; those of the first method lead."""
    return list(dict.fromkeys(n for each in importance.rankings.values() for n in each.shares))


def _bars(axes: Axes, importance: Importance, legend: float) -> None:
    """The bars, and below them a share ``legend`` of the height that the legend has to itself."""
    names, methods = _names(importance), importance.rankings
    thickness = 0.8 / max(len(methods), 1)
    for number, (method, ranking) in enumerate(methods.items()):
        places = np.arange(len(names)) - 0.4 + (number + 0.5) * thickness
        shares = [ranking.shares.get(name, Estimate(0.0)) for name in names]
        bounds = [share.interval or (share.value, share.value) for share in shares]
        axes.barh(
            places,
            [share.value for share in shares],
            height=thickness,
            color=_GREYS[number % len(_GREYS)],
            hatch=None if number == 0 else "///",
            edgecolor="white",
            label=f"{method}: {_effective(ranking)}",
        )
        axes.hlines(places, *zip(*bounds, strict=True), color=INK, linewidth=1.2)
    axes.set_yticks(range(len(names)), names)
    drawn = max(len(names), 1) + 0.1
    axes.set_ylim(drawn / (1 - legend) - 0.6, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    if methods:
        axes.legend(frameon=False, loc="lower right", fontsize=8)
    else:
        words = importance.reason or "no importance"
        axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", wrap=True, color=QUIET)


def _effective(ranking: Ranking) -> str:
    """``2 of 7 hold 90% [1, 3]``."""
    count = f"{ranking.effective.value:.0f} of {len(ranking.shares)} hold {100 * HELD:.0f}%"
    if ranking.effective.interval is None:
        return count
    low, high = ranking.effective.interval
    return f"{count} [{low:.0f}, {high:.0f}]"


def arms(comparison: Comparison) -> dict[str, Importance]:
    """Arm name -> how much its hyperparameters matter, where that could be computed."""
    return {
        detail.arm.name: detail.importance
        for detail in comparison.single_details
        if detail.importance is not None and detail.importance.rankings
    }


def draw(comparison: Comparison) -> Figure:
    """The importances of all arms shown."""
    return importance_figure(list(arms(comparison).items()))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    drawn = arms(comparison)
    rankings = [
        ranking for importance in drawn.values() for ranking in importance.rankings.values()
    ]
    shares = [share for ranking in rankings for share in ranking.shares.values()]
    level = words.level(comparison.protocol)
    intervals = any(share.interval for share in shares)
    yield f"Share of the importance{f', with {level} bootstrap intervals' if intervals else ''}."
    for method in dict.fromkeys(
        name for importance in drawn.values() for name in importance.rankings
    ):
        if method in METHODS:
            yield METHODS[method]
    yield from left_out(comparison.arms, comparison.single, drawn, "no importance computed")
