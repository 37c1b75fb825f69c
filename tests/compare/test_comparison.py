from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare import Arm, Protocol, Retrained, compare

MakeArm = Callable[..., Arm]
RNG = np.random.default_rng(0)


def test_the_first_two_arms_are_contrasted_where_none_is_declared(arm: MakeArm) -> None:
    arms = [arm(name, RNG.random(60)) for name in ("a", "b", "c")]
    found = compare(arms, Protocol())
    assert [(c.first, c.second) for c in found.contrasts] == [("a", "b"), ("a", "c")]
    assert found.k == 3


def test_a_tuning_curve_runs_from_one_trial_to_all_inside_its_band(arm: MakeArm) -> None:
    found = compare([arm("a", RNG.random(150)), arm("b", RNG.random(90))], Protocol(k=7))
    curve = found.arms[0].curve
    assert curve[0].k == 1 and curve[-1].k == 150
    assert {1, 5, 7, 10} <= {point.k for point in curve}
    for point in curve:
        assert point.low is not None and point.high is not None
        assert 0 <= point.low <= point.value <= point.high <= 1
    assert [point.k for point in found.arms[0].best_of] == [1, 5, 7, 10]


def test_other_samplers_leave_best_of_k_out_and_show_the_incumbent_instead(arm: MakeArm) -> None:
    arms = [
        arm("drawn", [0.1, 0.5, 0.3]),
        arm("learnt", [0.2, 0.1, 0.4], sampler="tpe"),
        arm("foreign", [0.2, 0.1, 0.4], sampler="unknown"),
        arm("cut", [0.2, 0.1, 0.4], pruned=[True, False, True]),
    ]
    found = compare(arms, Protocol(target=0.4))
    assert found.arms[0].curve and found.arms[0].target is not None
    for summary in found.arms[1:]:
        assert (summary.curve, summary.best_of, summary.target) == ((), (), None)
        assert [(step.trial, step.best) for step in summary.trace[0]] == [(1, 0.2), (3, 0.4)]
    assert all(c.best_of_k is None and c.probability is None for c in found.contrasts)
    notes = " ".join(found.notes)
    assert "learnt: the tpe sampler learns from its trials" in notes
    assert "foreign: nobody recorded the sampler" in notes and "--sampler random" in notes
    assert "cut: 2 of 3 trials were pruned" in notes


def test_a_target_above_the_retrained_mean_is_noted_where_luck_reached_it(arm: MakeArm) -> None:
    scores = np.linspace(0.9, 0.97, 60)
    runs = Retrained({}, val=np.full(10, 0.962), test=np.full(10, 0.9))
    solid = Retrained({}, val=np.full(10, 0.966), test=np.full(10, 0.9))
    arms = [arm("a", scores, retrained=runs), arm("b", scores, retrained=solid)]
    told = [n for n in compare(arms, Protocol(target=0.965)).notes if "are lucky" in n]
    assert len(told) == 1
    assert told[0].startswith(
        "a: its best setting, found above the target of 96.50%, reaches 96.2"
    )


def test_a_target_never_reached_gives_a_bound_and_a_note(arm: MakeArm) -> None:
    found = compare([arm("a", np.full(60, 0.5)), arm("b", RNG.random(60))], Protocol(target=0.99))
    target = found.arms[0].target
    assert target is not None and target.hits == 0
    assert (target.trials.value, target.trials.low, target.seconds) == (None, 49, None)
    assert any(note.startswith("a: no trial reached the target of 99.00%") for note in found.notes)


def test_an_arm_that_failed_altogether_is_compared_and_named(arm: MakeArm) -> None:
    lost = arm("lost", np.full(60, 0.1), failed=np.ones(60, dtype=bool))
    found = compare([arm("won", 0.9 + 0.05 * RNG.random(60)), lost], Protocol())
    assert (found.verdict.kind, found.verdict.winner) == ("supported", "won")
    assert "lost: all 60 trials diverged or failed." in found.notes
    assert any("lost: all 60 scores are the same" in note for note in found.notes)


def test_ties_everywhere_are_equivalent(arm: MakeArm) -> None:
    found = compare([arm("a", np.full(60, 0.9)), arm("b", np.full(60, 0.9))], Protocol())
    chance = found.contrasts[0].probability
    assert found.verdict.kind == "equivalent"
    assert chance is not None and chance.value == pytest.approx(0.5)


def test_single_trials_are_inconclusive(arm: MakeArm) -> None:
    found = compare([arm("a", [0.9]), arm("b", [0.1])], Protocol())
    assert (found.k, found.verdict.kind, found.verdict.more) == (1, "inconclusive", 999)
    assert "none is stated below 1,000 in every arm; declare a k of 2" in found.verdict.text


def test_seconds_that_nobody_measured_are_unknown_and_not_zero(arm: MakeArm) -> None:
    some = arm("some", [0.5, 0.6], seconds=[2.0, np.nan])
    none = arm("none", [0.5, 0.6], seconds=[np.nan, np.nan])
    found = compare([some, none], Protocol())
    assert (found.arms[0].seconds, found.arms[0].seconds_per_trial) == (2.0, 2.0)
    assert (found.arms[1].seconds, found.arms[1].seconds_per_trial) == (None, None)


def test_test_set_p_values_are_adjusted_for_the_number_of_contrasts(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    arms = [
        arm(name, RNG.random(30), retrained=retrained(mean, 0.01))
        for name, mean in (("a", 0.95), ("b", 0.94), ("c", 0.945))
    ]
    arms.append(arm("bare", RNG.random(30)))
    first, second, third = compare(arms, Protocol()).contrasts
    assert first.test_p is not None and first.test_p_holm == pytest.approx(2 * first.test_p)
    assert second.test_p_holm == second.test_p
    assert third.test is None and third.test_p_holm is None


@pytest.mark.slow
def test_twenty_thousand_trials_are_compared(arm: MakeArm) -> None:
    arms = [arm("a", RNG.beta(2, 2, 20_000)), arm("b", RNG.beta(2, 2.05, 20_000))]
    found = compare(arms, Protocol())
    assert found.k == 1000
    assert found.arms[0].curve[-1].value == arms[0].scores.max()
