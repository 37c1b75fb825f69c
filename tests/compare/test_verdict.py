import json

import numpy as np
import pytest

from tests.compare.made_verdicts import PAIR, WORKLOAD, MakeArm, by_fresh, fresh, judged, scores
from tuner.compare import Protocol, compare, words
from tuner.compare.arm import SelectedRuns
from tuner.compare.report.data import to_json
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.verdict import further
from tuner.wording import rounded


def test_a_clear_difference_is_supported_with_ranges_workload_and_uncertainty(
    arm: MakeArm,
) -> None:
    verdict = by_fresh(arm, 0.97, 0.93).verdict
    assert (verdict.kind, verdict.winner, verdict.more) == ("supported", "filter", None)
    assert verdict.text.startswith(
        f"With these ranges, on {WORKLOAD}, the setting that a search of 10 random trials "
        "selects, trained afresh, reaches higher test accuracy in filter than in magnitude: +"
    )
    assert (
        "in the median over 20 searches of each, filter ahead in 100% of all pairs. Not tested on "
        "other workloads."
    ) in verdict.text
    assert verdict.ranges.startswith("Ranges: filter (alpha 1e-05 .. 0.1, log), magnitude (")
    assert "better" not in verdict.text


def test_the_old_arm_can_win_and_is_named(arm: MakeArm) -> None:
    verdict = by_fresh(arm, 0.93, 0.97).verdict
    assert (verdict.kind, verdict.winner) == ("supported", "magnitude")
    assert "in magnitude than in filter: +" in verdict.text
    assert "magnitude ahead in 100% of all pairs" in verdict.text
    assert "goes against filter, the arm taken as new" in verdict.text


def test_validation_scores_alone_are_never_a_verdict(arm: MakeArm) -> None:
    """Two spaces whose settings are all as good; the noisier one shows higher scores."""
    rng = np.random.default_rng(0)
    noisy, quiet = rng.normal(0.95, 0.015, 100), rng.normal(0.95, 0.005, 100)
    verdict = judged(arm, noisy, quiet, k=10).verdict
    assert (verdict.kind, verdict.winner) == ("unconfirmed", "filter")
    assert verdict.heading == "Unconfirmed: filter scores higher"
    assert "noise, most where runs are noisiest" in verdict.text
    assert "nothing that the searches of filter and magnitude selected" in verdict.text
    same = judged(arm, noisy, quiet, k=10, afresh=(0.95, 0.95)).verdict
    assert (same.kind, same.winner) == ("equivalent", None)


def test_no_arm_is_called_new_where_none_was_declared(arm: MakeArm) -> None:
    arms = [arm("a", scores(0.93, 0)), arm("b", scores(0.97, 1))]
    verdict = compare(arms, Protocol()).verdict
    assert verdict.winner == "b" and "taken as new" not in verdict.text


def test_an_interval_inside_the_rope_is_equivalent(arm: MakeArm) -> None:
    verdict = by_fresh(arm, 0.95, 0.95, rope=0.003).verdict
    assert (verdict.kind, verdict.winner) == ("equivalent", None)
    assert "within the region of practical equivalence of ±0.30 points: +0.00" in verdict.text


def test_a_difference_smaller_than_the_rope_is_equivalent_even_if_it_excludes_zero(
    arm: MakeArm,
) -> None:
    verdict = by_fresh(arm, 0.9551, 0.95, rope=0.009).verdict
    assert (verdict.kind, verdict.winner) == ("equivalent", None)


@pytest.mark.parametrize("chance", [None, 0.1])
def test_two_arms_that_learned_nothing_are_not_equivalent(
    arm: MakeArm, chance: float | None
) -> None:
    failed, chances = np.ones(60, dtype=bool), np.full(60, 0.1)
    arms = [
        arm(name, chances, failed=failed, selected=fresh(0.1, spread=0.0)) for name in ("a", "b")
    ]
    verdict = compare(arms, Protocol(chance=chance)).verdict
    assert (verdict.kind, verdict.winner, verdict.more) == ("inconclusive", None, None)
    assert "neither learned anything: no trial did better than chance" in verdict.text


def test_scores_about_chance_are_nothing_learned_although_no_trial_failed(arm: MakeArm) -> None:
    rng = np.random.default_rng(0)
    arms = [
        arm(name, rng.normal(0.1, 0.01, 60), selected=fresh(0.1, spread=0.001))
        for name in ("a", "b")
    ]
    assert compare(arms, Protocol(chance=0.1)).verdict.kind == "inconclusive"
    assert compare(arms, Protocol(chance=0.0)).verdict.kind == "equivalent"


def test_too_few_trials_are_inconclusive_and_say_how_many_more(arm: MakeArm) -> None:
    arms = [
        arm(name, scores(0.96, 0), selected=fresh(mean, spread=0.02))
        for name, mean in (("filter", 0.951), ("magnitude", 0.95))
    ]
    few = compare(arms, Protocol(rope=0.0001))
    assert few.verdict.kind == "inconclusive"
    assert few.verdict.more is not None and few.verdict.more > 0
    assert f"about {rounded(few.verdict.more):,} more trials per arm" in few.verdict.text
    gap = few.contrasts[0].difference
    assert gap is not None and gap.interval is not None and gap.value > 0
    share = gap.value / (gap.value - gap.interval[0])  # to which the end beyond zero must come
    assert few.verdict.more == 10 * np.ceil(20 * (share**-2 - 1))


@pytest.mark.parametrize(
    ("estimate", "sizes", "rope", "more"),
    [
        (Estimate(1.0, -1.0, 4.0), (100, 100), 0.0, 300),
        (Estimate(-1.0, -4.0, 1.0), (100, 100), 0.0, 300),
        (Estimate(1.0, -0.25, 4.0), (100, 100), 0.0, 57),
        (Estimate(0.0, -2.0, 2.0), (100, 100), 1.0, 300),
        (Estimate(0.5, -4.5, 3.0), (100, 100), 1.0, 2400),
        (Estimate(1.0, -0.25, 4.0), (100_000, 100), 0.0, 57),
        (Estimate(1.0, -1.0, 4.0), (100_000, 100), 0.0, 302),
        (Estimate(0.0, -2.0, 2.0), (100, 100), 0.0, None),
    ],
)
def test_more_trials_move_the_end_of_the_interval_that_is_in_the_way(
    estimate: Estimate, sizes: tuple[int, int], rope: float, more: int | None
) -> None:
    assert further(estimate, sizes, rope) == more


def test_too_few_searches_have_no_interval_and_say_how_many_it_takes(arm: MakeArm) -> None:
    arms = [arm(n, scores(0.96, 0), selected=fresh(m, 9, planned=9)) for n, m in PAIR]
    verdict = compare(arms, Protocol()).verdict
    assert (verdict.kind, verdict.winner, verdict.more) == ("inconclusive", None, 10)
    assert (
        "9 searches of each selected a setting that was trained afresh, and the only look is due "
        "after 10."
    ) in verdict.text


def test_an_early_look_needs_more_than_the_last_one(arm: MakeArm) -> None:
    """Fifteen searches that tell by themselves do not as a look before thirty."""
    rng = np.random.default_rng(0)
    tests = {"filter": rng.normal(0.955, 0.005, 15), "magnitude": rng.normal(0.95, 0.005, 15)}
    kinds = [
        compare(
            [
                arm(
                    name,
                    scores(0.96, 0),
                    selected=SelectedRuns(np.arange(15), runs, runs, planned),
                )
                for name, runs in tests.items()
            ],
            Protocol(looks=(0.5,)),
        ).verdict.kind
        for planned in (15, 30)
    ]
    assert kinds == ["supported", "inconclusive"]


def test_a_lead_that_narrow_ranges_are_shown_to_more_than_halve_is_fragile_and_says_so_first(
    arm: MakeArm,
) -> None:
    verdict = by_fresh(arm, 0.97, 0.93, 0.965).verdict
    assert verdict.kind == "fragile"
    assert verdict.text.startswith(
        "The result hangs on the ranges: with the narrow ranges of magnitude_narrow in place of "
        "magnitude, filter leads by less than half as much, +"
    )
    assert "that less than half is left is shown at the 95% level" in verdict.text


def test_a_lead_that_narrow_ranges_reverse_is_fragile_for_either_winner(arm: MakeArm) -> None:
    led = by_fresh(arm, 0.96, 0.93, 0.97).verdict
    assert led.kind == "fragile" and "filter leads by less than half as much, -" in led.text
    trailed = by_fresh(arm, 0.93, 0.96, 0.92).verdict
    assert trailed.kind == "fragile" and "filter trails by less than half as much, +" in (
        trailed.text
    )


def test_equivalence_that_narrow_ranges_break_is_fragile(arm: MakeArm) -> None:
    verdict = by_fresh(arm, 0.95, 0.95, 0.96).verdict
    assert verdict.kind == "fragile"
    assert "filter is no longer equivalent, -" in verdict.text


def test_equivalence_breaks_only_where_the_narrow_ranges_differ_by_more_than_the_region(
    arm: MakeArm,
) -> None:
    """Half the region away, the control differs from the new arm, and may be equivalent to it."""
    spread = np.linspace(-1e-4, 1e-4, 20)
    levels = {"filter": 0.95, "magnitude": 0.95, "magnitude_narrow": 0.9475}
    for rope, kind, text in (
        (0.003, "equivalent", "; equivalent too."),
        (0.0025, "equivalent", "too wide to tell whether the result hangs on the ranges"),
        (0.002, "fragile", "filter is no longer equivalent, +0.25 points"),
    ):
        arms = [
            arm(name, scores(0.96, 0), selected=SelectedRuns(np.arange(20), runs, runs, 20))
            for name, runs in ((name, level + spread) for name, level in levels.items())
        ]
        verdict = compare(arms, Protocol(control="magnitude_narrow", rope=rope)).verdict
        assert verdict.kind == kind and text in verdict.text


def test_a_lead_of_which_more_than_half_is_left_is_supported_and_says_so(arm: MakeArm) -> None:
    verdict = by_fresh(arm, 0.97, 0.93, 0.94).verdict
    assert verdict.kind == "supported"
    assert "Against the narrow ranges of magnitude_narrow the difference is +" in verdict.text
    assert "; more than half of it, so the result holds in narrow ranges too." in verdict.text


def test_a_control_about_half_as_far_away_cannot_tell(arm: MakeArm) -> None:
    verdict = by_fresh(arm, 0.97, 0.93, 0.95).verdict
    assert verdict.kind == "supported"
    assert "; the control cannot tell whether half of it is left." in verdict.text


def test_a_control_of_few_trials_decides_nothing(arm: MakeArm) -> None:
    """Ten trials, drawn as the old arm's: no interval, so nothing is fragile."""
    rng = np.random.default_rng(3)
    new, old = rng.normal(0.96, 0.006, 200), rng.normal(0.93, 0.02, 200)
    for _ in range(20):
        verdict = judged(arm, new, old, rng.normal(0.93, 0.02, 10), k=10).verdict
        assert verdict.kind == "unconfirmed"
        assert "the control cannot tell whether half of it is left" in verdict.text


def test_a_budget_too_large_for_an_interval_is_inconclusive(arm: MakeArm) -> None:
    found = judged(arm, scores(0.97, 0), scores(0.93, 1), k=50).verdict
    assert (found.kind, found.winner, found.more) == ("inconclusive", None, 300)
    assert (
        "best of 50 needs at least 500 trials in every arm, 300 more. The estimate alone"
        in found.text
    )


def test_one_search_by_a_learning_sampler_is_never_a_verdict(arm: MakeArm) -> None:
    arms = [arm("a", scores(0.97, 0), sampler="tpe"), arm("b", scores(0.93, 1), sampler="tpe")]
    found = compare(arms, Protocol()).verdict
    assert (found.kind, found.more) == ("inconclusive", 9)
    assert "repeat each search at least 10 times" in found.text


def test_ten_repeats_whose_settings_are_trained_afresh_are_a_verdict(arm: MakeArm) -> None:
    repeat = np.repeat(np.arange(10), 20)
    arms = [
        arm(n, scores(0.96, 0), sampler="tpe", repeat=repeat, selected=fresh(m, 10, planned=10))
        for n, m in PAIR
    ]
    verdict = compare(arms, Protocol()).verdict
    assert (verdict.kind, verdict.winner) == ("supported", "filter")
    assert "the setting that a whole search by tpe selects, trained afresh," in verdict.text
    assert "in the median over 10 searches of each" in verdict.text


def test_a_supported_lead_that_may_not_matter_says_so(arm: MakeArm) -> None:
    verdict = by_fresh(arm, 0.955, 0.95, rope=0.0045).verdict
    assert verdict.kind == "supported"
    assert "may still be smaller than ±0.45 points" in verdict.text


def test_a_control_that_cannot_be_compared_is_not_passed_over(arm: MakeArm) -> None:
    arms = [arm(name, scores(0.96, 0), selected=fresh(mean)) for name, mean in PAIR]
    narrow = arm("narrow", scores(0.96, 2), sampler="tpe")
    controlled = compare([*arms, narrow], Protocol(control="narrow"))
    assert controlled.verdict.kind == "supported"
    assert "The control narrow allows no comparison" in controlled.verdict.text
    bare = compare(arms, Protocol())
    assert any(note.startswith("No arm with narrow ranges") for note in bare.notes)


def test_the_heading_names_the_arm_that_does_better(arm: MakeArm) -> None:
    assert by_fresh(arm, 0.97, 0.93).verdict.heading == "Supported: filter ahead"
    assert by_fresh(arm, 0.93, 0.97, 0.935).verdict.heading == "Fragile: magnitude ahead"
    assert by_fresh(arm, 0.951, 0.95).verdict.heading == "Equivalent"


def test_an_arm_that_searched_nothing_gives_no_verdict_and_is_named(arm: MakeArm) -> None:
    arms = [arm("a", scores(0.97, 0)), arm("b", scores(0.93, 1), sampler="defaults")]
    found = compare(arms, Protocol()).verdict
    assert found.kind == "inconclusive"
    assert "nothing was tested. b searched nothing, so there is no best" in found.text
    assert "sampler that learns" not in found.text


def test_no_difference_at_all_without_a_region_of_equivalence_is_not_called_too_few(
    arm: MakeArm,
) -> None:
    found = judged(arm, scores(0.95, 0), scores(0.95, 1), rope=0.0, unit="score")
    assert found.verdict.kind == "inconclusive" and found.verdict.more is None
    assert "no difference was shown between filter and magnitude in what a search" in (
        found.verdict.text
    )
    assert "no number of trials shows that there is none." in found.verdict.text
    assert "too few" not in found.verdict.text


def test_what_rounding_leaves_of_equal_scores_is_printed_as_zero() -> None:
    left = Estimate(1e-16, -1.1e-16, 1.1e-16)
    assert words.difference(left, Protocol(unit="loss")) == "+0 (95% CI +0 to +0)"


def test_an_interval_without_width_says_why(arm: MakeArm) -> None:
    arms = [arm(name, np.full(60, 0.8), selected=fresh(0.8, spread=0.0)) for name in ("a", "b")]
    same = compare(arms, Protocol())
    assert "without width only because all scores are the same" in same.verdict.text
    assert any(note.endswith("no width, since all scores are one.") for note in same.notes)


def test_scores_that_differ_by_very_little_are_not_called_the_same(arm: MakeArm) -> None:
    rng = np.random.default_rng(3)
    arms = [arm("a", -1e-14 * rng.random(60)), arm("b", -3e-14 * (1 + rng.random(60)))]
    assert "without width" not in compare(arms, Protocol(unit="loss", rope=0.0)).verdict.text


def test_penalties_do_not_make_an_interval_seem_without_width(arm: MakeArm) -> None:
    scores = np.concatenate([np.full(4, -1e30), -np.linspace(1, 2, 36)])
    arms = [arm("a", scores), arm("b", scores * 1.01)]
    assert "without width" not in compare(arms, Protocol(unit="loss", rope=0.0)).verdict.text


def test_a_number_of_trials_that_nobody_can_run_is_not_told(arm: MakeArm) -> None:
    spread = np.linspace(-0.1, 0.1, 21)
    runs = {"a": 0.8 + spread, "b": 0.8 - spread - 1e-8}
    arms = [
        arm(name, scores(0.96, 0), selected=SelectedRuns(np.arange(21), test, test, 21))
        for name, test in runs.items()
    ]
    verdict = compare(arms, Protocol(rope=0.0)).verdict
    assert (verdict.kind, verdict.more) == ("inconclusive", None)
    assert "it would take more than 1,000,000 further trials per arm" in verdict.text


@pytest.mark.parametrize("penalty", [-1e6, -1e30, -np.finfo(float).max])
def test_one_penalty_changes_no_verdict_on_losses(arm: MakeArm, penalty: float) -> None:
    """In an arm of the primary contrast, or in a third one."""
    rng = np.random.default_rng(0)
    new, old, third = (-rng.normal(mean, 0.01, 40) for mean in (0.30, 0.35, 0.5))
    protocol = Protocol(unit="negated loss", k=2, rope=0.0, primary=("new", "old"))
    calm = compare([arm("new", new), arm("old", old), arm("third", third)], protocol)
    assert (calm.verdict.kind, calm.verdict.winner) == ("unconfirmed", "new")
    for exploded in (new, old, third):
        exploded[7] = penalty
        arms = [arm("new", new), arm("old", old), arm("third", third)]
        loud = compare(arms, protocol)
        assert (loud.verdict.kind, loud.verdict.winner) == ("unconfirmed", "new")
        json.dumps(to_json(loud), allow_nan=False)
    assert any("nothing is supposed of trials" in note for note in loud.notes)


def test_a_heading_says_that_it_is_interim(arm: MakeArm) -> None:
    arms = [arm(name, scores(0.96, 0), selected=fresh(mean)) for name, mean in PAIR]
    told = [compare(arms, Protocol(interim=part)).verdict.heading for part in ("", "9 of 10")]
    assert told == ["Supported: filter ahead", "Interim, supported: filter ahead"]


def test_while_trials_run_validation_scores_alone_claim_nothing(arm: MakeArm) -> None:
    comparison = judged(arm, scores(0.97, 0), scores(0.93, 1), target=0.95, interim="9 of 10")
    verdict = comparison.verdict
    assert (verdict.kind, verdict.winner, verdict.more) == ("inconclusive", None, None)
    assert "nothing is said of filter and magnitude before settings" in verdict.text
    assert "so far, on validation: +4.00 points (95% CI" in verdict.text
    assert "an earlier question is open" in (verdict.speedup or "")
