"""Losses are compared as scores with the opposite sign, and shown as they are."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import StringIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_reports import as_losses, full_report
from rich.console import Console

from tests.compare.conftest import make_arm, make_retrained, make_selected
from tests.compare.mirrored import (
    intervals_in,
    mirrored,
    mirrored_intervals,
    numbers_of,
    sizes_in,
    texts,
    without_numbers,
)
from tuner.compare import Comparison, Protocol, compare, words
from tuner.compare.comparison import judged
from tuner.compare.report.data import to_json
from tuner.compare.report.html import to_html
from tuner.compare.report.sheets import sheets
from tuner.compare.report.terminal import print_table
from tuner.compare.statistics.estimate import Estimate
from tuner.errors import InvalidInput

Make = Callable[[bool], Comparison]
NAMES = ("new", "old", "narrow")
ends = st.floats(-1e3, 1e3, allow_subnormal=False)


def everything(minimized: bool) -> Comparison:
    comparison = full_report(make_arm, make_retrained, n_arms=2)
    return as_losses(comparison, minimized=minimized)


def afresh(
    minimized: bool, tops: tuple[float, ...] = (0.03, 0.07, 0.06), **declared: Any
) -> Comparison:
    """Searches that selected settings, which were trained afresh."""
    rng = np.random.default_rng(0)
    arms = [
        make_arm(
            name,
            -top - 0.1 * rng.random(200),
            retrained=make_retrained(-top),
            selected=make_selected(-top),
        )
        for name, top in zip(NAMES, tops, strict=True)
    ]
    protocol = Protocol(control="narrow", target=-0.05, unit="loss", minimized=minimized)
    return judged(arms, replace(protocol, **declared))


def on_validation(
    minimized: bool, *, n: int = 60, shift: float = 1.0, unit: str = "loss", **given: Any
) -> Comparison:
    """Two random searches, of which nothing was trained afresh."""
    rng = np.random.default_rng(1)
    losses = {"new": rng.random(n), "old": rng.random(n) + shift}
    scale = 0.4 if unit == "accuracy" else 1.0
    arms = [make_arm(name, -scale * each, **given) for name, each in losses.items()]
    return judged(arms, Protocol(unit=unit, rope=0.01, minimized=minimized))


def lucky(minimized: bool) -> Comparison:
    """The incumbent's fresh runs stay short of the target that it reached once."""
    again = make_retrained(-0.3)
    rng = np.random.default_rng(2)
    arms = [make_arm(name, -rng.random(60), retrained=again) for name in ("new", "old")]
    return judged(arms, Protocol(unit="loss", target=-0.2, minimized=minimized))


CASES: dict[str, Make] = {
    "everything that a report can hold": everything,
    "settings trained afresh": afresh,
    "the old arm ahead": partial(afresh, tops=(0.07, 0.03, 0.06)),
    "the same afresh": partial(afresh, tops=(0.07, 0.07, 0.07)),
    "within known bounds": partial(afresh, bounds=(-1.0, 0.0)),
    "a part of the trials": partial(afresh, interim="half of the trials are missing"),
    "validation scores": on_validation,
    "no difference": partial(on_validation, shift=0.1),
    "too few trials": partial(on_validation, n=8),
    "no random search": partial(on_validation, sampler="tpe"),
    "luck": lucky,
}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.slow) for name in CASES]
)
def pair(request: pytest.FixtureRequest) -> tuple[Comparison, Comparison]:
    """One comparison of scores, and the same where they are minus what studies minimize."""
    made = CASES[request.param]
    return made(False), made(True)


def test_each_number_is_minus_that_of_the_scores_and_the_rest_the_same(
    pair: tuple[Comparison, Comparison],
):
    scores, losses = map(to_json, pair)
    assert mirrored(numbers_of(scores)) == numbers_of(losses)
    assert "minimized" not in scores["protocol"]
    assert losses["protocol"]["minimized"] is True
    assert all(low <= high for low, high in intervals(losses))
    target = scores["protocol"]["target"]
    assert losses["protocol"]["target"] == (None if target is None else -target)


def intervals(report: Any) -> Iterator[tuple[float, float]]:
    """The ends of all intervals of numbers."""
    if isinstance(report, dict):
        low, high = report.get("low"), report.get("high")
        if isinstance(low, float) and isinstance(high, float):
            yield low, high
    if isinstance(report, dict | list):
        for part in report.values() if isinstance(report, dict) else report:
            yield from intervals(part)


def test_each_sentence_says_lower_where_the_other_says_higher(
    pair: tuple[Comparison, Comparison],
):
    scores, losses = ([*texts(to_json(each))] for each in pair)
    turned = {"higher": "lower", "raised": "lowered", "above the target": "below the target"}
    for ours, theirs in zip(losses, scores, strict=True):
        assert sizes_in(ours) == sizes_in(theirs)
        assert intervals_in(ours) == mirrored_intervals(theirs)
        expected = without_numbers(theirs)
        for word, other in turned.items():
            expected = expected.replace(word, other)
        assert without_numbers(ours) == expected


def test_nobody_reads_of_negated_scores(pair: tuple[Comparison, Comparison]):
    _, losses = pair
    terminal = StringIO()
    print_table(losses, Console(file=terminal, width=120))
    page = to_html(losses)
    for text in (terminal.getvalue(), page, *sheets(losses).values()):
        assert "negated" not in text and "opposite sign" not in text
    assert "<td>minimized: lower is better</td>" in page


@pytest.mark.slow
def test_a_distribution_of_losses_counts_from_the_lowest():
    scores, losses = (to_json(everything(minimized)) for minimized in (False, True))
    for ours, theirs in zip(losses["details"], scores["details"], strict=True):
        of, other = ours["edf"], theirs["edf"]
        assert of["scores"] == [-score for score in reversed(other["scores"])]
        assert of["share"] == pytest.approx([1 - s for s in other["share"][-2::-1]] + [1])
        assert of["low"] == pytest.approx(
            [1 - high for high in [other["below"], *other["high"]][-2::-1]], abs=1e-6
        )


def test_a_verdict_on_losses_names_the_lower_ones():
    verdict = on_validation(True).verdict
    assert verdict.heading == "Unconfirmed: new scores lower"
    assert "reaches lower loss in new than in old: -" in verdict.text
    (low, high), _ = intervals_in(verdict.text)
    assert low < high < 0
    assert "the best of several scores is lowered by noise" in verdict.text
    assert on_validation(False).verdict.heading == "Unconfirmed: new scores higher"


def test_terminal_sheets_and_json_have_the_same_losses():
    found = afresh(True)
    terminal = StringIO()
    print_table(found, Console(file=terminal, width=200))
    told, csv = to_json(found), sheets(found)
    lines = [line.split() for line in terminal.getvalue().splitlines()]
    best = [arm["best"] for arm in told["arms"]]
    assert all(value > 0 for value in best)
    assert ["best", *(f"{value:.4g}" for value in best)] in lines
    worst = [max(arm["selected"]["scores"]) for arm in told["arms"]]
    assert ["their", "worst", *(f"{value:.4g}" for value in worst)] in lines
    assert f"\nnew,random,best,{best[0]},,\n" in csv["arms"]
    difference = told["contrasts"][0]["selected"]["difference"]
    assert difference["high"] < 0
    low, high = (f"{difference[end]:.4g}" for end in ("low", "high"))
    assert f"{difference['value']:.4g} (95% CI {low} to {high}), ahead in 100%" in (
        terminal.getvalue()
    )
    assert (
        f",{difference['value']},{difference['low']},{difference['high']},,,20,"
        in (csv["contrasts"])
    )
    scores = [float(line.split(",")[3]) for line in csv["trials"].splitlines()[1:]]
    assert min(scores[:200]) == best[0] and scores[0] == -found.details[0].arm.scores[0]


@given(st.tuples(ends, ends, ends), st.sampled_from(["loss", "accuracy"]))
def test_a_loss_is_written_as_the_score_of_the_opposite_sign_is(
    numbers: tuple[float, float, float], unit: str
):
    low, value, high = sorted(numbers)
    score = Estimate(value, low, high)
    plain, minimized = (Protocol(unit=unit, minimized=turned) for turned in (False, True))
    for written in (words.difference, words.bracketed):
        assert written(score, minimized) == written(score.negated, plain)
    assert words.span((low, high), minimized) == words.span((0.0 - high, 0.0 - low), plain)
    assert words.points(value, minimized) == words.points(0.0 - value, plain)
    assert score.negated.negated == Estimate(0.0 + value, 0.0 + low, 0.0 + high)


def test_no_loss_is_minus_zero():
    protocol = Protocol(unit="loss", minimized=True)
    assert words.score(0.0, protocol) == words.score(-0.0, protocol) == "0"
    assert words.points(0.0, protocol) == "+0"
    arms = [make_arm(name, np.zeros(30)) for name in ("new", "old")]
    assert "-0.0" not in str(to_json(judged(arms, protocol)))


def test_a_declaration_turned_twice_is_itself():
    protocol = Protocol(unit="loss", target=0.2, bounds=(0.0, 3.0), chance=2.3)
    turned = protocol.turned
    assert (turned.minimized, turned.target, turned.bounds) == (True, -0.2, (-3.0, 0.0))
    assert turned.chance == -2.3 and turned.turned == protocol


def test_shares_that_are_minimized_lie_between_minus_one_and_zero():
    protocol = Protocol(minimized=True)
    assert protocol.range == (-1.0, 0.0) and protocol.bounded
    found = on_validation(True, shift=0.5, unit="accuracy")
    assert "reaches lower validation accuracy in new than in old: -" in found.verdict.text
    best = min(-found.details[0].arm.scores)
    terminal = StringIO()
    print_table(found, Console(file=terminal, width=120))
    assert f"{100 * best:.2f}%" in terminal.getvalue()


def test_errors_name_losses_as_they_are():
    with pytest.raises(InvalidInput, match=r"must lie in the scores' range \[0, 3\], got 4\.0"):
        Protocol(unit="loss", minimized=True, bounds=(-3.0, 0.0), target=-4.0)
    arms = [make_arm(name, [-0.5, -4.0]) for name in ("new", "old")]
    with pytest.raises(InvalidInput, match=r"must lie in \[0, 3\], got 4; name another unit"):
        compare(arms, Protocol(unit="loss", minimized=True, bounds=(-3.0, 0.0)))


def test_the_hint_at_accuracies_is_not_given_where_lower_is_better():
    shares = [make_arm(name, np.linspace(0.1, 0.9, 30)) for name in ("new", "old")]
    hint = "if they are accuracies"
    assert any(hint in note for note in compare(shares, Protocol(unit="score")).notes)
    minimized = Protocol(unit="score", minimized=True)
    assert not any(hint in note for note in compare(shares, minimized).notes)
