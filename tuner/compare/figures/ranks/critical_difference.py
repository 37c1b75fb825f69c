"""The mean ranks of many arms on a line, and bars over those that are not told apart."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.evidence.many_arms import ManyArms
from tuner.compare.figures.axes import INK, QUIET, broken, plain
from tuner.compare.figures.captions import left_out
from tuner.compare.figures.styles import arm_styles

_ROW = 0.26


def arms(comparison: Comparison) -> list[str]:
    """The arms that are ranked."""
    return [] if comparison.many_arms is None else list(comparison.many_arms.names)


def draw(comparison: Comparison) -> Figure:
    """The picture: the best at the left, its names on both sides."""
    many = comparison.many_arms
    if many is None:
        return Figure()
    ranks, bars = many.ranks, len(many.ranks.groups)
    n, half = len(many.names), (len(many.names) + 1) // 2
    lowest = 0.6 + 0.3 * bars + 0.75 * half
    drawing = Figure(figsize=(8.2, 0.9 + _ROW * (lowest + 1.6) / 0.75), layout="constrained")
    axes = drawing.subplots()
    axes.set_xlim(1 - 0.42 * (n - 1), n + 0.42 * (n - 1))
    axes.set_ylim(lowest + 0.4, -1.7)
    axes.axis("off")
    axes.plot([1, n], [0, 0], color=INK, linewidth=1)
    for rank in range(1, n + 1):
        axes.plot([rank, rank], [0, -0.15], color=INK, linewidth=1)
        axes.annotate(str(rank), (rank, -0.25), ha="center", va="bottom", color=QUIET, fontsize=8)
    _difference(axes, many)
    for place, group in enumerate(ranks.groups):
        ends = ranks.ranks[group[0]] - 0.06, ranks.ranks[group[-1]] + 0.06
        axes.plot(ends, [0.35 + 0.3 * place] * 2, color=INK, linewidth=3.5)
    _names(axes, many, comparison.names, start=0.6 + 0.3 * bars)
    return drawing


def _difference(axes: Axes, many: ManyArms) -> None:
    end = min(1 + many.ranks.critical, len(many.names))
    axes.plot([1, end], [-1.1, -1.1], color=QUIET, linewidth=1.2)
    for x in (1, end):
        axes.plot([x, x], [-1.2, -1.0], color=QUIET, linewidth=1.2)
    label = f"critical difference {many.ranks.critical:.2f}"
    axes.annotate(label, (1, -1.3), ha="left", va="bottom", color=QUIET, fontsize=8)


def _names(axes: Axes, many: ManyArms, all_arms: list[str], start: float) -> None:
    """Each arm's mark on the line, and its name beside: the better half left, the other right."""
    styles, ranks, n = arm_styles(all_arms), many.ranks.ranks, len(many.names)
    order = np.argsort(ranks, kind="stable").tolist()
    half = (n + 1) // 2
    for position, arm in enumerate(order):
        left = position < half
        row = position if left else n - 1 - position
        height, edge = start + 0.75 * (row + 1), 1 - 0.06 * (n - 1) if left else n + 0.06 * (n - 1)
        name, style = broken(many.names[arm], 26), styles[many.names[arm]]
        axes.plot(
            [ranks[arm], ranks[arm], edge], [0, height, height], color=style.colour, linewidth=0.9
        )
        axes.plot([ranks[arm]], [0], color=style.colour, marker=style.marker, markersize=5)
        axes.annotate(
            plain(f"{name}  {ranks[arm]:.2f}" if left else f"{ranks[arm]:.2f}  {name}"),
            (edge, height),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8.5,
        )


def caption(comparison: Comparison) -> str:
    """What is ranked, what the bars say, and who is left out."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    many = comparison.many_arms
    if many is None:
        return
    level = words.level(comparison.protocol)
    what = "fresh test scores" if many.fresh else "best validation scores"
    yield (
        f"Mean ranks of the {what} of {many.ranks.n} searches of {comparison.k:,} trials of each "
        "arm, 1 is best. Bars: arms whose mean ranks are less than the critical difference apart "
        f"({level}, Nemenyi). It hangs on who else is ranked; what two arms do is in the table."
    )
    yield from left_out(comparison.arms, comparison.single, many.names, "no random search")
