"""How many times fewer trials on each workload, and over all of them: a forest plot."""

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tuner.compare import words
from tuner.compare.figures.axes import DASHED, INK, QUIET, broken, plain, tidy, title
from tuner.compare.figures.log_ticks import log_axis, plain_number
from tuner.compare.figures.styles import COLOURS
from tuner.compare.statistics.speedup import Speedup
from tuner.compare.suite.outcome import Suite

_ROW, _MARGIN = 0.36, 1.5
"""Inches of a row, and of all that is above and below the rows."""
_ALL, _ANOTHER = "all workloads", "one more workload"


def draw(suite: Suite) -> Figure:
    """A row each: the workloads, what leaving one out gives, and all of them."""
    rows = _rows(suite)
    drawing = Figure(figsize=(6.8, _MARGIN + _ROW * len(rows)), layout="constrained")
    axes = drawing.subplots()
    ends = _ends([speedup for _, speedup, _ in rows])
    for place, (_, speedup, colour) in enumerate(rows):
        _row(axes, -place, speedup, colour, ends)
    log_axis(axes.xaxis, plain_number)
    axes.set_xlim(*ends)
    axes.axvline(1.0, color=QUIET, linewidth=0.8, linestyle=DASHED, zorder=0)
    axes.set_yticks(
        [-place for place in range(len(rows))],
        labels=[plain(broken(label, 40)) for label, _, _ in rows],
    )
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    new, old = suite.arms[:2]
    axes.set_xlabel(plain(f"times fewer random trials that {new} needs than {old}"))
    title(axes, "Trials to the target, workload by workload")
    tidy(axes, grid="x")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    return drawing


def _rows(suite: Suite) -> list[tuple[str, Speedup, str]]:
    pooled = suite.pooled["trials"]
    return [
        *((name, suite.speedup(name), COLOURS[0]) for name in suite.comparisons),
        (_ALL, pooled.speedup, INK),
        *([(_ANOTHER, pooled.another, QUIET)] if pooled.another else []),
        *((f"all but {name}", each.speedup, COLOURS[1]) for name, each in suite.without.items()),
    ]


def _ends(speedups: list[Speedup]) -> tuple[float, float]:
    """Least and greatest factor of the axis: all that is known, and 1."""
    known = [x for each in speedups for x in (each.value, each.low, each.high) if x is not None]
    return min([0.5, *known]) / 1.4, max([2.0, *known]) * 1.4


def _row(axes: Axes, y: int, speedup: Speedup, colour: str, ends: tuple[float, float]) -> None:
    """The interval as a line, with an arrow where a bound is not known; a dot at the value."""
    low, high = speedup.low, speedup.high
    if low is None and high is None:
        if speedup.value is None:
            axes.annotate(" nothing is known", (1.0, y), color=QUIET, fontsize=8, va="center")
    else:
        start, end = (ends[0] if low is None else low), (ends[1] if high is None else high)
        axes.plot([start, end], [y, y], color=colour, linewidth=1.6)
        if low is None:
            axes.plot([start], [y], marker=4, color=colour, markersize=7, clip_on=False)
        if high is None:
            axes.plot([end], [y], marker=5, color=colour, markersize=7, clip_on=False)
    if speedup.value is not None:
        axes.plot([speedup.value], [y], marker="o", color=colour, markersize=6)


def caption(suite: Suite) -> str:
    """What is drawn, and what an open interval means."""
    return " ".join(_sentences(suite))


def _sentences(suite: Suite) -> Iterator[str]:
    new, old = suite.arms[:2]
    yield (
        f"Lines: {words.level(suite.protocol)} intervals. Right of the dashed line {new} needs "
        f"fewer trials, left of it {old}."
    )
    rows = [speedup for _, speedup, _ in _rows(suite)]
    if any((each.low is None) != (each.high is None) for each in rows):
        yield (
            "An arrow: no bound is known on this side, since one of the two missed the target, "
            "and there is no value."
        )
    if suite.pooled["trials"].another is not None:
        yield f"{_ANOTHER.capitalize()}: what it would show, measured likewise."
