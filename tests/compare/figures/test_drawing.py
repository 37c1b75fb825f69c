"""What all figures have in common: styles, ticks, legends."""

import warnings
import xml.dom.minidom
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from made_reports import Drawings, captions, full_report
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from tuner.compare import Arm, Comparison, Protocol, Retrained, compare
from tuner.compare.figures.axes import broken
from tuner.compare.figures.gallery import pictures
from tuner.compare.figures.log_ticks import log_axis, plain_number, power
from tuner.compare.figures.styles import arm_styles
from tuner.compare.figures.tuning_curves import draw

Make = Callable[..., Arm]
Again = Callable[..., Retrained]


@pytest.fixture
def sixteen(arm: Make, retrained: Again) -> Comparison:
    return full_report(arm, retrained, n_arms=16)


def drawn(drawing: Figure) -> Figure:
    FigureCanvasAgg(drawing)
    drawing.canvas.draw()
    return drawing


def overlapping(texts: list[Any]) -> list[tuple[str, str]]:
    boxes = [
        (text.get_text(), text.get_window_extent())
        for text in texts
        if text.get_visible() and text.get_text()
    ]
    return [(a, b) for (a, box), (b, other) in combinations(boxes, 2) if box.overlaps(other)]


def tick_labels(drawing: Figure) -> list[Text]:
    """Those of the ticks in view, minor ones included."""
    found = []
    for axes in drawing.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if low <= tick.get_loc() <= high and tick.label1.get_visible():
                    found.append(tick.label1)
    return found


def test_sixteen_arms_differ_in_marker_and_in_colour_and_line() -> None:
    found = list(arm_styles([str(i) for i in range(56)]).values())
    assert len({one.marker for one in found[:16]}) == 16
    assert len({(one.colour, one.line) for one in found}) == 56
    assert len({(one.colour, one.marker) for one in found}) == 56


@pytest.mark.slow
def test_an_arm_looks_the_same_in_every_figure_that_shows_it(sixteen: Comparison) -> None:
    styles = arm_styles([arm.name for arm in sixteen.arms])
    lines_drawn, seen = Drawings(sixteen), set()
    for name in ("tuning_curves", "budgets", "distribution", "repeated_searches", "flip_ratio"):
        for line in lines_drawn[name].legends[0].legend_handles:
            arm = line.get_label().split(":")[0].split(" (")[0]
            assert same_color(line.get_color(), styles[arm].colour), (name, arm)
            assert line.get_marker() == styles[arm].marker, (name, arm)
            seen.add(arm)
    assert seen == set(styles) - {"untuned"}
    for axes in lines_drawn["filters"].axes[:16]:
        size = len(axes.collections[0].get_paths()[0].vertices)
        expected = (
            Figure().subplots().scatter([0], [0], marker=styles[axes.get_title("left")].marker)
        )
        assert size == len(expected.get_paths()[0].vertices)


@pytest.mark.slow
def test_bars_of_methods_have_no_arm_s_colour(sixteen: Comparison) -> None:
    for axes in Drawings(sixteen)["importance"].axes:
        for bar in axes.patches:
            red, green, blue, _ = bar.get_facecolor()
            assert red == green == blue


@pytest.mark.parametrize("label", [plain_number, power])
@pytest.mark.parametrize("inches", [1.5, 6.0])
@pytest.mark.parametrize(
    ("low", "high"),
    [(1, 2), (97, 103), (0.0031, 0.0034), (3, 40), (1, 200), (1, 20_000), (1e-7, 1), (9e5, 9.9e5)],
)
def test_tick_labels_of_a_log_axis_never_overlap(
    low: float, high: float, inches: float, label: Callable[[float], str]
) -> None:
    drawing = Figure(figsize=(inches, inches), layout="constrained")
    axes = drawing.subplots()
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    log_axis(axes.xaxis, label)
    log_axis(axes.yaxis, label)
    texts = tick_labels(drawn(drawing))
    assert not overlapping(texts)
    assert sum(bool(text.get_text()) for text in texts) >= 3


def test_long_names_are_broken_at_their_joints() -> None:
    assert broken("magnitude_narrow_exact", 20) == "magnitude_narrow_\nexact"
    assert broken("a" * 25, 20) == "a" * 20 + "\n" + "a" * 5
    assert broken("short", 20) == "short"


def test_trials_are_counted_in_whole_numbers() -> None:
    axes = Figure().subplots()
    axes.set_xlim(1, 4)
    log_axis(axes.xaxis, plain_number, least=1)
    assert list(axes.xaxis.get_majorticklocs()) == [1, 2, 3, 4]
    assert (plain_number(100_000), plain_number(0.25)) == ("100,000", "0.25")
    assert power(1e-5) == r"$\mathdefault{10^{-5}}$"
    assert power(0.0025) == r"$\mathdefault{2.5\times10^{-3}}$"


@pytest.mark.slow
@pytest.mark.parametrize("decades", [0.02, 0.3, 4.0])
def test_no_label_lies_on_another_in_any_figure(
    arm: Make, retrained: Again, decades: float
) -> None:
    for name, drawing in Drawings(full_report(arm, retrained, n_arms=5, decades=decades)).items():
        assert overlapping(tick_labels(drawn(drawing))) == [], name


@pytest.mark.slow
@pytest.mark.parametrize("target", [0.05, 0.5, 0.89])
def test_target_budget_and_legend_cover_neither_curves_nor_each_other(
    arm: Make, retrained: Again, target: float
) -> None:
    rng = np.random.default_rng(0)
    arms = [arm(f"an_arm_with_a_long_name_{i}", 0.9 * rng.random(30)) for i in range(9)]
    arms[0] = arm("retrained", rng.random(30) * 0.9, retrained=retrained(0.9))
    drawing = drawn(draw(compare(arms, Protocol(target=target, k=2))))
    axes = drawing.axes[0]
    notes = [one for one in axes.texts if isinstance(one, Annotation)]
    assert [note.get_text() for note in notes] == ["k* = 2", f"target\n{100 * target:.2f}%"]
    everything = [*notes, drawing.legends[0], axes._left_title, axes.xaxis.label]
    boxes = [one.get_window_extent() for one in everything]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert not any(box.overlaps(other.bbox) for box in boxes for other in drawing.axes)
    legend = boxes[2]
    assert drawing.bbox.x0 <= legend.x0 and legend.x1 <= drawing.bbox.x1


@pytest.mark.slow
def test_no_legend_lies_on_what_is_drawn(sixteen: Comparison) -> None:
    for name, drawing in Drawings(sixteen).items():
        drawn(drawing)
        for legend in drawing.legends:
            box = legend.get_window_extent()
            assert not any(box.overlaps(axes.get_tightbbox()) for axes in drawing.axes), name
        for axes in drawing.axes:
            if axes.get_legend() is not None:
                box = axes.get_legend().get_window_extent()
                assert not any(box.overlaps(bar.get_window_extent()) for bar in axes.patches), name


@pytest.mark.slow
def test_names_of_many_arms_do_not_overlap_beside_their_test_scores(
    arm: Make, retrained: Again
) -> None:
    rng = np.random.default_rng(0)
    arms = [
        arm(f"{i}_{'very_' * (i % 5)}long_name", rng.random(6), retrained=retrained(0.9))
        for i in range(16)
    ]
    scores = drawn(draw(compare(arms, Protocol()))).axes[1]
    assert len(scores.get_yticklabels()) == 16
    assert not overlapping(scores.get_yticklabels())


def test_an_arm_far_below_the_others_does_not_squeeze_their_test_scores(
    arm: Make, retrained: Again
) -> None:
    rng = np.random.default_rng(0)
    tops = {"new": 0.97, "old": 0.96, "new_defaults": 0.965, "old_defaults": 0.1}
    arms = [arm(name, rng.random(6), retrained=retrained(top)) for name, top in tops.items()]
    comparison = compare(arms, Protocol())
    drawing = drawn(draw(comparison))
    panel = drawing.axes[1]
    left, right = panel.get_xlim()
    assert 0.95 < left < 0.959 and 0.971 < right < 0.98
    assert [note.get_text() for note in panel.texts] == ["median 10.00%"]
    box = panel.texts[0].get_window_extent()
    assert panel.bbox.x0 < box.x0 and box.x1 < panel.bbox.x1
    told = captions(comparison)["tuning_curves"]
    assert "than the panel reaches, at an arrow: old_defaults (median 10.00%)." in told


def test_a_run_far_below_the_others_is_told_at_an_arrow(arm: Make, retrained: Again) -> None:
    rng = np.random.default_rng(0)
    runs = np.array([0.96, 0.958, 0.959, 0.961, 0.8])
    arms = [
        arm("new", rng.random(6), retrained=retrained(0.97, 0.01)),
        arm("old", rng.random(6), retrained=Retrained({}, val=runs, test=runs)),
        arm("older", rng.random(6), retrained=retrained(0.96, 0.01)),
    ]
    comparison = compare(arms, Protocol())
    panel = drawn(draw(comparison)).axes[1]
    assert panel.get_xlim()[0] > 0.9
    assert [note.get_text() for note in panel.texts] == ["1 of 5 runs"]
    assert "at an arrow: old (1 of 5 runs)." in captions(comparison)["tuning_curves"]


@pytest.mark.parametrize("tops", [(0.97, 0.1), (0.97, 0.96, 0.955), (0.9, 0.9, 0.9)])
def test_all_test_scores_are_shown_where_none_lies_far_below_most(
    arm: Make, retrained: Again, tops: tuple[float, ...]
) -> None:
    arms = [
        arm(str(i), [0.5, 0.6], retrained=retrained(top, 0.002 if top != 0.9 else 0.0))
        for i, top in enumerate(tops)
    ]
    comparison = compare(arms, Protocol())
    panel = draw(comparison).axes[1]
    left, right = panel.get_xlim()
    assert left < min(tops) and max(tops) < right and not panel.texts
    assert "arrow" not in captions(comparison)["tuning_curves"]


NAMES = (
    "price_$x$",
    r"cost $\foo$",
    "100% $",
    "_hidden",
    "[b]x[/b]",
    "<i>&",
    "名前",
    "esc\x1b[31m",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_shows_a_name_as_it_is_written(arm: Make, name: str):
    """Matplotlib would read formulas, leave _ out of legends, and write what is no XML."""
    scores = np.linspace(0.5, 0.9, 60)
    arms = [arm(name, scores, seconds=np.ones(60)), arm("old", scores[::-1], seconds=np.ones(60))]
    comparison = compare(arms, Protocol(unit=f"loss {name}", rope=0.0))
    shown = name.replace("\x1b", "\ufffd")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for picture in pictures(comparison):
            assert xml.dom.minidom.parseString(picture.saved("svg"))
            assert picture.saved("png").startswith(b"\x89PNG")
            if legends := picture.drawing.legends:
                drawn = [text.get_text() for text in legends[0].get_texts()]
                assert picture.name == "over_budgets" or any(
                    shown in text.replace(r"\$", "$") for text in drawn
                )


@pytest.mark.parametrize("first", ["png", "svg"])
def test_a_figure_lies_the_same_in_every_format_whichever_is_saved_first(arm: Make, first: str):
    scores = np.linspace(0.5, 0.9, 60)
    comparison = compare([arm("new", scores), arm("old", scores[::-1])], Protocol())
    picture, alone = pictures(comparison)[0], pictures(comparison)[0]
    before = [axes.get_position().bounds for axes in picture.drawing.axes]
    picture.saved(first)
    laid_out = [axes.get_position().bounds for axes in picture.drawing.axes]
    assert laid_out != before
    assert picture.svg == alone.svg
    assert [axes.get_position().bounds for axes in picture.drawing.axes] == laid_out
