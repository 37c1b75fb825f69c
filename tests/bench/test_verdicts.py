"""``tuner bench verdicts``: what it counts, that it finds what is wrong, and the command."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from tuner.bench.verdicts.methods import METHODS, rank_sum, welch
from tuner.bench.verdicts.shapes import At, Normal
from tuner.bench.verdicts.situation import NARROW, NEW, NEW_TPE, OLD, OLD_TPE, Situation
from tuner.bench.verdicts.situations import SITUATIONS
from tuner.bench.verdicts.space import KnownSpace, Learning, Runs
from tuner.bench.verdicts.tally import ANY, Tally, tally
from tuner.bench.verdicts.truths import Truths
from tuner.bench.verdicts.wording import WORDS
from tuner.cli import verdict_bench
from tuner.cli.app import app
from tuner.compare import compare
from tuner.compare.statistics.estimate import Estimate

KNOWN = {situation.name: situation for situation in SITUATIONS}


def space(value: float, sd: float = 0.001) -> KnownSpace:
    """All settings worth the same."""
    return KnownSpace(At(value), Runs(sd=sd))


def made(spaces: dict[str, KnownSpace], **declared) -> Situation:
    given = {"name": "made", "words": "made up", "n": 60, "k": 3, **declared}
    return Situation(spaces=spaces, **given)


def out(counts: Tally, situation: Situation) -> set[str]:
    return {figure.name for figure in counts.figures(situation) if figure.out}


def test_there_are_many_situations_each_with_a_name_of_its_own():
    assert len(KNOWN) == len(SITUATIONS) >= 30
    assert all(situation.words for situation in SITUATIONS)


@pytest.fixture
def small_populations(monkeypatch):
    """The truths of a few thousand searches, where they need not be exact."""
    for name in ("TRIALS", "SEARCHES", "LEARNING_SEARCHES", "FRESH"):
        monkeypatch.setattr(f"tuner.bench.verdicts.truths.{name}", 2000)


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.usefixtures("small_populations")
def test_every_situation_can_be_simulated(name):
    counts = tally(KNOWN[name], [0])
    assert counts.comparisons == 1
    assert counts.stated
    assert set(counts.said) <= set(WORDS)


@pytest.mark.parametrize("name", ["alike-20", "failed-everywhere"])
def test_a_situation_tried_a_few_times_is_within_its_bounds(name):
    counts = tally(KNOWN[name], range(30))
    assert counts.comparisons == 30
    assert not out(counts, KNOWN[name])


@pytest.mark.usefixtures("small_populations")
def test_the_same_seeds_count_the_same_whoever_counts_them():
    situation = KNOWN["alike-20"]
    together, parts = tally(situation, range(6)), Tally()
    for seeds in (range(0, 6, 2), range(1, 6, 2)):
        parts.add(tally(situation, seeds))
    assert parts.covered == together.covered
    assert parts.said == together.said
    assert parts.method_width == pytest.approx(together.method_width)


def test_an_interval_that_is_too_narrow_is_found_out():
    def too_narrow(arms, protocol):
        comparison = compare(arms, protocol)
        first, *others = comparison.contrasts
        value, low, high = (getattr(first.difference, at) for at in ("value", "low", "high"))
        narrow = Estimate(value, (low + 3 * value) / 4, (high + 3 * value) / 4)
        first = replace(first, selected=replace(first.selected, difference=narrow))
        return replace(comparison, contrasts=(first, *others))

    situation = KNOWN["alike-20"]
    assert out(tally(situation, range(20), judge=too_narrow), situation) == {"selected"}


def test_a_word_that_is_not_so_is_found_out():
    def boastful(arms, protocol):
        comparison = compare(arms, protocol)
        said = {"kind": "supported", "winner": NEW, "heading": f"Supported: {NEW} ahead"}
        verdict = replace(comparison.verdict, **said)
        return replace(comparison, verdict=verdict)

    situation = KNOWN["alike-20"]
    counts = tally(situation, range(20), judge=boastful)
    assert out(counts, situation) == {"supported", ANY}
    assert counts.told_apart == 0


LED = {
    name: KnownSpace(Normal(0.9, 0.01), learning=Learning(top=at, pace=4))
    for name, at in ((NEW_TPE, 0.97), (OLD_TPE, 0.93))
}
SAYS = {
    "supported": made({NEW: space(0.95), OLD: space(0.9)}),
    "scores higher": made({NEW: space(0.6, 0.1), OLD: space(0.2)}, afresh=False, seeds=0),
    "equivalent": made({NEW: space(0.95), OLD: space(0.95)}, rope=0.1),
    "equivalent too": made(dict.fromkeys((NEW, OLD, NARROW), space(0.95)), rope=0.1),
    "fragile": made({NEW: space(0.95), OLD: space(0.9), NARROW: space(0.95)}),
    "holds in narrow ranges": made({NEW: space(0.95), OLD: space(0.9), NARROW: space(0.9)}),
    "times fewer": made({NEW: space(0.95), OLD: space(0.9)}, target=0.94),
    "is ahead": made({NEW: space(0.95), OLD: space(0.9)}, target=None),
    "similar": made({NEW: space(0.95), OLD: space(0.95)}, rope=0.5),
    "typical seeds": made({NEW: space(0.95), OLD: space(0.95)}, rope=0.1),
    "repeated, apart": made({NEW: space(0.95), OLD: space(0.9), **LED}, target=None),
    "repeated, same": made({NEW: space(0.95), OLD: space(0.9), **LED}, rope=0.5),
    "check fails": made({NEW: space(0.95), OLD: space(0.9), "exact": space(0.8)}),
    "lucky": made({NEW: space(0.95, 0.01), OLD: space(0.95)}, target=0.965, k=6),
}
"""Word -> a situation in which it is said, and so."""


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.usefixtures("small_populations")
def test_every_word_is_found_where_it_is_said_and_right(word):
    counts = tally(SAYS[word], range(2))
    assert counts.said[word], counts.said
    assert not counts.wrong[word]


def test_truths_are_those_of_closed_forms():
    normal = KnownSpace(Normal(0.5, 0.03), Runs(sd=0.04))
    truths = Truths(made({NEW: normal, OLD: space(0.45)}, k=2, target=0.55))
    assert truths.best_of(NEW, 2) == pytest.approx(0.5 + 0.05 / np.sqrt(np.pi), abs=3e-4)
    assert truths.share(NEW) == pytest.approx(stats.norm.sf(1), abs=3e-3)
    # The better of two scores is a better setting by half as much as it is above the mean.
    selected = 0.5 + 0.03**2 / 0.05 / np.sqrt(np.pi)
    assert truths.median_afresh(NEW) == pytest.approx(selected, abs=5e-4)
    assert truths.afresh(NEW, OLD).sign == 1
    assert Truths(made({NEW: normal, OLD: normal})).afresh(NEW, OLD).value == 0


def test_the_rank_sum_interval_is_the_one_of_the_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 15), rng.normal(0, 1, 15)
    low, high = rank_sum(first, second).interval or (np.nan, np.nan)
    for end, inwards in ((low, 1e-9), (high, -1e-9)):
        inside, outside = (
            stats.mannwhitneyu(first - end - shift, second, method="exact").pvalue
            for shift in (inwards, -inwards)
        )
        assert inside > 0.05 >= outside


def test_welchs_interval_is_scipys():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 15), rng.normal(0, 2, 12)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    assert welch(first, second).interval == pytest.approx((expected.low, expected.high))
    assert welch(first[:2] * 0, second[:2] * 0).interval is None


def bench(*arguments: str):
    others = set(active_children())  # of tests that ran in this process before
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert set(active_children()) <= others
    return result


@pytest.mark.slow
def test_the_command_prints_every_figure_and_writes_them(tmp_path):
    file = tmp_path / "verdicts.json"
    shown = bench(
        "verdicts", "--situation", "alike-20", "--rounds", "6", "--methods", "--json", str(file)
    )
    assert shown.exit_code == 0, shown.output
    for words in ("alike-20: the same, few trials", "supported", "P(wins)", "told apart"):
        assert words in shown.output
    (situation,) = json.loads(file.read_text())["situations"]
    assert situation["comparisons"] == 6
    assert {"selected", "curve", "supported"} <= {each["name"] for each in situation["figures"]}
    assert set(situation["methods"]) == set(METHODS)


@pytest.mark.slow
def test_a_situation_out_of_bounds_ends_with_status_1_unless_it_is_excused(monkeypatch):
    wrong = replace(SAYS["equivalent"], nothing_learned=True)
    excused = replace(wrong, name="excused", excused={"equivalent": "it was made so"})
    monkeypatch.setattr(verdict_bench, "SITUATIONS", (wrong, excused))
    shown = bench("verdicts", "--rounds", "20")
    assert shown.exit_code == 1
    assert "! made, equivalent: 100.0!; out of bounds" in shown.output
    assert "* excused, equivalent: 100.0*; it was made so" in shown.output
    assert bench("verdicts", "--rounds", "20", "--situation", "excused").exit_code == 0


def test_what_cannot_be_tried_is_refused_in_one_line():
    assert "did you mean 'alike-20'?" in bench("verdicts", "--situation", "alike20").stderr
    assert "by itself" in bench("verdicts", "digits").stderr
    assert "add verdicts" in bench("digits", "--situation", "alike-20").stderr


ENDLESS = """
from tuner.bench.verdicts.situations import SITUATIONS
from tuner.cli import main, verdict_bench
import sys
from dataclasses import replace

if __name__ == "__main__":
    first = replace(next(s for s in SITUATIONS if s.name == "alike-20"), effort=1e-6)
    verdict_bench.SITUATIONS = (first, replace(first, name="endless", effort=1.0))
    sys.argv = ["tuner", "bench", "verdicts", "--rounds", "1000000"]
    main()
"""
"""The command with a situation that is soon done, and one that takes days."""


@pytest.mark.slow
def test_ctrl_c_prints_the_situations_that_were_tried_and_leaves_no_process(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "situation 1 of 2 done" in line:
                    break
            os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches every process
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "stopped; this is what was measured so far" in output
    assert "alike-20" in output and "endless" not in output
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a process is left over")
