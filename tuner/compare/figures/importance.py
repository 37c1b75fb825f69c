"""Each hyperparameter's share of the importance, as bars."""

from collections.abc import Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import INK, QUIET, panels, plain, tidy, title
from tuner.compare.figures.captions import left_out
from tuner.compare.statistics.ranking import HELD, Importance, Ranking
from tuner.errors import InvalidInput

_GREY = "#6b6b6b"
"""A colour would be taken for an arm's."""
_BAR, _KEY = 0.42, 0.29
"""Inches: of a hyperparameter's bar, and of the legend."""


def importance_figure(arms: Sequence[tuple[str, Importance]]) -> Figure:
    """Each hyperparameter's share as a bar with its interval: one panel per arm, one scale.

    Args:
        arms: Name and importance of each arm.

    Raises:
        InvalidInput: If there is no arm.
    """
    if not arms:
        raise InvalidInput("importance figure: needs at least one arm, got none")
    ranked = [importance.ranking for _, importance in arms if importance.ranking is not None]
    rows = max(3, *(len(ranking.shares) for ranking in ranked), 0)
    height = _BAR * rows + _KEY
    drawing, grid = panels(len(arms), width=3.6, height=height + 0.9, share=False)
    for axes, (name, importance) in zip(grid, arms, strict=True):
        _bars(axes, importance, _KEY / height)
        title(axes, name, longest=32)
        axes.set_xlabel("share of the importance")
        tidy(axes, grid="x")
    return drawing


def _bars(axes: Axes, importance: Importance, legend: float) -> None:
    """The bars, and below them a share ``legend`` of the height that the legend has to itself."""
    shares = {} if importance.ranking is None else importance.ranking.shares
    places, values = range(len(shares)), list(shares.values())
    bounds = [share.interval or (share.value, share.value) for share in values]
    if importance.ranking is not None:
        axes.barh(
            places,
            [share.value for share in values],
            height=0.6,
            color=_GREY,
            edgecolor="white",
            label=_effective(importance.ranking),
        )
        axes.hlines(places, *zip(*bounds, strict=True), color=INK, linewidth=1.2)
        axes.set_yticks(places, list(map(plain, shares)))
    drawn = max(len(shares), 1) + 0.1
    axes.set_ylim(drawn / (1 - legend) - 0.6, -0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    if importance.ranking is not None:
        axes.legend(frameon=False, loc="lower right", fontsize=8)
    else:
        axes.set_yticks([])
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
        if detail.importance is not None and detail.importance.ranking is not None
    }


def draw(comparison: Comparison) -> Figure:
    """The importances of all arms shown."""
    return importance_figure(list(arms(comparison).items()))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    drawn = arms(comparison)
    level = words.level(comparison.protocol)
    yield (
        f"Share of the importance, with {level} intervals: how much worse a forest that learned "
        "from other trials predicts a trial's rank once the hyperparameter is another trial's. "
        "Interactions count for all that take part in them."
    )
    yield from left_out(comparison.arms, comparison.single, drawn, "no importance computed")
