"""The comparison on a terminal: one row per arm, the contrasts, and the verdict in a panel."""

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tuner.compare import words
from tuner.compare.comparison import ArmSummary, Comparison
from tuner.compare.contrast import Contrast
from tuner.compare.estimators import Estimate
from tuner.compare.protocol import Protocol

VERDICT_STYLES = {
    "supported": "green",
    "equivalent": "cyan",
    "inconclusive": "yellow",
    "fragile": "magenta",
}


def print_table(comparison: Comparison, console: Console) -> None:
    """Print the arms, the contrasts, the notes and, last and nearest to the prompt, the verdict.

    Measures are rows and arms are columns, so that three arms fit into 80 characters.
    """
    arms = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    arms.add_column("")
    for arm in comparison.arms:
        arms.add_column(arm.name, justify="right", overflow="fold")
    for label, cells in arm_rows(comparison):
        arms.add_row(Text(label, style="dim"), *cells)
    console.print(arms)
    console.print()
    console.print(_contrasts(comparison))
    for note in comparison.notes:
        console.print(Text(f"· {note}", style="dim"))
    console.print(_panel(comparison))


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
                "trials for a 95% chance of it",
                [words.trials(t.trials) if t else "-" for t in targets],
            ),
            ("seconds for it", [words.duration(t.seconds) if t else "-" for t in targets]),
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
        "p (Holm)",
    ]


def _best_of(arm: ArmSummary, k: int, protocol: Protocol) -> str:
    for point in arm.best_of:
        if point.k == k:
            return words.bracketed(Estimate(point.value, point.low, point.high), protocol.unit)
    return "-"


def _contrasts(comparison: Comparison) -> Group:
    lines = []
    for label, cells in contrast_rows(comparison):
        lines.append(Text(label, style="bold"))
        for heading, cell in zip(contrast_headings(comparison), cells, strict=True):
            if cell != "-":
                lines.append(Text.assemble((f"  {heading:<22}", "dim"), cell))
    return Group(*lines)


def _panel(comparison: Comparison) -> Panel:
    verdict = comparison.verdict
    told = [verdict.text, *([verdict.test] if verdict.test else []), verdict.ranges]
    return Panel(
        Text("\n\n".join(told)),
        title=Text(verdict.kind.upper()),
        title_align="left",
        border_style=VERDICT_STYLES[verdict.kind],
        padding=(1, 2),
    )
