import math
from typing import Any

import numpy as np
import pytest
from made_filters import filters
from matplotlib.collections import PathCollection

from tuner.compare import Protocol
from tuner.compare.evidence.redundancy import redundancy
from tuner.compare.figures.filter_plane import plane_figure
from tuner.compare.figures.flip_ratio import flip_law_figure
from tuner.compare.figures.styles import arm_styles
from tuner.compare.trial_filters import law_ratio
from tuner.errors import InvalidInput

NAN = math.nan
STYLES = arm_styles(["old", "new", "a", "b", "many", "tiny"])


def test_the_law_is_checked_where_nothing_is_violated_and_both_ratios_are_positive():
    law = np.array([0.1, 0.1, 0.1, 0.0, NAN, 0.1])
    measured = np.array([0.1, 0.2, 0.3, 0.1, 0.1, 0.0])
    arm = filters(
        np.full(6, 1e-3),
        flip_ratio_law=law,
        flip_ratio_measured=measured,
        violated={"stable": [False, False, True, False, False, False]},
    )
    ratio = law_ratio(arm)
    assert ratio is not None and ratio.n == 2
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((1.5, 1.05, 1.95))
    assert law_ratio(filters([1e-3])) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": []}, r"filters\.alpha: needs one value per trial and at least one"),
        ({"alpha": [0.0, 0.1]}, r"filters\.alpha: must be in \(0, 1\] or NaN, got 0 in trial 0"),
        ({"gamma": [0.1, 1.5]}, r"filters\.gamma: must be in .* got 1\.5 in trial 1"),
        ({"gamma": [0.1, NAN]}, r"filters\.gamma: must be NaN where alpha is"),
        ({"gamma": [0.1]}, r"filters\.gamma: needs one value per trial .* \[1\] beside \[2\]"),
        ({"weight_decay": [-1.0, 0]}, r"filters\.weight_decay: must be >= 0 or NaN, got -1"),
        ({"flip_ratio_law": [0, math.inf]}, r"filters\.flip_ratio_law: must be >= 0 .* got inf"),
        ({"decay": ("step",)}, r"filters\.decay: needs one per trial \(2\), got 1"),
        ({"violated": {"stable": [True]}}, r"filters\.violated\['stable'\]: needs shape \[2\]"),
        ({"cell": NAN}, r"filters\.cell: must be > 0 and finite, got nan"),
    ],
)
def test_what_is_no_filter_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(InvalidInput, match=message):
        filters(**({"alpha": [1e-3, 1e-3]} | changes))


@pytest.mark.parametrize(
    ("scores", "options", "message"),
    [
        ([0.5], {}, "redundancy: needs a finite score for each of 2 trials, got 1 finite of 1"),
        ([0.5, NAN], {}, "got 1 finite of 2"),
        ([0.5, 0.6], {"good": NAN}, "useful cells: good must be finite, got nan"),
        ([0.5, 0.6], {"confidence": 1.0}, r"confidence must be in \(0, 1\), got 1.0"),
    ],
)
def test_scores_that_do_not_fit_are_refused(scores: Any, options: dict[str, Any], message: str):
    with pytest.raises(InvalidInput, match=message):
        redundancy(filters([1e-3, 1e-2]), np.array(scores), **({"good": None} | options))


def marks(axes: Any) -> list[PathCollection]:
    return [one for one in axes.collections if isinstance(one, PathCollection)]


@pytest.mark.slow
def test_the_plane_has_a_panel_per_arm_with_hollow_and_filled_trials():
    arm = filters([1e-3, 1e-2, NAN, 1e-1], violated={"stable": [True, False, False, False]})
    scores = np.array([0.3, 0.8, 0.1, 0.5])
    other = filters([1e-6, 1.0], [1.0, 1e-3])
    drawing = plane_figure([("old", arm, scores), ("new", other, scores[:2])], Protocol(), STYLES)
    old, new, bar = drawing.axes
    assert [old.get_title(loc="left"), new.get_title(loc="left")] == ["old", "new"]
    assert bar.get_ylabel() == "validation accuracy"
    assert old.get_xlim() == new.get_xlim() and old.get_ylim() == new.get_ylim()
    hollow, filled = marks(old)
    assert hollow.get_offsets().data.tolist() == [[1e-3, 0.1]]
    assert filled.get_offsets().data.tolist() == [[1e-1, 0.1], [1e-2, 0.1]]  # the best on top
    assert hollow.get_facecolors().size == 0 and len(filled.get_facecolors()) == 2
    assert not filled.get_rasterized()
    assert old.get_xlabel() == "alpha\nno real filter: 1 of 4 trials"
    assert new.get_xlabel() == "alpha"
    drawing.canvas.draw()


def test_the_best_score_of_all_arms_is_the_darkest_colour():
    arm = filters([1e-3, 1e-2])
    drawing = plane_figure(
        [("a", arm, np.array([0.1, 0.5])), ("b", arm, np.array([0.5, 0.9]))],
        Protocol(unit="loss"),
        STYLES,
    )
    colours = [marks(axes)[1].get_facecolors().tolist() for axes in drawing.axes[:2]]
    assert colours[0][1] == colours[1][0]
    assert colours[1][1] == pytest.approx([0.267004, 0.004874, 0.329415, 1.0])
    assert drawing.axes[2].get_ylabel() == "loss"


def test_many_points_are_an_image_also_in_a_vector_format():
    arm = filters(np.geomspace(1e-6, 1, 20_000))
    drawing = plane_figure([("many", arm, np.linspace(0, 1, 20_000))], Protocol(), STYLES)
    assert all(one.get_rasterized() for one in marks(drawing.axes[0]))


@pytest.mark.parametrize("alpha", [[NAN], [1e-3], [1e-3, 1e-3, 1e-3]])
def test_tiny_arms_with_equal_scores_are_drawn(alpha: list[float]):
    arm = filters(alpha)
    plane_figure([("tiny", arm, np.zeros(arm.n))], Protocol(), STYLES).canvas.draw()
    flip_law_figure([("tiny", arm)], STYLES).canvas.draw()


def test_the_law_s_figure_shows_positive_ratios_and_fills_those_that_violate_nothing():
    arm = filters(
        [1e-3] * 4,
        flip_ratio_law=[0.01, 0.02, 0.03, NAN],
        flip_ratio_measured=[0.011, 0.021, 0.0, 0.1],
        violated={"stable": [False, True, False, False]},
    )
    drawing = flip_law_figure([("new", arm)], STYLES)
    (axes,) = drawing.axes
    hollow, filled = axes.lines[:2]
    assert (list(hollow.get_xdata()), list(hollow.get_ydata())) == ([0.02], [0.021])
    assert (list(filled.get_xdata()), list(filled.get_ydata())) == ([0.01], [0.011])
    assert hollow.get_markerfacecolor() == "none" != filled.get_markerfacecolor()
    assert drawing.legends[0].get_texts()[0].get_text() == "new: 2 of 4 trials"
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    drawing.canvas.draw()


def test_figures_without_arms_or_with_broken_scores_are_refused():
    with pytest.raises(InvalidInput, match="plane figure: needs at least one arm"):
        plane_figure([], Protocol(), STYLES)
    with pytest.raises(InvalidInput, match="flip law figure: needs at least one arm"):
        flip_law_figure([], STYLES)
    with pytest.raises(InvalidInput, match="plane figure, arm 'old': needs a finite score"):
        plane_figure([("old", filters([1e-3]), np.array([NAN]))], Protocol(), STYLES)
