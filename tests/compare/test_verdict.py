from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tuner.compare import Arm, Comparison, Protocol, Retrained, compare, words
from tuner.compare.report.rows import contrast_table
from tuner.compare.statistics.estimate import Estimate

MakeArm = Callable[..., Arm]
WORKLOAD = "digits (mlp, 10 epochs)"


def scores(top: float, seed: int, n: int = 200, spread: float = 0.05) -> np.ndarray:
    """Scores spread evenly below ``top``, in random order."""
    return np.random.default_rng(seed).permutation(top - spread * np.linspace(0, 1, n) ** 2)


def judged(arm: MakeArm, new: Any, old: Any, narrow: Any = None, **declared: Any) -> Comparison:
    arms = [arm("magnitude", old), arm("filter", new)]
    if narrow is not None:
        arms.append(arm("magnitude_narrow", narrow))
        declared["control"] = "magnitude_narrow"
    protocol = Protocol(primary=("filter", "magnitude"), workload=WORKLOAD, **declared)
    return compare(arms, protocol)


def test_a_clear_difference_is_supported_with_ranges_workload_and_uncertainty(
    arm: MakeArm,
) -> None:
    verdict = judged(arm, scores(0.97, 0), scores(0.93, 1)).verdict
    assert (verdict.kind, verdict.winner, verdict.more) == ("supported", "filter", None)
    assert verdict.text.startswith(
        f"With these ranges, on {WORKLOAD}, random search reaches higher validation accuracy "
        "after 10 trials in filter than in magnitude: +4.00 points (95% CI +"
    )
    assert "P(best of 10 in filter beats magnitude) = 1.00" in verdict.text
    assert verdict.text.endswith("Not tested on other workloads.")
    assert verdict.ranges.startswith("Ranges: filter (alpha 1e-05 .. 0.1, log), magnitude (")
    assert "better" not in verdict.text


def test_the_old_arm_can_win_and_is_named(arm: MakeArm) -> None:
    verdict = judged(arm, scores(0.93, 0), scores(0.97, 1)).verdict
    assert (verdict.kind, verdict.winner) == ("supported", "magnitude")
    assert "in magnitude than in filter: +4.00 points (95% CI +" in verdict.text
    assert "P(best of 10 in magnitude beats filter) = 1.00" in verdict.text
    assert "goes against filter, the arm taken as new" in verdict.text


def test_no_arm_is_called_new_where_none_was_declared(arm: MakeArm) -> None:
    found = compare([arm("a", scores(0.93, 0)), arm("b", scores(0.97, 1))], Protocol()).verdict
    assert found.winner == "b" and "declared" not in found.text


def test_an_interval_inside_the_rope_is_equivalent(arm: MakeArm) -> None:
    verdict = judged(arm, scores(0.95, 0), scores(0.95, 1), rope=0.003).verdict
    assert (verdict.kind, verdict.winner) == ("equivalent", None)
    assert "within the region of practical equivalence of ±0.30 points: +0.00" in verdict.text


def test_a_difference_smaller_than_the_rope_is_equivalent_even_if_it_excludes_zero(
    arm: MakeArm,
) -> None:
    verdict = judged(arm, scores(0.951, 0), scores(0.95, 1), rope=0.003).verdict
    assert verdict.kind == "equivalent"


def test_too_few_trials_are_inconclusive_and_say_how_many_more(arm: MakeArm) -> None:
    few = judged(arm, scores(0.951, 0, 40), scores(0.95, 1, 40), rope=0.0001)
    assert few.verdict.kind == "inconclusive"
    assert few.verdict.more is not None and few.verdict.more > 0
    assert f"about {few.verdict.more:,} more trials per arm" in few.verdict.text
    # The half-width must shrink to the larger of |difference| and rope - |difference|.
    gap = few.contrasts[0].best_of_k
    assert gap is not None and gap.interval is not None
    half = (gap.interval[1] - gap.interval[0]) / 2
    needed = max(abs(gap.value), 0.0001 - abs(gap.value))
    assert few.verdict.more == np.ceil(40 * ((half / needed) ** 2 - 1))


def test_a_lead_that_narrow_ranges_more_than_halve_is_fragile_and_says_so_first(
    arm: MakeArm,
) -> None:
    found = judged(arm, scores(0.97, 0), scores(0.93, 1), narrow=scores(0.96, 2))
    assert found.verdict.kind == "fragile"
    assert found.verdict.text.startswith(
        "The result hangs on the ranges: with the narrow ranges of magnitude_narrow in place of "
        "magnitude, filter differs by less than half as much (25%, by the estimates), +1.00 points"
    )
    assert "+4.00 points" in found.verdict.text
    assert found.verdict.text.count("+1.00 points") == 1


def test_a_lead_that_narrow_ranges_reverse_is_fragile_for_either_winner(arm: MakeArm) -> None:
    led = judged(arm, scores(0.96, 0), scores(0.93, 1), narrow=scores(0.97, 2)).verdict
    assert led.kind == "fragile" and "filter no longer leads, -1.00 points" in led.text
    trailed = judged(arm, scores(0.93, 0), scores(0.96, 1), narrow=scores(0.92, 2)).verdict
    assert trailed.kind == "fragile" and "filter no longer trails, +1.00 points" in trailed.text


def test_equivalence_that_narrow_ranges_break_is_fragile(arm: MakeArm) -> None:
    found = judged(arm, scores(0.95, 0), scores(0.95, 1), narrow=scores(0.96, 2)).verdict
    assert found.kind == "fragile"
    assert "filter is no longer equivalent, -1.00 points" in found.text


def test_a_lead_that_survives_the_control_is_supported_and_tells_it(arm: MakeArm) -> None:
    found = judged(arm, scores(0.97, 0), scores(0.93, 1), narrow=scores(0.94, 2)).verdict
    assert found.kind == "supported"
    assert "Against the narrow ranges of magnitude_narrow the difference is +3.00" in found.text
    assert "), 75% of it (below 50% it would be called fragile)." in found.text


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
    assert "Repeat each search at least 10 times" in found.text


def test_ten_repeats_of_a_learning_sampler_are_judged_on_their_endpoints(arm: MakeArm) -> None:
    repeat = np.repeat(np.arange(10), 20)
    arms = [
        arm("a", scores(0.97, 0), sampler="tpe", repeat=repeat),
        arm("b", scores(0.90, 1), sampler="tpe", repeat=repeat),
    ]
    found = compare(arms, Protocol(target=0.95))
    assert (found.verdict.kind, found.verdict.winner) == ("supported", "a")
    assert "tpe search reaches higher" in found.verdict.text
    assert "(mean of 10 repeats per arm)" in found.verdict.text
    assert "Wilcoxon p 0.002" in found.verdict.text
    repeats = found.contrasts[0].repeats
    assert repeats is not None and repeats.mean_trials is not None
    headings, rows = contrast_table(found)
    assert headings == [
        "best of whole searches",
        "mean trials to target",
        "times fewer trials to target",
    ]
    assert rows[0][1][0].endswith("10 repeats, Wilcoxon p 0.002")
    assert rows[0][1][1].endswith("against 20.0, log-rank p < 0.001")
    assert repeats.mean_trials[0] < repeats.mean_trials[1] == 20


@pytest.mark.parametrize(("r", "target"), [(3, 0.95), (10, 0.9999)])
def test_few_repeats_or_no_success_give_neither_a_mean_nor_a_p_of_trials_to_target(
    arm: MakeArm, r: int, target: float
) -> None:
    repeat = np.repeat(np.arange(r), 20)
    arms = [
        arm(name, np.minimum(scores(mean, seed), 0.99)[: 20 * r], sampler="tpe", repeat=repeat)
        for name, mean, seed in (("a", 0.97, 0), ("b", 0.90, 1))
    ]
    found = compare(arms, Protocol(target=target))
    repeats = found.contrasts[0].repeats
    assert repeats is not None and repeats.n == r
    assert repeats.mean_trials is None and repeats.logrank_p is None
    assert repeats.speedup is not None and repeats.speedup.reason is not None
    headings, _ = contrast_table(found)
    assert headings == ["best of whole searches", "times fewer trials to target"]


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ((0.950, 0.950), "similar, inside ±0.30 points."),
        ((0.970, 0.950), "; filter is ahead (Welch's p < 0.001 by Holm over all contrasts)."),
        ((0.950, 0.970), "; magnitude is ahead (Welch's p < 0.001 by Holm over all contrasts)."),
    ],
)
def test_retrained_incumbents_are_held_against_the_rope(
    arm: MakeArm, retrained: Callable[..., Retrained], means: tuple[float, float], words: str
) -> None:
    arms = [
        arm("filter", scores(0.96, 0), retrained=retrained(means[0])),
        arm("magnitude", scores(0.96, 1), retrained=retrained(means[1])),
    ]
    told = compare(arms, Protocol()).verdict.test
    assert told is not None and told.endswith(words)


def test_noisy_incumbents_show_neither_a_gap_nor_similarity(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    arms = [arm(name, scores(0.96, 0), retrained=retrained(0.9, 0.05)) for name in ("a", "b")]
    told = compare(arms, Protocol()).verdict.test
    assert told is not None and "too few seeds" in told


def test_a_supported_lead_that_may_not_matter_says_so(arm: MakeArm) -> None:
    found = judged(arm, scores(0.955, 0), scores(0.95, 1), rope=0.0045).verdict
    assert found.kind == "supported"
    assert "may still be smaller than ±0.45 points" in found.text


def test_a_control_that_cannot_be_compared_is_not_passed_over(arm: MakeArm) -> None:
    arms = [arm("filter", scores(0.97, 0)), arm("magnitude", scores(0.93, 1))]
    narrow = arm("narrow", scores(0.96, 2), sampler="tpe")
    found = compare([*arms, narrow], Protocol(control="narrow"))
    assert found.verdict.kind == "supported"
    assert "The control narrow allows no comparison" in found.verdict.text
    bare = compare(arms, Protocol())
    assert any(note.startswith("No arm with narrow ranges") for note in bare.notes)


def test_the_heading_names_the_arm_that_does_better(arm: MakeArm) -> None:
    assert judged(arm, scores(0.97, 0), scores(0.93, 1)).verdict.heading == (
        "Supported: filter ahead"
    )
    lost = judged(arm, scores(0.93, 0), scores(0.97, 1), narrow=scores(0.94, 2)).verdict
    assert lost.heading == "Fragile: magnitude ahead"
    same = judged(arm, scores(0.951, 0), scores(0.95, 1), rope=0.003).verdict
    assert same.heading == "Equivalent"


def test_an_arm_is_ahead_on_test_only_after_the_correction_for_all_contrasts(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    means = {"filter": 0.9552, "magnitude": 0.95, "third": 0.9515, "fourth": 0.9515}
    arms = [arm(n, scores(0.96, 0), retrained=retrained(m, 0.008)) for n, m in means.items()]
    alone, found = compare(arms[:2], Protocol()), compare(arms, Protocol())
    assert alone.verdict.test is not None and "filter is ahead (Welch's p" in alone.verdict.test
    primary = found.contrasts[0]
    assert primary.test == alone.contrasts[0].test
    assert primary.test_p is not None and primary.test_p_holm is not None
    assert primary.test_p < 0.05 < primary.test_p_holm
    assert found.verdict.test is not None and "is ahead" not in found.verdict.test
    assert "nor which does better: Welch's p is 0.1" in found.verdict.test
    assert "this interval, taken by itself, excludes zero" in found.verdict.test


@pytest.mark.parametrize(
    ("new", "old", "told"),
    [
        (60, 10, "To reach 97.00% once, filter needs 6.0 (95% CI "),
        (10, 60, "To reach 97.00% once, magnitude needs 6.0 (95% CI "),
        (12, 10, "Whether filter needs fewer random trials than magnitude to reach 97.00% once is "
         "not told: times fewer, 1.2 (95% CI 0."),
        (60, 0, "To reach 97.00% once, filter needs at least "),
        (0, 60, "To reach 97.00% once, magnitude needs at least "),
        (1, 0, "Whether filter needs fewer random trials than magnitude to reach 97.00% once is "
         "not told: times fewer, at least 0.0"),
    ],
)  # fmt: skip
def test_trials_to_the_target_are_called_fewer_only_where_the_interval_says_so(
    arm: MakeArm, new: int, old: int, told: str
) -> None:
    reached = [np.where(np.arange(200) < hits, 0.98, 0.9) for hits in (new, old)]
    sentence = judged(arm, *reached, target=0.97).verdict.speedup
    assert sentence is not None and sentence.startswith(told)
    assert ("never reached it" in sentence) is (told.endswith("needs at least "))


def test_intervals_of_two_seeds_end_where_the_scores_do(arm: MakeArm) -> None:
    def two(low: float, high: float) -> Retrained:
        return Retrained({}, val=np.array([low, high]), test=np.array([low, high]))

    arms = [
        arm("filter", scores(0.96, 0), retrained=two(0.5, 0.99)),
        arm("magnitude", scores(0.96, 1), retrained=two(0.4, 0.9)),
    ]
    found = compare(arms, Protocol())
    summary = found.arms[0].retrained
    assert summary is not None and summary.test.interval == (0, 1)
    assert found.contrasts[0].test is not None and found.contrasts[0].test.interval == (-1, 1)
    assert words.mean(summary.test, "accuracy") == "74.50% [0.00, 100.00]"
    learned = [
        arm(name, [0.5, 0.99, 0.4, 0.2][turn:], sampler="tpe", repeat=[0, 1, 2, 3][turn:])
        for name, turn in (("a", 2), ("b", 2))
    ]
    repeats = compare(learned, Protocol()).contrasts[0].repeats
    assert repeats is not None and repeats.difference.interval == (0, 0)


def test_an_arm_that_searched_nothing_gives_no_verdict_and_is_named(arm: MakeArm) -> None:
    arms = [arm("a", scores(0.97, 0)), arm("b", scores(0.93, 1), sampler="defaults")]
    found = compare(arms, Protocol()).verdict
    assert found.kind == "inconclusive"
    assert "nothing was tested. b searched nothing, so there is no best" in found.text
    assert "sampler that learns" not in found.text


def test_no_difference_at_all_without_a_region_of_equivalence_is_not_called_too_few(
    arm: MakeArm,
) -> None:
    found = judged(arm, scores(0.95, 0), scores(0.95, 1), rope=0.0)
    assert found.verdict.kind == "inconclusive" and found.verdict.more is None
    assert "no difference was shown after 10 trials" in found.verdict.text
    assert "no number of trials shows that there is none." in found.verdict.text
    assert "too few" not in found.verdict.text


def test_what_rounding_leaves_of_equal_scores_is_printed_as_zero() -> None:
    left = Estimate(1e-16, -1.1e-16, 1.1e-16)
    assert words.difference(left, Protocol(unit="loss")) == "+0 (95% CI +0 to +0)"


def test_an_interval_without_width_says_why(arm: MakeArm) -> None:
    found = compare([arm("a", np.full(60, 0.8)), arm("b", np.full(60, 0.8))], Protocol())
    told = (
        "+0.00 points (95% CI +0.00 to +0.00), without width only because all scores are the same"
    )
    assert told in found.verdict.text
    assert any("they have no width, whatever further trials" in note for note in found.notes)
    apart = compare([arm("a", np.full(60, 0.8)), arm("b", np.full(60, 0.7))], Protocol())
    assert "without width" not in apart.verdict.text  # either may be what the other has seen


def test_scores_that_differ_by_very_little_are_not_called_the_same(arm: MakeArm) -> None:
    rng = np.random.default_rng(3)
    arms = [arm("a", -1e-14 * rng.random(60)), arm("b", -3e-14 * (1 + rng.random(60)))]
    assert "without width" not in compare(arms, Protocol(unit="loss", rope=0.0)).verdict.text


def test_a_number_of_trials_that_nobody_can_run_is_not_told(arm: MakeArm) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.random((2, 60))
    for worst in (-3e38, -1e300):
        a[0] = worst
        found = compare([arm("a", a), arm("b", b)], Protocol(unit="loss", rope=0.0, k=2)).verdict
        assert (found.kind, found.more) == ("inconclusive", None)
        assert "it would take more than 1,000,000 further trials per arm" in found.text
    a = np.append(rng.random(59), -3e38)
    level = compare([arm("a", a), arm("b", a)], Protocol(unit="loss", rope=0.1, k=2)).verdict
    assert level.more is None and "without a region" not in level.text


def test_searches_that_have_not_ended_are_not_compared(arm: MakeArm) -> None:
    rng, repeat = np.random.default_rng(5), np.arange(10)
    both = {
        length: [
            arm(name, scores, sampler="tpe", repeat=repeat, search_length=length)
            for name, scores in (("a", rng.random(10) + 1), ("b", rng.random(10)))
        ]
        for length in (1, 40)
    }
    protocol = Protocol(unit="score", repeated=("a", "b"))
    assert compare(both[1], protocol).contrasts[0].repeats is not None
    early = compare(both[40], protocol)
    assert early.contrasts[0].repeats is None and early.verdict.kind == "inconclusive"
    assert early.verdict.repeated is not None and "the interval" not in early.verdict.repeated


def test_a_heading_says_that_it_is_interim(arm: MakeArm) -> None:
    arms = [arm("a", scores(0.97, 0)), arm("b", scores(0.93, 1))]
    told = [compare(arms, Protocol(interim=part)).verdict.heading for part in ("", "9 of 10")]
    assert told == ["Supported: a ahead", "Interim, supported: a ahead"]
