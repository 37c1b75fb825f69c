"""The rows of the two tables, as text: the terminal and the page print the same cells."""

from tuner.compare import words
from tuner.compare.comparison import ArmSummary, Comparison
from tuner.compare.contrast import Contrast
from tuner.compare.estimators import Estimate
from tuner.compare.protocol import Protocol


def arm_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Label and one cell per arm of each measure; a measure that no arm has is left out."""
    protocol, k = comparison.protocol, comparison.k
    arms = comparison.arms
    rows = [
        ("sampler", [arm.sampler for arm in arms]),
        ("trials", [f"{arm.n:,}" for arm in arms]),
        ("failed or diverged", [f"{arm.failed:,}" for arm in arms]),
        ("pruned", [f"{arm.pruned:,}" for arm in arms]),
        ("best", [words.score(arm.best, protocol.unit) for arm in arms]),
    ]
    budgets = sorted({point.k for arm in arms for point in arm.best_of})
    for budget in budgets:
        label = f"expected best of {budget:,}" + (" (k*)" if budget == k else "")
        rows.append((label, [_best_of(arm, budget, protocol) for arm in arms]))
    if protocol.target is not None:
        target = words.score(protocol.target, protocol.unit)
        targets = [arm.target for arm in arms]
        rows += [
            (f"trials that reach {target}", [words.share(t.share) if t else "-" for t in targets]),
            (
                "trials for 95% success",
                [words.trials(t.trials) if t else "-" for t in targets],
            ),
            ("time for 95% success", [words.duration(t.seconds) if t else "-" for t in targets]),
        ]
    rows.append(("training time", [words.duration(arm.seconds) for arm in arms]))
    if any(arm.retrained for arm in arms):
        runs = [arm.retrained for arm in arms]
        rows += [
            ("incumbent, fresh seeds", [str(r.seeds) if r else "-" for r in runs]),
            (
                "incumbent, validation",
                [words.mean(r.val, protocol.unit) if r else "-" for r in runs],
            ),
            ("incumbent, test", [words.mean(r.test, protocol.unit) if r else "-" for r in runs]),
        ]
    return [(label, cells) for label, cells in rows if set(cells) != {"-"}]


def contrast_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Label and cells (best of k*, probability, test difference, Holm's p) of each contrast."""
    protocol = comparison.protocol

    def cells(contrast: Contrast) -> list[str]:
        gap = contrast.difference
        return [
            words.difference(gap, protocol) if gap else "-",
            words.probability(contrast.probability, protocol) if contrast.probability else "-",
            words.difference(contrast.test, protocol) if contrast.test else "-",
            words.p_value(contrast.test_p_holm) if contrast.test_p_holm is not None else "-",
        ]

    return [(f"{c.first} - {c.second}", cells(c)) for c in comparison.contrasts]


def contrast_headings(comparison: Comparison) -> list[str]:
    """Headings of the columns of ``contrast_rows``."""
    return [
        f"best of {comparison.k:,}",
        f"P(best of {comparison.k:,} wins)",
        "incumbents on test",
        "their p (Holm)",
    ]


def _best_of(arm: ArmSummary, k: int, protocol: Protocol) -> str:
    for point in arm.best_of:
        if point.k == k:
            return words.bracketed(Estimate(point.value, point.low, point.high), protocol.unit)
    return "-"
