"""The rows of the two tables, as text: the terminal and the page print the same cells."""

from collections.abc import Callable

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.contrast import Contrast
from tuner.compare.protocol import Protocol
from tuner.compare.statistics.estimate import Estimate
from tuner.compare.summary import ArmSummary, SelectedSummary


def arm_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Label and one cell per arm of each measure; a measure that no arm has is left out."""
    protocol, k = comparison.protocol, comparison.k
    arms = comparison.arms
    rows = [
        ("sampler", [arm.sampler for arm in arms]),
        ("trials", [_trials(arm) for arm in arms]),
        ("failed or diverged", [f"{arm.failed:,}" for arm in arms]),
        ("pruned", [f"{arm.pruned:,}" for arm in arms]),
        ("best", ["-" if arm.median else words.score(arm.best, protocol) for arm in arms]),
        (
            "median of all seeds",
            [words.bracketed(arm.median, protocol) if arm.median else "-" for arm in arms],
        ),
    ]
    budgets = sorted({point.k for arm in arms for point in arm.best_of})
    for budget in budgets:
        label = words.best_of(budget, protocol) + (" (k*)" if budget == k else "")
        rows.append((label, [_best_of(arm, budget, protocol) for arm in arms]))
    if protocol.target is not None:
        target = words.score(protocol.target, protocol)
        targets = [arm.target for arm in arms]
        rows += [
            (f"trials that reach {target}", [words.share(t.share) if t else "-" for t in targets]),
            (
                "trials for 95% success",
                [words.trials(t.trials, protocol) if t and t.trials else "-" for t in targets],
            ),
            (
                "time for 95% success",
                [words.duration(t.seconds) if t and t.seconds else "-" for t in targets],
            ),
        ]
    if any(arm.selected for arm in arms):
        chosen = [arm.selected for arm in arms]
        worst = "their worst" if protocol.minimized else "their lowest"
        rows += [
            ("settings selected, trained afresh", [_searches(c) if c else "-" for c in chosen]),
            (
                "their median on test",
                [words.bracketed(c.median, protocol) if c else "-" for c in chosen],
            ),
            (worst, [words.score(c.lowest, protocol) if c else "-" for c in chosen]),
        ]
    rows.append(("training time", [words.duration(arm.seconds) for arm in arms]))
    if any(arm.retrained for arm in arms):
        runs = [arm.retrained for arm in arms]
        rows += [
            ("incumbent, fresh seeds", [str(r.seeds) if r else "-" for r in runs]),
            (
                "incumbent, validation (median)",
                [words.bracketed(r.val, protocol) if r else "-" for r in runs],
            ),
            (
                "incumbent, test (median)",
                [words.bracketed(r.test, protocol) if r else "-" for r in runs],
            ),
        ]
    return [(label, cells) for label, cells in rows if set(cells) != {"-"}]


def contrast_table(comparison: Comparison) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The headings, and label and cells of each contrast; an empty column is left out."""
    k = comparison.k
    columns: dict[str, Callable[[Contrast, Protocol], str]] = {
        "settings selected, trained afresh": _selected,
        "the same, on other test images": _selected_on_other_images,
        f"best of {k:,}": lambda c, p: _difference(c.best_of_k, p),
        f"P(best of {k:,} wins)": _probability,
        "best of whole searches": _whole_searches,
        "mean trials to target": _mean_trials,
        "times fewer trials to target": lambda c, p: _speedup(c, "trials", p),
        "times fewer epochs": lambda c, p: _speedup(c, "epochs", p),
        "times fewer seconds": lambda c, p: _speedup(c, "seconds", p),
        "incumbents on test, median seed": lambda c, p: _difference(c.test_typical, p),
        "incumbents on other images, median": lambda c, p: _difference(
            c.test_typical_other_images, p
        ),
        "incumbents on test, mean": lambda c, p: _difference(c.test, p),
        "incumbents on other images, mean": lambda c, p: _difference(c.test_other_images, p),
        "their p (Holm)": _holm,
    }
    cells = {
        heading: [cell(contrast, comparison.protocol) for contrast in comparison.contrasts]
        for heading, cell in columns.items()
    }
    shown = [heading for heading in columns if set(cells[heading]) != {"-"}]
    return shown, [
        (f"{contrast.first} - {contrast.second}", [cells[heading][row] for heading in shown])
        for row, contrast in enumerate(comparison.contrasts)
    ]


def _trials(arm: ArmSummary) -> str:
    """``200``, or ``10 x 40`` of equally long repeats."""
    each = arm.trials_per_search
    if arm.searches == 1:
        return f"{arm.n:,}"
    return f"{arm.n:,} in {arm.searches:,}" if each is None else f"{arm.searches:,} x {each:,}"


def _searches(runs: SelectedSummary) -> str:
    """``20``, or ``8 of 20`` while the others are missing."""
    return f"{runs.n}" if runs.n == runs.planned else f"{runs.n} of {runs.planned}"


def _selected(contrast: Contrast, protocol: Protocol) -> str:
    searches = contrast.selected
    if searches is None:
        return "-"
    return f"{words.difference(searches.difference, protocol)}, ahead in {searches.wins:.0%}"


def _selected_on_other_images(contrast: Contrast, protocol: Protocol) -> str:
    wider = None if contrast.selected is None else contrast.selected.other_images
    return _difference(wider, protocol)


def _difference(estimate: Estimate | None, protocol: Protocol) -> str:
    return "-" if estimate is None else words.difference(estimate, protocol)


def _probability(contrast: Contrast, protocol: Protocol) -> str:
    return words.probability(contrast.probability, protocol) if contrast.probability else "-"


def _whole_searches(contrast: Contrast, protocol: Protocol) -> str:
    repeats = contrast.repeats
    if repeats is None:
        return "-"
    difference = words.difference(repeats.difference, protocol)
    return f"{difference}, {repeats.n} repeats, Wilcoxon p {words.p_value(repeats.p)}"


def _mean_trials(contrast: Contrast, _: Protocol) -> str:
    repeats = contrast.repeats
    if repeats is None or repeats.mean_trials is None:
        return "-"
    ours, theirs = repeats.mean_trials
    return f"{ours:.1f} against {theirs:.1f}, log-rank p {words.p_value(repeats.logrank_p)}"


def _speedup(contrast: Contrast, axis: str, protocol: Protocol) -> str:
    speedup = contrast.speedups.get(axis)
    if speedup is None and axis == "trials" and contrast.repeats is not None:
        speedup = contrast.repeats.speedup
    return "-" if speedup is None else words.speedup(speedup, protocol)


def _holm(contrast: Contrast, _: Protocol) -> str:
    return "-" if contrast.test_p_holm is None else words.p_value(contrast.test_p_holm)


def _best_of(arm: ArmSummary, k: int, protocol: Protocol) -> str:
    for point in arm.best_of:
        if point.k == k:
            return words.bracketed(Estimate(point.value, point.low, point.high), protocol)
    return "-"
