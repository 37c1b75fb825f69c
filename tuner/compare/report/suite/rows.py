"""The rows of a suite's tables, as text: the terminal and the page print the same cells."""

from math import isfinite

from tuner.compare import words
from tuner.compare.statistics.across.pooled import Pooled
from tuner.compare.suite.outcome import Suite
from tuner.compare.suite.said import between, times

Rows = list[tuple[str, list[str]]]


def workload_rows(suite: Suite) -> tuple[list[str], Rows]:
    """Trials to the target on each workload: the columns, and a row of cells for each."""
    columns = ["target", *suite.arms, "times fewer", "own verdict"]
    rows: Rows = []
    for place, (name, each) in enumerate(suite.comparisons.items()):
        protocol = each.protocol
        rows.append(
            (
                name,
                [
                    words.score(protocol.target or 0.0, protocol),
                    *(_cost(suite, place, column) for column in range(len(suite.arms))),
                    words.speedup(suite.speedup(name), protocol),
                    each.verdict.kind,
                ],
            )
        )
    return columns, rows


def pooled_rows(suite: Suite) -> tuple[list[str], Rows]:
    """What is said over all workloads, of each cost, and without each workload in turn."""
    columns = ["times fewer", "one more workload", "factor between workloads", "workloads"]
    rows = [(axis, _pooled(suite, pooled)) for axis, pooled in suite.pooled.items()]
    for arm, pooled in suite.against.items():
        rows.append((f"trials, against {arm}", _pooled(suite, pooled)))
    for name, pooled in suite.without.items():
        said, _, spread, n = _pooled(suite, pooled)
        rows.append((f"trials, all but {name}", [said, "-", spread, n]))
    return columns, rows


def _pooled(suite: Suite, pooled: Pooled) -> list[str]:
    return [
        times(pooled.speedup, suite),
        "-" if pooled.another is None else times(pooled.another, suite),
        between(pooled),
        _counted(pooled.n, pooled.missed_by_old + pooled.missed_by_new, pooled.left_out),
    ]


def profile_rows(suite: Suite) -> tuple[list[str], Rows]:
    """Share of the workloads on which each arm is within a factor of the fewest trials."""
    return list(suite.arms), [
        (
            "fewest trials" if factor == 1 else f"within {factor:g} times",
            [words.share(suite.profiles[arm][place]) for arm in suite.arms],
        )
        for place, factor in enumerate(suite.factors)
    ]


def range_rows(suite: Suite) -> tuple[list[str], Rows]:
    """Each hyperparameter's range in every arm; they are the same on every workload."""
    first = next(iter(suite.comparisons.values()))
    ranges = {arm.name: arm.ranges for arm in first.arms}
    names = dict.fromkeys(name for arm in suite.arms for name in ranges[arm])
    return list(suite.arms), [
        (name, [ranges[arm].get(name, "-") for arm in suite.arms]) for name in names
    ]


def _cost(suite: Suite, row: int, column: int) -> str:
    """``18 (11/200)``: expected trials and, of how many trials, how many reached it."""
    comparison = list(suite.comparisons.values())[row]
    arm = next(each for each in comparison.arms if each.name == suite.arms[column])
    hits = arm.target.hits if arm.target is not None else 0
    cost = suite.costs[row, column]
    return f"{cost:.1f} ({hits}/{arm.n})" if isfinite(cost) else f"missed (0/{arm.n})"


def _counted(n: int, at_bound: int, left_out: int) -> str:
    """``5``, or with what is censored or left out of them."""
    said = [f"{n:,}"]
    said += [f"{at_bound} of them at a bound"] if at_bound else []
    said += [f"{left_out} left out"] if left_out else []
    return ", ".join(said)
