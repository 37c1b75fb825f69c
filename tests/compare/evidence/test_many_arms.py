"""Many random searches against each other: who is ranked, by what, and what is said of it."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from markupsafe import escape

from tuner.compare import Arm, Comparison, Protocol, compare
from tuner.compare.arm import SelectedRuns
from tuner.compare.comparison import detailed
from tuner.compare.figures.ranks.critical_difference import arms, caption, draw
from tuner.compare.report.data import to_json
from tuner.compare.report.evidence_rows import pair_rows, ranks_in_words
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.statistics.best_of_k import probability_best_of_k_beats
from tuner.compare.statistics.ranks.mean_ranks import rank_sum

Make = Callable[..., Arm]
NAMES = ("filter", "magnitude", "bop", "sgdat", "learning")
K = 5


@pytest.fixture
def searched(arm: Make) -> list[Arm]:
    """Four random searches of 40 trials, each worse than the one before, and one that learns."""
    rng = np.random.default_rng(0)
    found = [
        arm(name, 0.9 - 0.05 * place + 0.05 * rng.random(40)) for place, name in enumerate(NAMES)
    ]
    return [*found[:4], replace(found[4], sampler="tpe")]


def judged(searched: list[Arm]) -> Comparison:
    return detailed(compare(searched, Protocol(k=K)), searched)


def test_blocks_are_searches_of_k_trials_in_their_order(searched: list[Arm]) -> None:
    many = judged(searched).many_arms
    assert many is not None
    assert many.names == NAMES[:4]
    assert not many.fresh
    assert many.ranks.n == 8
    assert many.ranks.ranks.tolist() == [1, 2, 3, 4]
    pair = many.pairs[0]
    bests = [each.scores.reshape(8, K).max(axis=1) for each in searched[:2]]
    assert pair.p == rank_sum(*bests)[1]
    assert pair.wins == probability_best_of_k_beats(searched[0].scores, searched[1].scores, K)
    assert many.told_apart == 6


def test_where_all_were_trained_afresh_these_scores_are_ranked(searched: list[Arm]) -> None:
    def again(place: int) -> SelectedRuns:
        tests = 0.5 + 0.1 * place + 0.01 * np.arange(8)
        return SelectedRuns(np.arange(8), val=tests, test=tests, planned=8, k=K)

    fresh = [replace(each, selected=again(place)) for place, each in enumerate(searched)]
    many = judged(fresh).many_arms
    assert many is not None and many.fresh
    assert many.ranks.ranks.tolist() == [4, 3, 2, 1]
    assert many.pairs[0].wins == 0
    some = judged([*fresh[:3], *searched[3:]]).many_arms
    assert some is not None and not some.fresh


def test_three_searches_or_four_blocks_are_too_few(searched: list[Arm]) -> None:
    assert judged([searched[0], searched[1], searched[2], searched[4]]).many_arms is None
    short = [
        Arm(e.name, e.scores[:20], e.seconds[:20], e.failed[:20], e.pruned[:20], "random", {})
        for e in searched
    ]
    assert judged(short).many_arms is None


def test_the_report_says_shows_and_writes_it(searched: list[Arm]) -> None:
    comparison = judged(searched)
    many = comparison.many_arms
    assert many is not None
    words = ranks_in_words(many)
    assert words.startswith("The arms do not all do the same (Friedman, p < 0.001, 4 arms in 8")
    assert "the best mean rank, 1.00, is filter's. Of 6 pairs 6 are told apart" in words
    assert pair_rows(many)[0] == ("filter against magnitude", ["1.00", "< 0.001", "< 0.001"])
    page = to_html(comparison)
    assert "<h2>All arms</h2>" in page and str(escape(words)) in page
    assert "filter against magnitude" in page
    written = json.loads(json.dumps(to_json(comparison)))["many_arms"]
    assert written["names"] == list(NAMES[:4])
    assert len(written["pairs"]) == 6
    kept = {name: list(csv.DictReader(io.StringIO(t))) for name, t in sheets(comparison).items()}
    ranks = {row["arm"]: row["value"] for row in kept["arms"] if row["measure"] == "mean rank"}
    assert ranks == {name: str(float(place + 1)) for place, name in enumerate(NAMES[:4])}
    pairs = [row for row in kept["contrasts"] if row["measure"].endswith("every two arms")]
    assert [(row["first"], row["second"]) for row in pairs] == list(combinations(NAMES[:4], 2))
    assert [float(row["p_holm"]) for row in pairs] == [pair.p_holm for pair in many.pairs]
    assert "many_arms" not in to_json(judged(searched[:2]))


def test_the_picture_has_each_arm_once_and_its_caption_names_the_others(
    searched: list[Arm],
) -> None:
    comparison = judged(searched)
    assert arms(comparison) == list(NAMES[:4])
    (axes,) = draw(comparison).axes
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if "filter" in text] == ["filter  1.00"]
    assert any(text.startswith("critical difference ") for text in texts)
    said = caption(comparison)
    assert "best validation scores of 8 searches of 5 trials" in said
    assert said.endswith("Left out: learning (no random search).")
