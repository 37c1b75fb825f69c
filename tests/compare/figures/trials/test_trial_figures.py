"""The figures of single trials: drawn for every kind of search, and what is missing is said."""

import math
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from tuner.compare.figures import standalone
from tuner.compare.figures.trials.registry import TRIAL_FIGURES, svg
from tuner.compare.figures.trials.tried import BEST, Searched, Tried, TriedTrial, thinned

RANGES = {
    "alpha": Searched(1e-5, 1e-1, log=True),
    "gamma": Searched(0.0, 1.0),
    "schedule": Searched(0.0, 2.0, choices=("constant", "cosine", "step$_1")),
    "scaling": Searched(0.0, 1.0, choices=(True, False)),
}


def trial(rng: np.random.Generator, **changes: object) -> TriedTrial:
    score = float(rng.random())
    made = TriedTrial(
        params={
            "alpha": float(10 ** rng.uniform(-5, -1)),
            "gamma": float(rng.random()),
            "schedule": ("constant", "cosine", "step$_1")[int(rng.integers(3))],
            "scaling": bool(rng.integers(2)),
        },
        score=score,
        epochs=(1.0, 2.0, 3.0),
        values=(0.1, score / 2, score),
        pruned=False,
    )
    return replace(made, **changes)


def search(n: int, **changes: object) -> Tried:
    rng = np.random.default_rng(0)
    made = Tried(RANGES, [trial(rng) for _ in range(n)], n, "random", "#0072B2")
    return replace(made, **changes)


def failed(n: int) -> list[TriedTrial]:
    rng = np.random.default_rng(1)
    return [trial(rng, score=math.nan, epochs=(), values=()) for _ in range(n)]


@pytest.mark.parametrize("name", TRIAL_FIGURES)
@pytest.mark.parametrize(
    "tried",
    [
        search(1),
        search(BEST + 1),
        search(40),
        replace(search(3), trials=[*search(3).trials, *failed(2)], n_ended=5),
        replace(search(30), sampler="tpe"),
        replace(
            search(9),
            trials=[replace(t, pruned=i % 2 == 0) for i, t in enumerate(search(9).trials)],
        ),
        replace(search(8), trials=[replace(t, score=0.5) for t in search(8).trials]),
    ],
    ids=["one", "few", "many", "some failed", "learning", "some pruned", "all alike"],
)
def test_a_figure_is_drawn_and_explained_for_every_kind_of_search(name: str, tried: Tried):
    heading, file = TRIAL_FIGURES[name]
    assert heading and file.trials(tried)
    picture = svg(name, tried)
    assert ElementTree.fromstring(standalone(picture)).tag == "{http://www.w3.org/2000/svg}svg"
    assert svg(name, tried) == picture
    caption = file.caption(tried)
    assert caption.endswith(".") and ".." not in caption
    lost = tried.n_ended - len(tried.scored)
    assert ("Left out: 2 without" in caption) == bool(lost)
    tells_of_sampler = name != "learning_curves" and tried.sampler == "tpe"
    assert ("only random search's trials say what the axes show" in caption) == tells_of_sampler
    assert ("by the pruner" in caption) == any(t.pruned for t in tried.trials)


@pytest.mark.parametrize("name", TRIAL_FIGURES)
def test_a_figure_of_very_many_trials_is_small_and_says_what_it_leaves_out(name: str):
    tried = replace(search(1000), n_ended=10_000)
    file = TRIAL_FIGURES[name][1]
    n_drawn = len(file.trials(tried))
    assert len(svg(name, tried)) < 700_000
    assert f"Drawn: {n_drawn:,} of the 10,000 trials that have ended" in file.caption(tried)
    best = sorted(tried.trials, key=lambda one: one.score)[-BEST:]
    assert list(file.trials(tried))[-BEST:] == best


@pytest.mark.parametrize("name", TRIAL_FIGURES)
def test_a_figure_with_nothing_to_draw_is_left_out(name: str):
    file = TRIAL_FIGURES[name][1]
    assert not file.trials(replace(search(0), trials=failed(3), n_ended=3))
    nothing_searched = replace(search(5), searched={})
    assert bool(file.trials(nothing_searched)) == (name == "learning_curves")


def test_a_value_lies_where_its_range_has_it():
    assert RANGES["alpha"].height(1e-3) == pytest.approx(0.5)
    assert RANGES["gamma"].height(0.25) == pytest.approx(0.25)
    assert [RANGES["schedule"].height(c) for c in RANGES["schedule"].choices] == [0.0, 0.5, 1.0]
    assert Searched(0.0, 0.0, choices=("only",)).height("only") == 0.5


def test_thinning_keeps_the_best_and_spreads_over_the_rest():
    ordered = sorted(search(500).trials, key=lambda one: one.score)
    kept = thinned(ordered, 50)
    assert len(kept) == 50 and kept[-BEST:] == ordered[-BEST:] and kept[0] == ordered[0]
    places = [ordered.index(one) for one in kept[:-BEST]]
    assert places == sorted(set(places)) and max(np.diff(places)) <= 12
    assert thinned(ordered[:50], 50) == ordered[:50]
