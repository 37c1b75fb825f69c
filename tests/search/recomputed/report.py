"""The numbers that a report of two or more studies must state."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from recomputed import bands, best_of_k, shares, signs
from recomputed.rows import Trials, trials_of

TABLE = (1, 5, 10)
DRAWS, DRAWS_OVER_BUDGETS = 2000, 500


@dataclass(frozen=True)
class Asked:
    """What is asked of the studies: as the options of ``tuner compare`` do."""

    studies: tuple[str, ...]
    objective: int | None = None
    random: bool = True
    unit: str = "accuracy"
    k: int | None = None
    target: float | None = None
    rope: float = 0.003
    in_full: bool = False

    @property
    def bounded(self) -> bool:
        return self.unit == "accuracy"

    def read(self, path: Path) -> list[Trials]:
        """The arms; a sampler of which the storage tells that it learns is no random search."""
        of = [
            (name, self.objective or 0 if name == "two objectives" else 0, self.is_random(name))
            for name in self.studies
        ]
        return trials_of(path, of, worst=0.0 if self.bounded else None)

    def is_random(self, study: str) -> bool:
        return self.random and study != "learned"


def expected_report(path: Path, asked: Asked, *, minimized: bool) -> dict[str, object]:
    """The tree of all numbers, in the studies' own sign."""
    arms = asked.read(path)
    target = -asked.target if minimized and asked.target is not None else asked.target
    smallest = min(arm.n for arm in arms[:2])
    k = asked.k or max(2, smallest // 20)
    curves = [_curve(arm, k, asked) for arm in arms]
    contrasts = [_contrast(arms[0], other, k, target, asked) for other in arms[1:]]
    report: dict[str, object] = {
        "k": k,
        "protocol": {
            "k": asked.k, "target": target, "rope": asked.rope, "confidence": 0.95, "seed": 0,
            "bounds": None, "chance": None, "looks": [],
        },
        "verdict": {"interim": False},
        "arms": [
            _arm(arm, curve, k, target, asked) for arm, curve in zip(arms, curves, strict=True)
        ],
        "contrasts": contrasts,
        "over_budgets": _over_budgets(arms[0], arms[1], k, asked),
        "details": [
            _detail(arm, curve, asked) for arm, curve in zip(arms, curves, strict=True)
        ],
    }  # fmt: skip
    return signs.of_minimized(report, arms) if minimized else report


def _arm(
    arm: Trials, curve: list[dict[str, object]], k: int, target: float | None, asked: Asked
) -> dict[str, object]:
    return {
        "n": arm.n,
        "searches": 1,
        "trials_per_search": arm.n,
        "failed": arm.failed,
        "pruned": arm.pruned,
        "best": max(arm.scores.tolist()),
        "median": None,
        "seconds": float(arm.seconds.sum()),
        "seconds_per_trial": float(arm.seconds.sum()) / arm.n,
        "curve": curve,
        "best_of": [_at_budget(arm, b, k, asked) for b in _budgets((k, *TABLE), arm)],
        "trace": [_trace(arm.scores.tolist())],
        "target": shares.target(arm, target),
        "retrained": None,
        "selected": None,
    }


def _budgets(wanted: Sequence[int], arm: Trials) -> list[int]:
    return sorted({k for k in wanted if k <= arm.n}) if arm.random else []


def _curve(arm: Trials, k: int, asked: Asked) -> list[dict[str, object]]:
    """The best of k at 60 budgets, each the next one times the same factor, and the table's."""
    spaced = [round(arm.n ** (step / 59)) for step in range(60)]
    points = []
    for budget in _budgets((k, *TABLE, *spaced), arm):
        value = _value(arm, budget, asked)
        band = bands.bounded_curve if asked.bounded else bands.unbounded_curve
        low, high = band(arm.scores, budget, value)
        points.append({"k": budget, "value": value, "low": low, "high": high})
    return points


def _value(arm: Trials, k: int, asked: Asked) -> float:
    return (best_of_k.expected if asked.bounded else best_of_k.median)(arm.scores, k)


def _at_budget(arm: Trials, budget: int, k: int, asked: Asked) -> dict[str, object]:
    """Only at k* with an interval of its own."""
    if budget == k:
        return {"k": k, **_combined([arm], k, asked)}
    return {"k": budget, "value": _value(arm, budget, asked), "low": None, "high": None}


def _combined(arms: list[Trials], k: int, asked: Asked, draws: int = DRAWS) -> dict[str, object]:
    if asked.bounded:
        return best_of_k.bounded(arms, k, bounds=(0.0, 1.0), draws=draws)
    return best_of_k.unbounded(arms, k, draws=draws)


def _trace(scores: list[float]) -> list[dict[str, object]]:
    """Each trial that beats all before it."""
    return [
        {"trial": i + 1, "best": score}
        for i, score in enumerate(scores)
        if all(score > earlier for earlier in scores[:i])
    ]


def _contrast(
    first: Trials, second: Trials, k: int, target: float | None, asked: Asked
) -> dict[str, object]:
    nothing = dict.fromkeys(
        ("selected", "repeats", "test", "test_typical", "test_p", "test_p_holm",
         "test_other_images", "test_typical_other_images")
    )  # fmt: skip
    whole: dict[str, object] = {"best_of_k": None, "best_of_k_seen": None, "probability": None}
    if first.random and second.random:
        whole["best_of_k"] = _combined([first, second], k, asked)
        whole["probability"] = best_of_k.wins(first, second, k)
        if asked.bounded:
            both = np.concatenate([first.scores, second.scores])
            seen = (float(both.min()), float(both.max()))
            whole["best_of_k_seen"] = best_of_k.bounded(
                [first, second], k, bounds=seen, draws=DRAWS
            )
    return {**nothing, **whole, "speedups": shares.speedups(first, second, target)}


def _over_budgets(first: Trials, second: Trials, k: int, asked: Asked) -> object:
    """The difference from k = 2 to a tenth of the trials, at 12 budgets at most."""
    n = min(first.n, second.n)
    if not (first.random and second.random) or n < 20:
        return None
    most = n // 10
    spaced = {round(2 * (most / 2) ** (step / 11)) for step in range(12)}
    budgets = sorted(spaced | ({k} if n >= best_of_k.fewest_for_interval(k) else set()))
    points = [_combined([first, second], b, asked, DRAWS_OVER_BUDGETS) for b in budgets]
    named = {name: [point[name] for point in points] for name in ("value", "low", "high")}
    return {"k": budgets, **named, "narrow": [None] * len(budgets)}


def _detail(arm: Trials, curve: list[dict[str, object]], asked: Asked) -> dict[str, object]:
    return {
        "edf": bands.distribution(arm.scores),
        "budgets": [_by_budget(arm, curve, axis) for axis in ("trials", "epochs", "seconds")],
        "traces": None,
        "optimism": None,
        "redundancy": None,
        "importance": _importance(arm, asked) if asked.in_full else None,
    }


def _importance(arm: Trials, asked: Asked) -> dict[str, object]:
    """How many trials it rests on: none of a sampler that learns, nor of fewer than 60."""
    tells = arm.n >= 60 and asked.is_random(arm.name)
    known = {"n": arm.n, "n_used": arm.n if tells else 0, "notes": []}
    return known if tells else {**known, "ranking": None}


def _by_budget(arm: Trials, curve: list[dict[str, object]], axis: str) -> dict[str, object]:
    """The curve over what k trials cost on average; else the best so far over what was spent."""
    known: dict[str, object] = {"low": None, "high": None, "independent": arm.random}
    if axis == "epochs":
        return {**known, "x": [], "value": [], "per_trial": None}
    costs = np.ones(arm.n) if axis == "trials" else arm.seconds
    each = float(costs.sum()) / arm.n
    if not arm.random:
        spent = [float(costs[: i + 1].sum()) for i in range(arm.n)]
        best = [float(arm.scores[: i + 1].max()) for i in range(arm.n)]
        return {**known, "x": spent, "value": best, "per_trial": each}
    ends = {name: [point[name] for point in curve] for name in ("low", "high")}
    return {
        **known,
        "x": [each * point["k"] for point in curve],
        "value": [point["value"] for point in curve],
        "per_trial": each,
        **{name: None if None in values else values for name, values in ends.items()},
    }


def more_trials(
    asked: Asked, arms: list[Trials], k: int, stated: dict[str, float | None] | None
) -> int | None:
    """Trials per arm that would probably settle an open verdict, from the interval stated.

    Its ends come nearer to the value as sqrt(1 / n + 1 / m) shrinks, until it excludes zero or
    lies in the region of equivalence. Where a search is a single observation it takes ten.
    """
    if stated is None:
        return 9
    value, low, high = (stated[name] for name in ("value", "low", "high"))
    if low is None or high is None:
        fewest = best_of_k.fewest_for_interval if asked.bounded else best_of_k.fewest_for_ends
        return fewest(k) - min(arm.n for arm in arms[:2])
    if low > 0 or high < 0 or (-asked.rope <= low and high <= asked.rope):
        return None
    n, m = (arm.n for arm in arms[:2])

    def settled(more: int) -> bool:
        shrunk = sqrt((1 / (n + more) + 1 / (m + more)) / (1 / n + 1 / m))
        least, most = value - (value - low) * shrunk, value + (high - value) * shrunk
        return least >= 0 or most <= 0 or (-asked.rope <= least and most <= asked.rope)

    needed = bisect_left(range(1_000_001), True, key=settled)
    return needed if needed <= 1_000_000 else None
