"""All trials' scores as empirical distributions, with their bands."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tuner.compare import words
from tuner.compare.arm import Arm
from tuner.compare.comparison import Comparison
from tuner.compare.figures.axes import in_unit, legend_below, plain, tidy, title
from tuner.compare.figures.captions import left_out
from tuner.compare.figures.styles import Style, arm_styles
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.edf import empirical_distribution
from tuner.compare.statistics.estimate import Bounds, Floats
from tuner.wording import count

_FAR = 20
_MOST_STEPS = 2000
"""More could not be seen, and would make a page of megabytes."""


def edf_figure(arms: Sequence[Arm], protocol: Protocol, styles: Mapping[str, Style]) -> Figure:
    """Each arm's empirical distribution; with its band where the trials are independent.

    The further to the right, the better; how far up a curve starts is the share that failed. Where
    the studies minimize, it is the distribution of their values: the further to the left, the
    better.

    Args:
        arms: Those to show.
        protocol: For the unit, the direction and the level.
        styles: Arm name -> its style.
    """
    drawing = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = drawing.subplots()
    everything = visible(arms)
    margin = 0.03 * float(np.ptp(everything)) or 0.01
    worst, best = float(everything.min()) - margin, float(everything.max()) + margin
    for arm in arms:
        _steps(axes, arm, styles[arm.name], protocol, ends=(worst, best))
    axes.set_xlim(worst, best)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(plain(words.measure(protocol)))
    axes.set_ylabel("share of trials at or below")
    failed = ", failed ones included" if any(arm.failed.any() for arm in arms) else ""
    bands = f", simultaneous {words.level(protocol)} bands"
    title(axes, f"All trials{failed}{bands if any(arm.independent for arm in arms) else ''}")
    legend_below(drawing, axes.get_legend_handles_labels()[0])
    in_unit(axes.xaxis, protocol)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    tidy(axes)
    return drawing


def visible(arms: Sequence[Arm]) -> Floats:
    """The scores of all arms but those that are penalties: far below all others, as 1e30 is.

    So far that the gap is more than twenty times what lies above it.
    """
    if not arms:
        return np.zeros(1)
    levels = np.unique(np.concatenate([arm.scores for arm in arms]))
    with np.errstate(over="ignore"):  # the largest numbers there are
        gaps, above = np.diff(levels), levels[-1] - levels[1:]
    penalties = np.flatnonzero(
        (gaps > _FAR * above) & (np.arange(1, levels.size) <= levels.size - 3)
    )
    return levels[penalties[-1] + 1 :] if penalties.size else levels


def _steps(axes: Axes, arm: Arm, style: Style, protocol: Protocol, *, ends: Bounds) -> None:
    edf = empirical_distribution(protocol.own(arm.scores), confidence=protocol.confidence)
    left, right = protocol.own_bounds(ends)
    x = protocol.own(np.concatenate([[left], np.clip(edf.scores, left, right), [right]]))
    share = np.concatenate([[0.0], edf.share, [1.0]])
    kept = np.unique(np.linspace(0, x.size - 1, min(x.size, _MOST_STEPS)).astype(int))
    x, share = x[kept], share[kept]
    if arm.independent:
        low = np.concatenate([[0.0], edf.low, edf.low[-1:]])[kept]
        high = np.concatenate([[edf.below], edf.high, [1.0]])[kept]
        axes.fill_between(x, low, high, step="post", color=style.colour, alpha=0.14, linewidth=0)
    failed = int(arm.failed.sum())
    count = f"{failed} of {arm.n} failed" if failed else f"{arm.n}"
    axes.step(
        x,
        share,
        where="post",
        color=style.colour,
        linestyle=style.line,
        linewidth=1.8,
        marker=style.marker,
        markersize=5,
        markevery=[int(np.searchsorted(share, 0.5))],
        label=plain(f"{arm.name} ({count})"),
    )


def arms(comparison: Comparison) -> list[Arm]:
    """The single searches, as far as there are details."""
    return [detail.arm for detail in comparison.single_details]


def draw(comparison: Comparison) -> Figure:
    """The distributions of all arms shown."""
    return edf_figure(arms(comparison), comparison.protocol, arm_styles(comparison.names))


def caption(comparison: Comparison) -> str:
    """What is drawn, and which arms are not."""
    return " ".join(_sentences(comparison))


def _sentences(comparison: Comparison) -> Iterator[str]:
    drawn = arms(comparison)
    yield "The share of trials that score this or less; marked: the median."
    if penalties := sum(int((arm.scores < visible(drawn).min()).sum()) for arm in drawn):
        far = "more" if comparison.protocol.minimized else "less"
        from_where = (
            "at the right end" if comparison.protocol.minimized else "from the left end on"
        )
        rest = f"far {far} than is drawn, and"
        yield (
            count(penalties, f"trial scores {rest} counts", f"trials score {rest} count")
            + f" {from_where}."
        )
    if any(arm.failed.any() for arm in drawn):
        yield "Failed trials stay in, at chance or the worst score."
    if any(arm.independent for arm in drawn):
        some = "" if all(arm.independent for arm in drawn) else ", where trials are independent"
        level = words.level(comparison.protocol)
        yield f"Shaded: a {level} band of the whole distribution{some}."
    yield from left_out(comparison.arms, comparison.single, {arm.name for arm in drawn})
