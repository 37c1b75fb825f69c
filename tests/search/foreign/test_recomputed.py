"""Each number of a report equals its recomputation from the rows of studies that Optuna made.

The recomputations in ``tests/search/recomputed`` know nothing of this software: they read the
storage with SQL and follow the definitions with numpy.
"""

from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from recomputed import bands, best_of_k
from recomputed.report import Asked, expected_report, more_trials
from recomputed.rows import Trials, ends_of_ranges
from recomputed.sentences import printed, sentences, ways_to_print
from recomputed.studies import make_studies
from recomputed.walk import Within, differences

from tuner.compare import Protocol
from tuner.compare.report.data import to_json
from tuner.search.foreign.arm import Reading
from tuner.search.foreign.compare import judged_studies

EXEMPT = {
    "schema_version": "of the file's form: no result",
    **{
        f"details.0.importance.ranking.{key}": "learned by a forest of random trees"
        for key in ("shares", "effective.low", "effective.high", "explained", "unlearned")
    },
}
"""Numbers that are not recomputed, and why."""

ACCURACIES = ("accuracies", "two objectives")
CASES = {
    "bounded scores": Asked((*ACCURACIES, "pruned"), 0, k=3, target=0.8, in_full=True),
    "unbounded scores": Asked(("two objectives", "losses"), 1, unit="loss", target=0.5, rope=0.01),
    "no random search": Asked((*ACCURACIES, "learned"), 0, random=False, target=0.8),
    "a sampler that learns": Asked(("learned", "accuracies"), rope=0.0),
    "few hits": Asked(ACCURACIES, 0, target=0.91),
    "hits in one arm": Asked(ACCURACIES, 0, target=0.92),
    "no hit": Asked(ACCURACIES, 0, target=0.99, rope=0.05),
    "nothing but hits, too few trials": Asked(ACCURACIES, 0, target=0.0, k=20),
    "unbounded scores, too few trials": Asked(("two objectives", "losses"), 1, unit="loss", k=20),
    "best of one": Asked(("losses", "two objectives"), 1, unit="loss", k=1),
}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    path = tmp_path_factory.mktemp("foreign") / "optuna.db"
    make_studies(f"sqlite:///{path}")
    optuna.logging.set_verbosity(before)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("asked", CASES.values(), ids=CASES.keys())
def test_each_number_of_the_report_is_recomputed(storage: Path, asked: Asked) -> None:
    report = made_report(storage, asked)
    expected = expected_report(storage, asked, minimized=asked.unit == "loss")
    expected["verdict"]["more"] = more_trials(
        asked, asked.read(storage), report["k"], report["contrasts"][0]["best_of_k"]
    )
    if asked.in_full:
        ranking = report["details"][0]["importance"]["ranking"]
        expected["details"][0]["importance"]["ranking"] = {
            "effective": {
                "value": fewest_holding([s["value"] for s in ranking["shares"].values()])
            }
        }
    found, agree = differences(report, expected, EXEMPT)
    assert not found, "\n".join(found)
    assert len(agree) > 500
    ways = ways_to_print(storage, asked, report)
    strange = [text for text in sentences(report) if set(printed(text)) - ways]
    assert not strange, strange
    for study, arm in zip(asked.studies, report["arms"], strict=True):
        stated = {name: list(map(float, printed(text))) for name, text in arm["ranges"].items()}
        assert stated == ends_of_ranges(storage, study)


def made_report(storage: Path, asked: Asked) -> dict[str, Any]:
    """What ``tuner compare --json`` writes."""
    protocol = Protocol(target=asked.target, k=asked.k, unit=asked.unit, rope=asked.rope)
    reading = Reading(
        sampler="random" if asked.random else None,
        objective=None if asked.objective is None else str(asked.objective),
    )
    addresses = [f"sqlite:///{storage}::{study}" for study in asked.studies]
    comparison = judged_studies(
        addresses, protocol, reading=reading, with_importances=asked.in_full
    )
    return dict(to_json(comparison))


def fewest_holding(importances: list[float]) -> int:
    """How many of them, the largest first, hold 90% of their sum, which is 1."""
    assert sum(importances) == pytest.approx(1)
    ordered = sorted(importances, reverse=True)
    return next(i for i in range(1, len(ordered) + 1) if sum(ordered[:i]) >= 0.9)


def test_a_number_that_is_not_recomputed_or_differs_is_found() -> None:
    expected = {"arms": [{"n": 3, "low": Within(0.1, 0.2)}], "k": 2}
    report = {"arms": [{"n": 3, "low": 0.15, "words": ["a"]}], "k": 2, "version": 4}
    exempt = {"version": "no result"}
    assert differences(report, expected, exempt) == (
        [],
        {"arms.length", "arms.0.n", "arms.0.low", "k"},
    )
    for changed in (
        {**report, "k": 3},
        {**report, "k": None},
        {**report, "new": 0.0},
        {**report, "arms": [{"n": 3, "low": 0.3}]},
        {**report, "arms": report["arms"] * 2},
        {name: entry for name, entry in report.items() if name != "k"},
    ):
        assert differences(changed, expected, exempt)[0]


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_the_best_of_k_is_that_of_all_subsets_of_k_trials(k: int) -> None:
    first, second = (
        Trials(name, True, np.round(rng.random(8), 1), np.ones(8), 0, 0)
        for name, rng in (("a", np.random.default_rng(0)), ("b", np.random.default_rng(1)))
    )
    best = [[max(subset) for subset in combinations(arm.scores, k)] for arm in (first, second)]
    assert best_of_k.expected(first.scores, k) == pytest.approx(np.mean(best[0]))
    assert best_of_k.median(first.scores, k) == pytest.approx(np.median(best[0]))
    pairs = [(a > b) + (a == b) / 2 for a, b in product(*best)]
    assert best_of_k.wins(first, second, k)["value"] == pytest.approx(np.mean(pairs))


def test_the_chance_to_stay_in_a_band_has_its_closed_form_for_two_draws() -> None:
    low, high = np.array([0.0, 0.1]), np.array([0.3, 0.8])
    by_hand = 2 * (0.3 * 0.8 - 0.3**2 / 2) - 0.1**2
    assert bands.all_inside(low, high) == pytest.approx(by_hand)
