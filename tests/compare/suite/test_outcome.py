"""What comparisons over workloads say together, and in which words."""

from math import inf, log

import numpy as np
import pytest
from made_suites import FIVE, MISSES, N, suite

from tuner.compare import Protocol, compare
from tuner.compare.suite.outcome import Declaration, answered
from tuner.compare.suite.said import heading, interim, kind, scope, sentences
from tuner.errors import InvalidInput


def test_costs_are_expected_trials_and_a_miss_is_infinite():
    made = suite(MISSES)
    np.testing.assert_allclose(made.costs[0], [N / 20, N / 10, N / 12])
    np.testing.assert_array_equal(made.costs[3, 1], inf)
    np.testing.assert_array_equal(made.costs[5, :2], [inf, inf])
    assert [share.value for share in made.profiles["new"]][-1] == pytest.approx(5 / 6)
    assert [share.value for share in made.profiles["old"]][-1] == pytest.approx(4 / 6)


def test_the_pooled_speedup_is_the_geometric_mean_of_what_each_comparison_says():
    made = suite(FIVE)
    each = [made.speedup(name).value for name in made.comparisons]
    assert each == pytest.approx([x / y for x, y, _ in FIVE.values()])
    assert log(made.pooled["trials"].speedup.value) == pytest.approx(np.mean(np.log(each)))
    assert made.pooled["epochs"].speedup.value == pytest.approx(
        made.pooled["trials"].speedup.value
    )


def test_the_answer_names_the_workloads_the_targets_and_what_leaving_one_out_does():
    made = suite(FIVE)
    assert kind(made) == "supported"
    assert heading(made) == "Over 5 workloads: new needs fewer trials"
    speedup, without, against, profile = sentences(made)
    assert against.startswith("Against narrow in place of old: 1.8 (95% CI 0.")
    assert "new needs 2.5 (95% CI 1." in speedup
    assert "times fewer random trials than old, the geometric mean over 5 workloads" in speedup
    assert without.startswith("Without any one of the workloads it is 2.2 to 3.0; the interval")
    assert "new on 4 of 5" in profile and "narrow on 1 of 5" in profile
    assert all(f"{name} (workload {name}, to 90.00%)" in scope(made) for name in FIVE)
    assert "random draw" in scope(made)


def test_seen_the_other_way_round_the_other_arm_wins_only_where_they_were_compared():
    with pytest.raises(InvalidInput, match="'old' is not held against 'new' on workload one"):
        suite(FIVE, arms=("old", "new"))


def test_the_old_arm_wins_where_the_interval_lies_below_one():
    turned = {name: (y, x, z) for name, (x, y, z) in FIVE.items()}
    assert heading(suite(turned)) == "Over 5 workloads: old needs fewer trials"


def test_misses_are_said_and_leave_a_lower_bound():
    said = sentences(suite(MISSES))
    assert "new needs at least 1." in said[0]
    assert (
        "Only a lower bound can be given: the old arm missed the target on 1 workload" in said[0]
    )
    assert "old missed the target on four, six: none of its trials reached it" in " ".join(said)
    assert "On 1 workload neither new nor old reached the target" in " ".join(said)


def test_no_difference_is_said_so():
    alike = suite(dict.fromkeys(FIVE, (10, 10, 10)))
    assert heading(alike) == "Over 5 workloads: no difference is shown"
    assert kind(alike) == "inconclusive"
    assert "never excludes 1" in sentences(alike)[1]


def test_what_is_missing_makes_it_interim():
    made = suite(FIVE, missing=("six", "seven"))
    assert heading(made) == "Interim, over 5 workloads: new needs fewer trials"
    assert interim(made) == ["Nothing came out yet of six, seven."]
    assert interim(suite(FIVE)) == []


def test_two_workloads_have_an_estimate_and_no_interval():
    made = suite(dict(list(FIVE.items())[:2]))
    assert "an interval needs 4 workloads" in sentences(made)[0].lower()
    assert kind(made) == "inconclusive"


def test_an_arm_without_a_number_of_trials_is_refused(arm):
    scores = np.linspace(0, 1, 20)
    arms = [arm("new", scores, sampler="tpe"), arm("old", scores)]
    learned = compare(arms, Protocol(target=0.9, workload="digits"))
    declared = Declaration("made", "", ("new", "old"), ("a",), "")
    with pytest.raises(InvalidInput, match="'new' has no share of independent trials at a target"):
        answered(declared, {"a": learned})
    with pytest.raises(InvalidInput, match="'other' is not in it, on digits"):
        answered(Declaration("made", "", ("other", "old"), ("a",), ""), {"a": learned})
    with pytest.raises(InvalidInput, match="none of its comparisons has come out yet"):
        answered(declared, {})


def test_seconds_are_left_out_where_they_are_not_known_on_every_workload(arm):
    def compared(hits, **given):
        arms = [
            arm(name, np.where(np.arange(N) < reached, 0.95, 0.5), **given)
            for name, reached in zip(("new", "old"), hits, strict=True)
        ]
        return compare(arms, Protocol(target=0.9))

    declared = Declaration("made", "", ("new", "old"), ("a", "b"), "")
    timed, untimed = compared((9, 5)), compared((9, 0), seconds=np.full(N, np.nan))
    assert "seconds" in answered(declared, {"a": timed, "b": timed}).pooled
    assert set(answered(declared, {"a": timed, "b": untimed}).pooled) == {"trials"}
