"""The panel of test scores: what the searches selected, trained afresh, else the incumbents.

An arm far below the others, such as defaults that diverge, would squeeze all others into one
line: the axis ends where most of them do, and an arrow says where the rest lies.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tuner.compare import words
from tuner.compare.figures.axes import INK, in_unit, plain, tidy, title
from tuner.compare.figures.styles import Style
from tuner.compare.protocol import ACCURACY, Protocol
from tuner.compare.statistics.estimate import Estimate, Floats
from tuner.compare.summary import ArmSummary

FAR = 5
"""The axis is at most so many times as long as the better half of the arms needs."""


def worst_shown(arms: Sequence[ArmSummary]) -> float:
    """The worst test score that the panel shows; -inf if it shows all.

    ``top - FAR (top - low)``, with the highest score of the better half of the arms, by their
    medians, and the lowest of their lower quartiles. More than half of the arms are the better
    half: of two, both.
    """
    ranked = sorted(map(_scores, arms), key=lambda scores: -float(np.median(scores)))
    better = ranked[: len(ranked) // 2 + 1]
    top = max(float(scores.max()) for scores in better)
    low = min(float(np.quantile(scores, 0.25)) for scores in better)
    return top - FAR * (top - low) if low < top else -np.inf


def hidden(arms: Sequence[ArmSummary], protocol: Protocol) -> dict[str, str]:
    """Name of each arm of which the panel does not show everything -> what lies beyond it."""
    least, beyond = worst_shown(arms), {}
    for arm in arms:
        runs = _scores(arm)
        if _hides_median(arm, least):
            beyond[arm.name] = f"median {words.score(_median(arm).value, protocol)}"
        elif worse := int((runs < least).sum()):
            beyond[arm.name] = f"{worse} of {runs.size} runs"
    return beyond


def scores_panel(
    axes: Axes,
    arms: Sequence[ArmSummary],
    names: Sequence[str],
    styles: Mapping[str, Style],
    protocol: Protocol,
) -> None:
    """Every fresh run as a dot, the median with its interval below them: a row for each arm.

    Args:
        axes: Where to draw.
        arms: Those with fresh runs.
        names: Theirs, as they are to be written.
        styles: Arm name -> its style.
        protocol: For the unit and the direction.
    """
    for row, arm in enumerate(arms):
        _row(axes, row, arm, styles[arm.name])
    least, beyond = worst_shown(arms), hidden(arms, protocol)
    if beyond:
        shown = np.concatenate([runs[runs >= least] for runs in map(_scores, arms)])
        margin = 0.06 * float(np.ptp(shown))
        axes.set_xlim(float(shown.min()) - 2 * margin, float(shown.max()) + margin)
    for row, arm in enumerate(arms):
        if arm.name in beyond:
            free = row + 0.3 if _hides_median(arm, least) else row - 0.25
            _arrow(axes, free, beyond[arm.name], styles[arm.name], protocol)
    axes.set_yticks(range(len(arms)), list(map(plain, names)))
    axes.set_ylim(len(arms) - 0.4, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    selected = any(arm.selected for arm in arms)
    title(axes, "Settings selected, afresh" if selected else "Incumbents, fresh seeds", pad=18)
    axes.set_xlabel("test accuracy" if protocol.unit == ACCURACY else "test score")
    in_unit(axes.xaxis, protocol)
    tidy(axes, grid="x")
    axes.tick_params(axis="y", labelcolor=INK)


def _scores(arm: ArmSummary) -> Floats:
    if arm.selected is not None:
        return np.array(arm.selected.scores)
    return np.array(arm.retrained.test_scores if arm.retrained else (), dtype=np.float64)


def _median(arm: ArmSummary) -> Estimate:
    if arm.selected is not None:
        return arm.selected.median
    assert arm.retrained is not None
    return arm.retrained.test


def _hides_median(arm: ArmSummary, least: float) -> bool:
    return _median(arm).value < least


def _row(axes: Axes, row: int, arm: ArmSummary, style: Style) -> None:
    scores = _scores(arm)
    spread = np.linspace(-0.12, 0.12, scores.size) if scores.size > 1 else np.zeros(1)
    axes.plot(
        scores,
        row + spread,
        ".",
        color=style.colour,
        alpha=0.45,
        markersize=7,
        markeredgewidth=0,
    )
    median = _median(arm)
    low, high = median.interval or (median.value, median.value)
    axes.hlines(row + 0.3, low, high, color=style.colour, linewidth=2)
    axes.plot(median.value, row + 0.3, marker=style.marker, color=style.colour, markersize=6)


def _arrow(axes: Axes, height: float, text: str, style: Style, protocol: Protocol) -> None:
    """An arrow out of the side where the worse scores are, and beside it what lies there."""
    side, beside = (1, -18) if protocol.minimized else (0, 18)
    axes.annotate(
        text,
        (side, height),
        xycoords=("axes fraction", "data"),
        xytext=(beside, 0),
        textcoords="offset points",
        va="center",
        ha="right" if protocol.minimized else "left",
        color=INK,
        fontsize=8,
        arrowprops={"arrowstyle": "-|>", "color": style.colour, "shrinkA": 1, "shrinkB": 1},
    )
