"""What a report says of studies that minimize, from that of scores that are minus their values."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

KEPT = frozenset({"target", "probability", "speedups", "speedup", "importance", "redundancy"})
"""Parts of a report without scores."""
SIGNED = frozenset({"value", "low", "high", "best", "median", "test_scores", "scores"})
"""Numbers and lists that are scores or differences of some, in all other parts."""
_WORDS = {"higher": "lower", "lower": "higher"}

_PLAIN = r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
_INTERVAL = re.compile(rf"({_PLAIN})(?: points)?(?: to |, )({_PLAIN})")
"""``+0.11 to +0.93``, ``-0.2 points to +0.1 points``, ``[96.80, 97.92]``."""


def numbers_of(report: Mapping[str, Any]) -> dict[str, Any]:
    """All but texts, the declaration, and distributions, which count from the other end."""
    verdict = {name: report["verdict"][name] for name in ("kind", "winner", "more", "interim")}
    found = {name: report[name] for name in ("k", "arms", "contrasts", "over_budgets")}
    details = [{**detail, "edf": None} for detail in report["details"]]
    arms = [
        {**arm, "retrained": arm["retrained"] and {**arm["retrained"], "luck": None}}
        for arm in report["arms"]
    ]
    return {**found, "verdict": verdict, "arms": arms, "details": details}


def mirrored(part: Any, key: str = "") -> Any:
    """What ``numbers_of`` has, with the sign of the values."""
    if key in KEPT:
        return part
    if isinstance(part, Mapping):
        turned = {name: mirrored(entry, name) for name, entry in part.items()}
        if "low" in part:
            turned |= {"low": turned["high"], "high": turned["low"]}
        if "lowest" in part:
            turned["lowest"] = min(turned["scores"])
        return turned
    if isinstance(part, list):
        return [mirrored(entry, key) for entry in part]
    if key == "words":
        return _WORDS.get(part, part)
    return -part if key in SIGNED and isinstance(part, int | float) else part


def texts(report: Mapping[str, Any]) -> Iterator[str]:
    """Every sentence of a report."""
    for name in ("heading", "text", "speedup", "repeated", "test"):
        yield report["verdict"][name] or ""
    yield from report["notes"]
    yield from ((arm["retrained"] or {}).get("luck") or "" for arm in report["arms"])


def mirrored_intervals(text: str) -> list[tuple[float, float]]:
    """The intervals that a sentence should hold where the scores of this one have the other sign.

    Differences of scores are written with a sign, and scores below 0 are: their ends change
    places. Probabilities, shares and factors stay.
    """
    return [
        (-float(high), -float(low)) if low[0] in "+-" else (float(low), float(high))
        for low, high in _INTERVAL.findall(text)
    ]


def intervals_in(text: str) -> list[tuple[float, float]]:
    """The ends of each interval in a sentence."""
    return [(float(low), float(high)) for low, high in _INTERVAL.findall(text)]


def sizes_in(text: str) -> list[float]:
    """All numbers of a sentence without their signs, in order of size."""
    return sorted(abs(float(number.replace(",", ""))) for number in re.findall(_NUMBER, text))


def without_numbers(text: str) -> str:
    """The sentence with a mark for each number."""
    return re.sub(_NUMBER, "#", text)
