"""Exports of a whole comparison, with entries changed and a checksum that fits them."""

import copy
import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from comparisons import comparison, enqueue, run
from light_trainer import LightTrainer

from tuner.optim.equivalence import describe
from tuner.search.database.store import Store
from tuner.search.database.transfer import export
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.whole_trials import STORED
from tuner.search.queue.queue import Queue

Lines = list[dict[str, Any]]

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 3, 2**31, 2**63, 10**400, 0.5, -0.0, 1e-320, 1e308, -1e308),
    *(math.nan, math.inf, -math.inf, "", "x", "inf", "nan", "\0", "\ud800", "a" * 600, "ä\n<b>"),
    *("1970-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "active"),
    *("done", "waiting", "COMPLETE", "FAIL", "{}", "null", "[" * 5000),
    *([], {}, [[]], [None], {"": 0}, {"a": None}, {"\0": 1}, {"\ud800": 1}, ["x", 1]),
)


class Recording(LightTrainer):
    """Records the filter that each setting is, and which test images were hit."""

    def train(self, *arguments: Any, test: bool, **how: Any) -> list[Any]:
        results = super().train(*arguments, test=test, **how)
        for result in results if test else []:
            result.test_hits = tuple(n % 3 > 0 for n in range(20))
        return results

    def conditions(self, _workload: object) -> dict[str, Any]:
        return {
            "device": "cpu",
            "precision": "float32",
            "kernels": True,
            "versions": {"torch": "2"},
        }

    def describe(
        self, _workload: object, rule: str, settings: Any, steps: int
    ) -> dict[str, object]:
        return dataclasses.asdict(describe(rule, settings, max(steps, 1)))


def whole(store: Store) -> Lines:
    """An export of a comparison that ended, without its footer; the store holds it then."""
    spec = comparison(n_trials=8, verdict={"primary": ["new", "old"], "k": 2})
    enqueue(store, spec)
    queue = Queue(store, retries=0)
    failing = queue.claim("small/old", "a", range(2)).trial_ids
    queue.fail("a", failing, "Traceback: out of luck")
    run(store, trainer=Recording("cpu"))
    return [json.loads(line) for line in export(store)][:-1]


def sealed(lines: Lines) -> list[str]:
    """The file's lines, with a footer that fits them."""
    texts = [json.dumps(line) + "\n" for line in lines]
    kinds = [line.get("kind") if isinstance(line, dict) else None for line in lines]
    footer = {
        "kind": "footer",
        "comparisons": kinds.count("comparison"),
        "studies": kinds.count("study"),
        "trials": kinds.count("trial"),
        "sha256": hashlib.sha256("".join(texts).encode()).hexdigest(),
    }
    return [*texts, json.dumps(footer) + "\n"]


def mutant(good: Lines, random: Random) -> tuple[Lines, str]:
    """The export with one or two entries changed, and what was changed in words."""
    lines, said = copy.deepcopy(good), []
    for _ in range(random.choice((1, 1, 1, 2))):
        kind = random.choice(("comparison", "study", "trial", "trial", "trial"))
        number, line = random.choice([x for x in enumerate(lines) if x[1].get("kind") == kind])
        opened = _opened(line)
        path = random.choice([each for each in _paths(opened) if each])
        said.append(
            f"line {number + 1} {kind} {'.'.join(map(str, path))}: {_change(opened, path, random)}"
        )
        lines[number] = _closed(opened)
    return lines, "; ".join(said)


def _change(line: dict[str, Any], path: tuple[Any, ...], random: Random) -> str:
    parent: Any = line
    for name in path[:-1]:
        parent = parent[name]
    match random.randrange(8):
        case 0:
            del parent[path[-1]]
            return "removed"
        case 1 if isinstance(parent, dict):
            parent[f"{path[-1]}2"] = parent.pop(path[-1])
            return "called otherwise"
        case 2 if isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
            return "written twice"
        case 3 if isinstance(parent[path[-1]], int | float):
            parent[path[-1]] = random.choice((parent[path[-1]] * 10, -parent[path[-1]]))
        case 4:
            other = random.choice([each for each in _paths(line) if each])
            value: Any = line
            for name in other:
                value = value[name]
            parent[path[-1]] = copy.deepcopy(value)
        case _:
            parent[path[-1]] = copy.deepcopy(random.choice(HOSTILE))
    return f"{parent[path[-1]]!r:.80}"


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _paths(part, (*at, name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield from _paths(part, (*at, place))


def _opened(line: dict[str, Any]) -> dict[str, Any]:
    """The line with the JSON that it holds as text taken apart."""
    opened = copy.deepcopy(line)
    if "spec" in opened and isinstance(opened["spec"], str):
        opened["spec"] = json.loads(opened["spec"])
    if isinstance(opened.get("distributions"), dict):
        opened["distributions"] = {
            name: json.loads(text) for name, text in opened["distributions"].items()
        }
    return opened


def _closed(opened: dict[str, Any]) -> dict[str, Any]:
    line = dict(opened)
    if isinstance(line.get("spec"), dict):
        line["spec"] = json.dumps(line["spec"])
        try:
            spec = ComparisonSpec.model_validate_json(line["spec"], context=STORED)
            line["declaration_hash"] = declaration_hash(spec)
        except ValueError:
            pass  # no declaration: whatever its hash is
    if isinstance(line.get("distributions"), dict):
        line["distributions"] = {
            name: json.dumps(part) for name, part in line["distributions"].items()
        }
    return line
