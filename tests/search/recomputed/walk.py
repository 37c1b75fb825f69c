"""Every number of a report beside the one that was recomputed, path by path."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

RELATIVE, ABSOLUTE = 1e-8, 1e-12


@dataclass(frozen=True)
class Within:
    """A number that lies from low to high."""

    low: float
    high: float

    def holds(self, number: float) -> bool:
        slack = ABSOLUTE + RELATIVE * max(abs(self.low), abs(self.high))
        return self.low - slack <= number <= self.high + slack


def numbers(tree: object, path: str = "") -> Iterator[tuple[str, object]]:
    """The path and the value of each number, expected number, or None; texts are left out."""
    if isinstance(tree, Mapping):
        for key, entry in tree.items():
            yield from numbers(entry, f"{path}.{key}".removeprefix("."))
    elif isinstance(tree, list | tuple):
        if not any(isinstance(entry, str) for entry in tree):
            yield f"{path}.length", len(tree)
        for index, entry in enumerate(tree):
            yield from numbers(entry, f"{path}.{index}")
    elif tree is None or isinstance(tree, bool | int | float | Within):
        yield path, tree


def differences(
    report: object, expected: object, exempt: Mapping[str, str]
) -> tuple[list[str], set[str]]:
    """What differs, and the paths whose numbers agree; an exempt path covers all below it."""
    stated, wanted = dict(numbers(report)), dict(numbers(expected))
    found, agree = [], set()
    for path, value in stated.items():
        if any(path == each or path.startswith(f"{each}.") for each in exempt):
            continue
        if path not in wanted:
            if isinstance(value, int | float):
                found.append(f"{path}: {value} is not recomputed")
        elif not _agree(value, wanted[path]):
            found.append(f"{path}: {value}, but recomputed {wanted[path]}")
        else:
            agree.add(path)
    found += [f"{path}: missing" for path in wanted.keys() - stated.keys()]
    return found, agree


def _agree(stated: object, wanted: object) -> bool:
    if stated is None or wanted is None or isinstance(stated, bool):
        return stated is wanted
    assert isinstance(stated, int | float)
    if isinstance(wanted, Within):
        return wanted.holds(stated)
    assert isinstance(wanted, int | float)
    return math.isclose(stated, wanted, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
