"""The numbers in a report's sentences: each is one that was recomputed, as it is printed."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recomputed.best_of_k import fewest_for_ends, fewest_for_interval
from recomputed.report import Asked
from recomputed.rows import read_rows

_NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_OF_RULES = {
    "95": "the confidence of all intervals",
    "10": "searches that a verdict on whole searches takes",
    "0": "what accuracies score without a result",
    "1": "what they score where they are minimized",
    "1e+300": "the largest value that is a result",
}
"""Numbers in sentences that no study decides, and what they are."""


def printed(text: str) -> list[str]:
    """Each number of a sentence, without its sign and the commas of thousands."""
    return [re.sub(r"^[-+]|,", "", found) for found in _NUMBER.findall(text)]


def sentences(report: Mapping[str, Any]) -> Iterator[str]:
    """All texts of a report that may hold numbers, but for the ranges, read apart."""
    for name in ("heading", "text", "test", "repeated", "speedup"):
        yield report["verdict"][name] or ""
    yield from report["notes"]
    for contrast in report["contrasts"]:
        yield from (each["reason"] or "" for each in contrast["speedups"].values())
    for detail in report["details"]:
        yield from (curve["note"] for curve in detail["budgets"])


def ways_to_print(path: Path, asked: Asked, report: Mapping[str, Any]) -> set[str]:
    """The numbers that sentences may hold; those of the report were recomputed before."""
    k, primary, arms = report["k"], report["contrasts"][0], report["arms"]
    more = report["verdict"]["more"]
    counts = {k, more, fewest_for_ends(k), fewest_for_interval(k)}
    if more is not None:
        counts.add(round(more, min(0, 2 - len(str(more)))))  # an estimate, to two digits
    for name in asked.studies:
        counts |= _counts(path, name, asked)
    scores = {0.0, 1.0, report["protocol"]["target"]} | {arm["best"] for arm in arms}
    for name in ("best_of_k", "best_of_k_seen"):
        scores |= set((primary[name] or {}).values())
    new, old = asked.read(path)[:2]
    shorter = min(new.n, old.n)
    for shown_after in (max(1, shorter // 10), max(1, shorter // 2), shorter):
        counts.add(shown_after)
        scores |= {float(max(study.scores[:shown_after])) for study in (new, old)}
    factors = {end for each in primary["speedups"].values() for end in _ends(each)}
    chances = set(_ends(primary["probability"] or {}))
    ways = {_factor(end) for end in factors} | {_factor(1 / end) for end in factors}
    ways |= {f"{shown:.2f}" for end in chances for shown in (end, 1 - end)}
    ways |= {_score(abs(score), asked) for score in scores if score is not None}
    for arm in arms:
        ways.add(f"{arm['seconds_per_trial']:.3g}")
        counts.add(arm["n"])
        if arm["target"] is not None:
            counts |= {arm["target"]["hits"], arm["target"]["trials"]["low"]}
            ways.add(f"{100 * arm['target']['share']['high']:.2g}")
    return ways | {str(count) for count in counts} | _OF_RULES.keys()


def _counts(path: Path, study: str, asked: Asked) -> set[int]:
    """How many trials of each kind a note speaks of."""
    rows = read_rows(path, study)
    ended = [row for row in rows if row.ended]
    kept = [row for row in ended if not (row.enqueued and asked.is_random(study))]
    failed = sum(row.state == "FAIL" for row in kept)
    infeasible = sum(row.infeasible and row.state == "COMPLETE" for row in kept)
    pruned = sum(row.state == "PRUNED" for row in kept)
    infinite = sum(row.state == "COMPLETE" and row.result(0) is None for row in kept)
    enqueued = sum(row.enqueued for row in ended)
    known = {len(rows) - len(ended), failed, infeasible, pruned, enqueued, infinite}
    return known | {failed + infinite}


def _ends(estimate: Mapping[str, Any]) -> list[float]:
    return [estimate[name] for name in ("value", "low", "high") if estimate.get(name) is not None]


def _score(value: float, asked: Asked) -> str:
    return f"{100 * value:.2f}" if asked.bounded else f"{value:.4g}"


def _factor(value: float) -> str:
    """To two digits."""
    if value >= 9.95:
        return f"{float(f'{value:.2g}'):.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:#.2g}"
