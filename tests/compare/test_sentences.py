from collections.abc import Callable

import numpy as np
import pytest

from tests.compare.made_verdicts import PAIR, MakeArm, fresh, judged, scores
from tuner.compare import Protocol, Retrained, compare, words
from tuner.compare.report.rows import contrast_table


def test_ten_repeats_of_a_learning_sampler_are_judged_on_their_endpoints(arm: MakeArm) -> None:
    repeat = np.repeat(np.arange(10), 20)
    arms = [
        arm("a", scores(0.97, 0), sampler="tpe", repeat=repeat),
        arm("b", scores(0.90, 1), sampler="tpe", repeat=repeat),
    ]
    found = compare(arms, Protocol(target=0.95))
    assert (found.verdict.kind, found.verdict.winner) == ("unconfirmed", "a")
    assert "a whole search by tpe reaches higher validation" in found.verdict.text
    assert "in the median of 10 repeats, Wilcoxon p 0.002" in found.verdict.text
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
        ((0.950, 0.950), "typical seeds lie within ±0.30 points of each other"),
        ((0.970, 0.950), "filter is ahead (Welch's p < 0.001 by Holm over all contrasts)"),
        ((0.950, 0.970), "magnitude is ahead (Welch's p < 0.001 by Holm over all contrasts)"),
    ],
)
def test_retrained_incumbents_are_held_against_the_rope(
    arm: MakeArm, retrained: Callable[..., Retrained], means: tuple[float, float], words: str
) -> None:
    arms = [
        arm(name, scores(0.96, 0), retrained=retrained(mean), selected=fresh(searched))
        for (name, searched), mean in zip(PAIR, means, strict=True)
    ]
    sentence = compare(arms, Protocol()).verdict.test
    assert sentence is not None
    assert sentence.endswith(f"{words}; of other test images nothing is known.")
    assert "similar" not in sentence  # of the mean ten seeds cannot tell


def runs_on(rng: np.random.Generator, images: int, mean: float, seeds: int = 10) -> Retrained:
    """Fresh seeds that all miss the same images of a new choice, as many as the mean says."""
    hits = np.ones((seeds, images), dtype=bool)
    hits[:, rng.permutation(images)[: round((1 - mean) * images)]] = False
    test = hits.mean(axis=1) + 1e-4 * np.linspace(-1, 1, seeds)
    return Retrained({}, val=test, test=test, hits=hits)


@pytest.mark.parametrize(
    ("images", "seeds", "means", "words"),
    [
        (2000, 10, (0.95, 0.91), "all contrasts), and on other test images of the kind too."),
        (200, 10, (0.95, 0.94), "contrasts); of other test images of the kind that is not shown."),
        (2000, 10, (0.95, 0.95), "of each other, and on other test images of the kind too."),
        (200, 10, (0.95, 0.95), "each other; of other test images of the kind that is not shown."),
        (2000, 400, (0.95, 0.95), "similar in the mean too, inside ±2.00 points, and on other "
         "test images of the kind too."),
        (200, 400, (0.95, 0.95), "similar in the mean too, inside ±2.00 points; of other test "
         "images of the kind that is not shown."),
    ],
)  # fmt: skip
def test_what_is_claimed_of_incumbents_says_whether_it_holds_on_other_test_images(
    arm: MakeArm, images: int, seeds: int, means: tuple[float, float], words: str
) -> None:
    rng = np.random.default_rng(0)
    incumbents = [runs_on(rng, images, mean, seeds) for mean in means]
    arms = [
        arm(name, scores(0.96, 0), retrained=incumbent, selected=fresh(led))
        for (name, led), incumbent in zip(PAIR, incumbents, strict=True)
    ]
    found = compare(arms, Protocol(rope=0.02))
    assert found.verdict.test is not None and found.verdict.test.endswith(words)
    contrast = found.contrasts[0]
    for narrow, wide in (
        (contrast.test, contrast.test_other_images),
        (contrast.test_typical, contrast.test_typical_other_images),
    ):
        assert wide.value == narrow.value
        assert wide.low < narrow.low and narrow.high < wide.high
    headings, rows = contrast_table(found)
    for heading in ("incumbents on other images, median", "incumbents on other images, mean"):
        assert " CI " in rows[0][1][headings.index(heading)]


def test_incumbents_that_saw_different_images_are_not_said_to_hold_on_others(arm: MakeArm) -> None:
    rng = np.random.default_rng(0)
    arms = [
        arm(name, scores(0.96, 0), retrained=runs_on(rng, images, 0.95))
        for name, images in (("filter", 300), ("magnitude", 200))
    ]
    contrast = compare(arms, Protocol()).contrasts[0]
    assert contrast.test_other_images is None and contrast.test_typical_other_images is None


def test_incumbents_are_not_called_ahead_while_the_verdict_is_open(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    arms = [
        arm(name, scores(0.96, 0), retrained=retrained(mean), selected=fresh(0.95))
        for name, mean in PAIR
    ]
    sentence = compare(arms, Protocol()).verdict.test
    assert sentence is not None and "ahead" not in sentence
    assert sentence.endswith("an earlier question is open, so this one is not judged.")


def test_many_seeds_show_similarity_in_the_mean(arm: MakeArm) -> None:
    runs = np.random.default_rng(0).normal(0.95, 0.001, 4000)
    arms = [arm(name, scores(0.96, 0), retrained=Retrained({}, runs, runs)) for name in ("a", "b")]
    sentence = compare(arms, Protocol()).verdict.test
    assert sentence is not None and sentence.endswith(
        "similar in the mean too, inside ±0.30 points; of other test images nothing is known."
    )


def test_noisy_incumbents_show_neither_a_gap_nor_similarity(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    arms = [arm(name, scores(0.96, 0), retrained=retrained(0.9, 0.05)) for name in ("a", "b")]
    told = compare(arms, Protocol()).verdict.test
    assert told is not None and "too few seeds" in told


def test_an_arm_is_ahead_on_test_only_after_the_correction_for_all_contrasts(
    arm: MakeArm, retrained: Callable[..., Retrained]
) -> None:
    means = {"filter": 0.9552, "magnitude": 0.95, "third": 0.9515, "fourth": 0.9515}
    arms = [
        arm(n, scores(0.96, 0), retrained=retrained(m, 0.008), selected=fresh(10 * m - 8.6))
        for n, m in means.items()
    ]
    alone, found = compare(arms[:2], Protocol()), compare(arms, Protocol())
    assert alone.verdict.test is not None and "filter is ahead (Welch's p" in alone.verdict.test
    primary = found.contrasts[0]
    assert primary.test == alone.contrasts[0].test
    assert primary.test_p is not None and primary.test_p_holm is not None
    assert primary.test_p < 0.05 < primary.test_p_holm
    assert found.verdict.test is not None and "is ahead" not in found.verdict.test
    assert "too few seeds to show either a gap or that there is none" in found.verdict.test


@pytest.mark.parametrize(
    ("new", "old", "told"),
    [
        (60, 10, "To reach 97.00% once on validation, filter needs 6.0 (95% CI "),
        (10, 60, "To reach 97.00% once on validation, magnitude needs 6.0 (95% CI "),
        (12, 10, "Whether filter needs fewer random trials than magnitude to reach 97.00% once is "
         "not told: times fewer, 1.2 (95% CI 0."),
        (60, 0, "To reach 97.00% once on validation, filter needs at least "),
        (0, 60, "To reach 97.00% once on validation, magnitude needs at least "),
        (1, 0, "Whether filter needs fewer random trials than magnitude to reach 97.00% once is "
         "not told: times fewer, at least 0.0"),
    ],
)  # fmt: skip
def test_trials_to_the_target_are_called_fewer_only_where_the_interval_says_so(
    arm: MakeArm, new: int, old: int, told: str
) -> None:
    reached = [np.where(np.arange(200) < hits, 0.98, 0.9) for hits in (new, old)]
    lead = (0.97, 0.93) if new > old else (0.93, 0.97)
    sentence = judged(arm, *reached, afresh=lead, target=0.97).verdict.speedup
    assert sentence is not None and sentence.startswith(told)
    assert ("never reached it" in sentence) is (told.endswith("needs at least "))


def test_trials_to_the_target_are_not_judged_while_the_verdict_is_open(arm: MakeArm) -> None:
    reached = [np.where(np.arange(200) < hits, 0.98, 0.9) for hits in (60, 10)]
    sentence = judged(arm, *reached, afresh=(0.95, 0.95), target=0.97).verdict.speedup
    assert sentence is not None and sentence.startswith("Whether filter needs fewer random")
    assert sentence.endswith("an earlier question is open, so this one is not judged.")


def test_intervals_of_two_seeds_end_where_the_scores_do(arm: MakeArm) -> None:
    def two(low: float, high: float) -> Retrained:
        return Retrained({}, val=np.array([low, high]), test=np.array([low, high]))

    arms = [
        arm("filter", scores(0.96, 0), retrained=two(0.5, 0.99)),
        arm("magnitude", scores(0.96, 1), retrained=two(0.4, 0.9)),
    ]
    found = compare(arms, Protocol())
    summary = found.arms[0].retrained
    assert summary is not None and summary.test.interval is None
    low, high = found.contrasts[0].test.interval
    assert -1 <= low < -0.5 < 0.5 < high <= 1
    assert words.bracketed(summary.test, Protocol()) == "74.50%"


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
