from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare import Arm, Protocol
from tuner.compare.evidence.budget_curves import budget_curves
from tuner.compare.figures.budgets import budget_figure
from tuner.compare.figures.styles import arm_styles
from tuner.compare.summary import summarize
from tuner.errors import InvalidInput

Make = Callable[..., Arm]
PROTOCOL = Protocol(target=0.9)
SCORES = np.random.default_rng(0).random(40)


def test_each_axis_stretches_the_curve_by_its_mean_cost(arm: Make) -> None:
    ours = arm("new", SCORES, seconds=np.arange(40.0))
    known = summarize(ours, 2, PROTOCOL).curve
    trials, epochs, seconds = budget_curves(ours, known, epochs=np.repeat([1.0, 10.0], 20))
    ks = np.array([point.k for point in known])
    assert (trials.axis, epochs.axis, seconds.axis) == ("trials", "epochs", "seconds")
    assert trials.x.tolist() == ks.tolist()
    # Pruned or failed trials of one epoch count with the others: (20 + 200) / 40 = 5.5.
    assert epochs.x == pytest.approx(5.5 * ks) and epochs.per_trial == 5.5
    assert seconds.x == pytest.approx(19.5 * ks)
    for curve in (trials, epochs, seconds):
        assert curve.value.tolist() == [point.value for point in known]
        assert curve.low is not None and curve.low.tolist() == [p.low for p in known]
    assert epochs.note == "k trials at the mean cost of 5.5 epochs"


def test_unknown_costs_are_left_out_with_a_reason(arm: Make) -> None:
    half = np.where(np.arange(40) % 2, 4.0, np.nan)
    ours = arm("new", SCORES, seconds=half)
    _, epochs, seconds = budget_curves(ours, summarize(ours, 2, PROTOCOL).curve)
    assert epochs.x.size == 0 and epochs.per_trial is None
    assert epochs.note == "left out: no trial's epochs are known"
    assert seconds.per_trial == 4
    assert seconds.note == "k trials at the mean cost of 4 seconds, known of 20 of 40 trials"


def test_pruned_searches_show_their_best_so_far_at_what_was_spent(arm: Make) -> None:
    pruned = arm(
        "new", [0.3, 0.1, 0.8, 0.2], pruned=[False, True, False, True], seconds=[5, 1, 5, np.nan]
    )
    curves = budget_curves(
        pruned, summarize(pruned, 1, PROTOCOL).curve, epochs=np.array([10.0, 2, 10, 1])
    )
    trials, epochs, seconds = curves
    assert not epochs.independent and epochs.low is None
    assert trials.x.tolist() == [1, 2, 3, 4]
    assert epochs.x.tolist() == [10, 12, 22, 23]
    assert epochs.value.tolist() == [0.3, 0.3, 0.8, 0.8]
    assert seconds.x.size == 0
    assert seconds.note == "left out: 1 of 4 trials' seconds are unknown"


def test_repeated_searches_have_a_line_each(arm: Make) -> None:
    tpe = arm(
        "tpe", [0.1, 0.5, 0.9, 0.2], sampler="tpe", repeat=[0, 1, 0, 1], seconds=[1, 2, 3, 4]
    )
    curves = budget_curves(tpe, summarize(tpe, 1, PROTOCOL).curve)
    seconds = [curve for curve in curves if curve.axis == "seconds"]
    assert [curve.x.tolist() for curve in seconds] == [[1, 4], [2, 6]]
    assert [curve.value.tolist() for curve in seconds] == [[0.1, 0.9], [0.5, 0.5]]


def test_free_trials_have_no_budget(arm: Make) -> None:
    free = arm("new", SCORES, seconds=np.zeros(40))
    assert budget_curves(free, summarize(free, 2, PROTOCOL).curve)[2].note == "left out: all 0"
    learning = arm("new", SCORES, seconds=np.zeros(40), sampler="tpe")
    assert budget_curves(learning, summarize(learning, 2, PROTOCOL).curve)[2].x.size == 0


def test_costs_that_cannot_be_are_refused(arm: Make) -> None:
    ours = arm("new", SCORES)
    known = summarize(ours, 2, PROTOCOL).curve
    with pytest.raises(InvalidInput, match=r"'new': epochs must be a list as long.*\[3\]"):
        budget_curves(ours, known, epochs=np.ones(3))
    with pytest.raises(InvalidInput, match=r"epochs must be >= 0 and finite.*got -2"):
        budget_curves(ours, known, epochs=np.full(40, -2.0))
    with pytest.raises(InvalidInput, match=r"seconds must be >= 0 and finite.*got inf"):
        budget_curves(arm("new", SCORES, seconds=np.full(40, np.inf)), known)
    with pytest.raises(InvalidInput, match="arm 'other' has 20 trials, its curve goes on to 40"):
        budget_curves(arm("other", SCORES[:20]), known)


def test_the_figure_has_a_panel_for_each_known_cost_and_names_what_is_missing(arm: Make) -> None:
    arms = [
        arm("new", SCORES, seconds=np.full(40, 2.0)),
        arm("old", SCORES[::-1] / 2, seconds=np.full(40, np.nan)),
        arm("tpe", SCORES, sampler="tpe", repeat=np.arange(40) % 2),
    ]
    curves = [c for one in arms for c in budget_curves(one, summarize(one, 2, PROTOCOL).curve)]
    figure = budget_figure(curves, PROTOCOL, arm_styles(["new", "old", "tpe"]))
    by_trials, by_seconds = figure.axes  # nobody counted epochs
    labels = [line.get_label() for line in by_trials.lines]
    assert [str(label) for label in labels if not str(label).startswith("_")] == [
        "new", "old", "tpe (best so far)",
    ]  # fmt: skip
    assert len(by_trials.collections) == 2 and len(by_seconds.collections) == 1
    assert by_seconds.get_xlabel() == (
        "seconds (k times the mean per trial)\nleft out, cost unknown: old"
    )
    assert by_seconds.get_xscale() == "log"
    # An arm keeps its colour where another is missing.
    assert by_seconds.lines[1].get_color() == by_trials.lines[2].get_color()


def test_a_single_trial_can_be_drawn(arm: Make) -> None:
    one = arm("new", [0.5], seconds=[3.0])
    curves = budget_curves(one, summarize(one, 1, PROTOCOL).curve)
    figure = budget_figure(curves, PROTOCOL, arm_styles(["new"]))
    assert np.asarray(figure.axes[1].lines[0].get_xdata()).tolist() == [3.0]
    figure.canvas.draw()


def test_without_known_costs_only_trials_are_drawn(arm: Make) -> None:
    arms = [arm(name, SCORES, seconds=np.full(40, np.nan)) for name in ("new", "old")]
    curves = [c for one in arms for c in budget_curves(one, summarize(one, 2, PROTOCOL).curve)]
    figure = budget_figure(curves, PROTOCOL, arm_styles(["new", "old"]))
    assert [axes.get_title("left") for axes in figure.axes] == ["By trials"]
    with_epochs = [
        c
        for one in arms
        for c in budget_curves(one, summarize(one, 2, PROTOCOL).curve, epochs=np.full(40, 2.0))
    ]
    figure = budget_figure(with_epochs, PROTOCOL, arm_styles(["new", "old"]))
    assert [axes.get_title("left") for axes in figure.axes] == ["By trials", "By epochs"]
