"""Figures show losses as losses: in their own sign, the better ones below and to the left."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from made_filters import filters
from made_reports import Drawings, as_losses, captions, full_report
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tuner.compare import Arm, Comparison, Protocol, Retrained, compare
from tuner.compare.comparison import judged
from tuner.compare.figures.distribution import draw as draw_distribution
from tuner.compare.figures.filter_plane import plane_figure
from tuner.compare.figures.styles import arm_styles
from tuner.compare.figures.tuning_curves import draw

Make = Callable[..., Arm]
Again = Callable[..., Retrained]
LOSS = Protocol(unit="loss", rope=0.0, minimized=True)


def drawn(drawing: Figure) -> Figure:
    FigureCanvasAgg(drawing)
    drawing.canvas.draw()
    return drawing


def axes_of_scores(drawing: Figure) -> Iterator[Axis]:
    """Those that scores or their differences are read from, of all panels."""
    for axes in drawing.axes:
        beside = [axes, *axes.get_shared_y_axes().get_siblings(axes)]
        if _of_scores(axes.get_xlabel()):
            yield axes.xaxis
        if any(_of_scores(each.get_ylabel()) for each in beside):
            yield axes.yaxis


def _of_scores(label: str) -> bool:
    return "loss" in label or label == "test score"


def shown_and_drawn(axis: Axis) -> Iterator[tuple[float, float]]:
    """What the label of each tick says, and where it stands."""
    factor = axis.get_offset_text().get_text().replace("\N{MINUS SIGN}", "-")
    times = float(factor) if factor else 1.0
    low, high = sorted(axis.get_view_interval())
    for tick in axis.get_major_ticks():
        text = tick.label1.get_text().replace("\N{MINUS SIGN}", "-")
        if low <= tick.get_loc() <= high and text:
            per_cent = 0.01 if text.endswith("%") else 1.0
            yield float(text.rstrip("%")) * per_cent * times, tick.get_loc()


def check(name: str, drawing: Figure, sign: int) -> int:
    """That every axis of scores is drawn so; how many there are."""
    found = list(axes_of_scores(drawn(drawing)))
    for axis in found:
        assert bool(axis.get_inverted()) is (sign < 0), name
        ticks = list(shown_and_drawn(axis))
        assert len(ticks) >= 2, name
        for shown, place in ticks:
            assert shown == pytest.approx(sign * place, rel=1e-9, abs=1e-12), name
    return len(found)


@pytest.mark.slow
@pytest.mark.parametrize(("minimized", "sign"), [(False, 1), (True, -1)])
def test_every_figure_shows_the_values_of_studies_that_minimize(
    arm: Make, retrained: Again, minimized: bool, sign: int
) -> None:
    comparison = as_losses(full_report(arm, retrained, n_arms=2), minimized=minimized)
    counts = {name: check(name, each, sign) for name, each in Drawings(comparison).items()}
    assert counts == {
        "tuning_curves": 2,
        "budgets": 3,
        "distribution": 1,
        "repeated_searches": 1,
        "filters": 1,
        "flip_ratio": 0,
        "importance": 0,
    }


@pytest.mark.parametrize("scale", [1.0, 1e-5, 4e4])
@pytest.mark.parametrize("level", [1.0, 300.0])
def test_differences_and_losses_of_any_size_are_labelled_as_they_are(
    arm: Make, scale: float, level: float
) -> None:
    rng = np.random.default_rng(0)
    arms = [arm(name, -scale * (level + rng.random(40))) for name in ("new", "old")]
    figures = Drawings(judged(arms, LOSS))
    for name in ("tuning_curves", "over_budgets", "budgets", "distribution"):
        assert check(name, figures[name], -1) >= 1


@pytest.mark.slow
def test_shares_that_are_minimized_are_in_per_cent(arm: Make) -> None:
    rng = np.random.default_rng(0)
    arms = [arm(name, -rng.random(40)) for name in ("new", "old")]
    drawing = drawn(draw(compare(arms, Protocol(minimized=True))))
    ticks = list(shown_and_drawn(drawing.axes[0].yaxis))
    assert drawing.axes[0].yaxis.get_inverted()
    assert all(shown == pytest.approx(-place) and 0 <= shown <= 1 for shown, place in ticks)
    assert drawing.axes[0].get_yticklabels()[0].get_text().endswith("%")


def test_the_target_is_marked_with_its_own_value(arm: Make) -> None:
    rng = np.random.default_rng(0)
    arms = [arm(name, -rng.random(40)) for name in ("new", "old")]
    protocol = Protocol(unit="loss", target=-0.25, minimized=True)
    notes = [text.get_text() for text in draw(compare(arms, protocol)).axes[0].texts]
    assert "target\n0.25" in notes


def test_a_distribution_of_losses_is_the_share_at_or_below_each(arm: Make) -> None:
    losses = np.round(np.random.default_rng(0).random(40), 1)
    drawing = draw_distribution(judged([arm("new", -losses), arm("old", -losses)], LOSS))
    line = drawing.axes[0].get_lines()[0]
    values, shares = -np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert values[0] < losses.min() and values[-1] > losses.max()
    assert list(shares[1:-1]) == [(losses <= value).mean() for value in values[1:-1]]
    assert drawing.axes[0].get_ylabel() == "share of trials at or below"


@pytest.mark.parametrize("penalty", [1e3, 1e30])
def test_losses_that_are_penalties_are_counted_at_the_right_end(arm: Make, penalty: float) -> None:
    losses = np.linspace(1, 2, 37)
    arms = [arm("new", -np.append(losses, [penalty] * 3)), arm("old", -losses)]
    comparison = judged(arms, LOSS)
    axes = draw_distribution(comparison).axes[0]
    assert axes.get_xlim() == pytest.approx((-0.97, -2.03))  # 0.97 at the left
    line = axes.get_lines()[0]
    assert -np.asarray(line.get_xdata())[-2:] == pytest.approx([2.03, 2.03])
    assert list(line.get_ydata())[-3:] == pytest.approx([37 / 40, 1, 1])
    assert (
        "3 trials score far more than is drawn, and count at the right end."
        in (captions(comparison)["distribution"])
    )


def test_an_arm_with_far_larger_losses_lies_at_an_arrow_to_the_right(
    arm: Make, retrained: Again
) -> None:
    rng = np.random.default_rng(0)
    tops = {"new": -0.03, "old": -0.04, "new_defaults": -0.035, "old_defaults": -0.9}
    arms = [arm(name, -rng.random(6), retrained=retrained(top)) for name, top in tops.items()]
    comparison = compare(arms, LOSS)
    panel = drawn(draw(comparison)).axes[1]
    left, right = panel.get_xlim()
    assert -0.05 < right < left < -0.02
    (note,) = panel.texts
    assert note.get_text() == "median 0.9"
    box = note.get_window_extent()
    assert panel.bbox.x0 < box.x0 and box.x1 < panel.bbox.x1
    assert note.xy[0] == 1 and box.x0 > (panel.bbox.x0 + panel.bbox.x1) / 2
    assert (
        "Further to the right than the panel reaches, at an arrow: old_defaults (median 0.9)"
        in (captions(comparison)["tuning_curves"])
    )


def test_the_lowest_loss_is_the_darkest_colour() -> None:
    arm = filters([1e-3, 1e-2])
    scores = np.array([-0.9, -0.1])
    drawing = drawn(plane_figure([("a", arm, scores)], LOSS, arm_styles(["a"])))
    panel, bar = drawing.axes
    (marks,) = (each for each in panel.collections if len(each.get_facecolors()))
    assert marks.get_facecolors()[1] == pytest.approx([0.267004, 0.004874, 0.329415, 1.0])
    assert bar.get_ylabel() == "loss" and bar.yaxis.get_inverted()
    assert all(0 < shown < 1 for shown, _ in shown_and_drawn(bar.yaxis))


@pytest.mark.slow
def test_the_figure_over_budgets_says_at_which_the_losses_are_lower(arm: Make) -> None:
    rng = np.random.default_rng(1)
    arms = [arm("new", -rng.random(60)), arm("old", -rng.random(60) - 1)]
    for minimized, word in ((False, "higher"), (True, "lower")):
        comparison: Comparison = judged(arms, Protocol(unit="loss", minimized=minimized))
        assert f"new is {word} at k = 2" in captions(comparison)["over_budgets"]
