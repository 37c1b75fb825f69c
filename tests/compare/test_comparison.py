from collections.abc import Callable

import numpy as np
import pytest

from tuner.compare import Arm, Protocol, Retrained, compare
from tuner.compare.report.rows import arm_rows
from tuner.errors import InvalidInput

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
    assert "learnt: trials of the tpe sampler are no independent draws" in notes
    assert (
        "foreign: nobody recorded the sampler" in notes and "say so with sampler=random." in notes
    )
    assert "cut: 2 of 3 trials were pruned" in notes


@pytest.mark.parametrize("shape", [(9, 449), (449,)])
def test_hits_that_do_not_belong_to_the_seeds_are_refused(shape: tuple[int, ...]) -> None:
    hits = np.ones(shape, dtype=bool)
    with pytest.raises(InvalidInput, match="hits: needs a row of images for each of 10 seeds"):
        Retrained({}, val=np.full(10, 0.9), test=np.full(10, 0.9), hits=hits)


def test_what_the_scores_generalise_to_is_noted_once_where_it_is_known(arm: MakeArm) -> None:
    arms = [arm(name, RNG.random(60)) for name in ("a", "b")]
    sentence = "The test images are by other people."
    notes = compare(arms, Protocol(scored_on=sentence)).notes
    assert notes.count(sentence) == 1
    assert "" not in compare(arms, Protocol()).notes


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
    summaries = compare(arms, Protocol(target=0.965)).arms
    assert [f"a: {one.retrained.luck}" for one in summaries[:1] if one.retrained] == told
    assert summaries[1].retrained is not None and summaries[1].retrained.luck is None


def test_a_target_never_reached_gives_a_bound_and_a_note(arm: MakeArm) -> None:
    found = compare([arm("a", np.full(60, 0.5)), arm("b", RNG.random(60))], Protocol(target=0.99))
    target = found.arms[0].target
    assert target is not None and target.hits == 0
    assert (target.trials.value, target.trials.low, target.seconds) == (None, 49, None)
    assert any(note.startswith("a: no trial reached the target of 99.00%") for note in found.notes)


def test_an_arm_that_failed_altogether_is_compared_and_named(arm: MakeArm) -> None:
    lost = arm("lost", np.full(60, 0.1), failed=np.ones(60, dtype=bool))
    found = compare([arm("won", 0.9 + 0.05 * RNG.random(60)), lost], Protocol())
    assert (found.verdict.kind, found.verdict.winner) == ("unconfirmed", "won")
    assert "lost: all 60 trials diverged or failed." in found.notes


def test_ties_everywhere_are_no_verdict(arm: MakeArm) -> None:
    """Who scores the same whatever is tried has learned nothing, or nobody knows whether."""
    found = compare([arm("a", np.full(60, 0.9)), arm("b", np.full(60, 0.9))], Protocol())
    chance = found.contrasts[0].probability
    assert (found.verdict.kind, found.verdict.winner) == ("inconclusive", None)
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


def test_an_arm_that_searches_nothing_is_told_by_its_median_and_not_as_a_search(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    seeds = 0.9 + 0.01 * np.linspace(-1, 1, 20)
    arms = [
        arm("filter", 0.95 + 0.02 * RNG.random(60), retrained=retrained(0.95)),
        arm("magnitude", 0.95 + 0.02 * RNG.random(60)),
        arm("untuned", seeds, sampler="defaults", retrained=retrained(0.8)),
    ]
    found = compare(arms, Protocol(target=0.905, k=5))
    untuned, tuned = found.arms[2], found.arms[0]
    assert (untuned.curve, untuned.best_of) == ((), ())
    assert untuned.median is not None and untuned.median.value == pytest.approx(0.9)
    assert untuned.median.interval is not None and tuned.median is None
    assert untuned.target is not None and untuned.target.trials is None
    assert untuned.target.share.value == 0.25
    contrast = found.contrasts[1]
    assert (contrast.second, contrast.best_of_k, contrast.speedups) == ("untuned", None, {})
    assert contrast.test is not None
    rows = dict(arm_rows(found))
    assert rows["best"][2] == rows["trials for 95% success"][2] == "-"
    assert rows["median of all seeds"] == ["-", "-", "90.00% [89.53, 90.47]"]
    notes = " ".join(note for note in found.notes if "trained together" not in note)
    assert "untuned" not in notes and "different numbers" not in notes


def test_repeats_are_counted_as_searches_and_not_as_an_arm_of_another_length(
    arm: MakeArm,
) -> None:
    arms = [
        *(arm(name, RNG.random(60)) for name in ("a", "b")),
        arm("c", RNG.random(80), sampler="tpe", repeat=np.repeat(np.arange(4), 20)),
    ]
    found = compare(arms, Protocol())
    assert dict(arm_rows(found))["trials"] == ["60", "60", "4 x 20"]
    assert not any("different numbers" in note for note in found.notes)
    interim = [*arms[:2], arm("c", RNG.random(6), sampler="tpe", repeat=[0, 0, 0, 0, 1, 1])]
    assert dict(arm_rows(compare(interim, Protocol())))["trials"][2] == "6 in 2"
    unequal = compare([arms[0], arm("b", RNG.random(70)), arms[2]], Protocol())
    assert any("numbers of trials (a 60, b 70); contrasts" in note for note in unequal.notes)


@pytest.mark.parametrize(
    ("scores", "unit", "hint"),
    [(0.5, "accuracy", None), (0.5, "score", True), (7.0, "score", False)],
)
def test_scores_without_known_bounds_are_compared_by_their_median_with_a_hint_where_it_helps(
    arm: MakeArm, scores: float, unit: str, hint: bool | None
) -> None:
    arms = [arm(name, np.full(60, scores)) for name in ("a", "b")]
    comparison = compare(arms, Protocol(unit=unit))
    notes = [note for note in comparison.notes if note.startswith("These scores have no known")]
    assert (notes != []) is (hint is not None)
    assert hint is None or ("unit=accuracy bounds them" in notes[0]) is hint
    assert all(point.low is not None for point in comparison.arms[0].curve if 1 < point.k < 6)


def test_a_median_lacks_an_interval_only_where_it_is_said(arm: MakeArm) -> None:
    rng = np.random.default_rng(0)
    arms = [arm(name, rng.normal(size=60)) for name in ("a", "b")]
    for k, given in ((1, True), (5, True), (10, True), (20, False)):
        comparison = compare(arms, Protocol(k=k, unit="score"))
        assert (comparison.contrasts[0].best_of_k.interval is not None) is given
        said = [note for note in comparison.notes if note.startswith("No interval of the best")]
        assert bool(said) is not given
    assert said == [
        "No interval of the best of 20 is given for a, b: one end of it is unknown with fewer "
        "than about 107 trials."
    ]
    assert comparison.verdict.more == 47
    assert "needs at least 107 trials in every arm, 47 more" in comparison.verdict.text


def test_equal_scores_are_noted_only_where_an_interval_is_given(arm: MakeArm) -> None:
    same = np.full(12, 0.9)
    arms = [
        arm("short", same),
        arm("long", RNG.random(60)),
        arm("learnt", np.full(60, 0.9), sampler="tpe"),
        arm("untuned", same, sampler="defaults"),
    ]
    notes = " ".join(compare(arms, Protocol(k=2)).notes)
    assert "No interval of the best of 2 is given for short" in notes
    assert "scores are the same" not in notes


def test_an_arm_below_k_is_not_spoken_of_as_compared_by_k(arm: MakeArm) -> None:
    arms = [*(arm(name, RNG.random(60)) for name in ("a", "b")), arm("few", RNG.random(3))]
    notes = " ".join(compare(arms, Protocol(k=5)).notes)
    assert "No interval" not in notes and "different numbers" not in notes


def test_a_pruned_arm_that_searches_nothing_misses_only_its_share(arm: MakeArm) -> None:
    cut = arm("cut", [0.4, 0.5], sampler="defaults", pruned=[True, False])
    arms = [*(arm(name, RNG.random(60)) for name in ("a", "b")), cut]
    (told,) = (note for note in compare(arms, Protocol()).notes if note.startswith("cut"))
    assert "the good-region share is left out" in told and "best of k" not in told


def test_a_target_never_reached_says_what_the_misses_still_show(arm: MakeArm) -> None:
    found = compare([arm(name, np.full(60, 0.5)) for name in ("a", "b")], Protocol(target=0.9))
    # 0 of 60: at most 1 - .025^(1/60) = 5.96% do, and ln .05 / ln(1 - .0596) = 48.7 trials.
    assert (
        "a: no trial reached the target of 90.00%; at most 6% of its trials do (95% CI), so a "
        "chance of 95% takes at least 49 trials."
    ) in found.notes
    assert dict(arm_rows(found))["trials for 95% success"] == ["at least 49 (95% CI)"] * 2


def test_luck_is_told_only_where_the_fresh_seeds_show_it(arm: MakeArm) -> None:
    scores = np.linspace(0.9, 0.97, 60)
    noisy = Retrained({}, val=0.955 + 0.03 * np.linspace(-1, 1, 10), test=np.full(10, 0.9))
    arms = [arm(name, scores, retrained=noisy) for name in ("a", "b")]
    assert noisy.val.mean() < 0.965
    assert not any("lucky" in note for note in compare(arms, Protocol(target=0.965)).notes)


def test_k_that_nobody_declared_is_explained(arm: MakeArm) -> None:
    arms = [arm(name, RNG.random(60)) for name in ("a", "b")]
    told = "k* was not declared: 3 is a twentieth of the smallest arm, but at least 2."
    assert told in compare(arms, Protocol()).notes
    assert told not in compare(arms, Protocol(k=3)).notes


def test_seconds_of_unlike_batches_are_neither_compared_nor_left_unsaid(arm: MakeArm) -> None:
    arms = [
        arm("wide", RNG.random(60), batch=np.repeat(np.arange(3), 20)),
        arm("narrow", RNG.random(60), batch=np.arange(60)),
    ]
    found = compare(arms, Protocol(target=0.5))
    seconds = found.contrasts[0].speedups["seconds"]
    assert (seconds.value, seconds.low) == (None, None)
    assert seconds.reason is not None and "batches of different sizes" in seconds.reason
    assert any("trained together: wide 20, narrow 1" in note for note in found.notes)
    like = compare([arms[0], arm("b", RNG.random(60), batch=arms[0].batch)], Protocol())
    assert not any("trained together" in note for note in like.notes)


def test_the_interval_that_supposes_what_was_seen_stands_in_a_note(arm: MakeArm) -> None:
    rng = np.random.default_rng(5)
    arms = [arm("a", rng.uniform(0.8, 0.9, 200)), arm("b", rng.uniform(0.7, 0.79, 200))]
    best = arm("best of defaults", np.full(5, 0.95), sampler="defaults")
    comparison = compare([*arms, best], Protocol(k=10))
    note = next(
        note for note in comparison.notes if "no further trial would score outside" in note
    )
    assert "suppose no more than that scores lie within 0.00% to 100.00%" in note
    assert "to 95.00%, a differs from b by +1" in note
    contrast = comparison.contrasts[0]
    known, seen = contrast.best_of_k, contrast.best_of_k_seen
    assert known.low < seen.low < seen.value == known.value < seen.high < known.high
    alone = compare(arms, Protocol(k=10)).contrasts[0]
    assert alone.best_of_k == known  # a third arm has no say in the headline
    assert alone.best_of_k_seen.low > seen.low  # nothing shows that .95 can be reached
    losses = compare([*arms, best], Protocol(k=10, unit="score"))
    assert losses.contrasts[0].best_of_k_seen is None
    assert not any("no further trial" in note for note in losses.notes)


def test_a_single_trial_is_not_called_a_twentieth(arm: MakeArm) -> None:
    notes = compare([arm("a", [0.9]), arm("b", [0.8])], Protocol()).notes
    assert not any("twentieth" in note for note in notes)
