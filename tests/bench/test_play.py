"""Sides take turns, ratios are formed within rounds, and no process is left over."""

from itertools import pairwise
from multiprocessing import active_children

import pytest
from scipy.stats import ttest_ind

from tests.bench.jobs import AsksForLibrary, Counts, Dies, Raises, Works
from tuner.bench.child import Child
from tuner.bench.contests import CONTESTS, Setup
from tuner.bench.match import Match, Side
from tuner.bench.play import started
from tuner.bench.rows import alone, by_difference, by_ratio
from tuner.errors import TunerError
from tuner.kernels import library


def match(*sides, **fields):
    made = [Side(name, jobs if isinstance(jobs, tuple) else (jobs,)) for name, jobs in sides]
    given = {
        "pairs": [("a", "b")],
        "value": lambda slices: sum(part.work for part in slices),
        "judge": by_ratio,
        **fields,
    }
    return Match("c", "a workload", "a measure", "a unit", made, **given)


@pytest.fixture(autouse=True)
def no_process_is_left_over():
    others = set(active_children())  # of tests that ran in this process before
    yield
    assert set(active_children()) <= others


def test_a_ratio_is_formed_within_a_round_and_the_median_taken_afterwards():
    rounds = [{"a": 10, "b": 1}, {"a": 30, "b": 6}, {"a": 40, "b": 4}]
    (row,) = by_ratio(match(), rounds)
    assert (row.low, row.ratio, row.high) == (5, 10, 10)
    assert row.ratio != row.value / row.baseline_value == 30 / 4
    assert (row.variant, row.baseline, row.difference) == ("a", "b", None)


def test_what_has_no_baseline_gets_a_median_and_no_ratio():
    (row,) = alone(match(pairs=[("a", None)]), [{"a": 3}, {"a": 1}, {"a": 2}])
    assert (row.low, row.value, row.high) == (1, 2, 3)
    assert row.baseline is row.baseline_value is row.ratio is None


def test_a_difference_comes_with_welchs_interval():
    first, second = [97.0, 98.5, 97.9, 98.8], [96.0, 98.0, 99.1, 96.4]
    rounds = [{"a": a, "b": b} for a, b in zip(first, second, strict=True)]
    (row,) = by_difference(match(), rounds)
    expected = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
    assert row.difference == pytest.approx(row.value - row.baseline_value)
    assert row.ratio is None
    (row,) = by_difference(match(), [{"a": 1, "b": 1}] * 3)
    assert (row.low, row.difference, row.high) == (0, 0, 0)
    (row,) = by_difference(match(), rounds[:1])
    assert row.low is row.high is None


def test_processes_live_on_and_the_best_of_several_baselines_is_taken_in_each_round():
    played = match(
        ("a", (Counts(2), Counts(4))),
        ("b", Counts(1)),
        ("c", Counts(3)),
        best_of={"best": ("b", "c")},
    )
    with started(played) as play:
        rounds = [play(0), play(1)]
    assert rounds == [
        {"a": 6, "b": 1, "c": 3, "best": 3},
        {"a": 12, "b": 2, "c": 6, "best": 6},
    ]


@pytest.mark.slow
def test_two_sides_never_work_at_the_same_time_and_change_places_every_round():
    spans = []

    def keep(slices):
        spans.extend((part.work, part.seconds) for part in slices)
        return 1.0

    with started(match(("a", Works()), ("b", Works()), value=keep)) as play:
        orders = [list(play(number)) for number in range(3)]
    assert orders == [["a", "b"], ["b", "a"], ["a", "b"]]
    assert len(spans) == 6
    assert all(ended <= begins for (_, ended), (begins, _) in pairwise(spans))


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Raises(), "c, b: ValueError: this went wrong$"),
        (Dies(), "c, b: .*ended with exit status 3$"),
    ],
)
def test_a_process_that_fails_is_named_in_one_line(job, words):
    with (
        pytest.raises(TunerError, match=words),
        started(match(("a", Works()), ("b", job))) as play,
    ):
        play(0)
        play(1)


@pytest.mark.slow
def test_the_variant_without_a_compiler_runs_without_the_library(tmp_path):
    (played,) = CONTESTS["resnet20"].matches(Setup(tmp_path, processes=2, quick=True))
    there = {}
    for side in (side for side in played.sides if side.name in ("auto", "float32", "no compiler")):
        child = Child(side.name, AsksForLibrary(), side.variables)
        try:
            child.tell("run")
            there[side.name] = bool(child.answer().work)
        finally:
            child.close()
    assert not there["no compiler"]
    assert there["auto"] == there["float32"] == (library() is not None)
    (searches,) = CONTESTS["digits"].matches(Setup(tmp_path, processes=2))
    (off,) = (side for side in searches.sides if side.name == "no compiler")
    assert off.variables["TUNER_KERNELS"] == "off"
