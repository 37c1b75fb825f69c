"""The comparison on a terminal: one row per arm, the contrasts, and the verdict in a panel."""

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tuner.compare.comparison import Comparison
from tuner.compare.rows import arm_rows, contrast_table

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
        arms.add_column(Text(arm.name), justify="right", overflow="fold")
    for label, cells in arm_rows(comparison):
        arms.add_row(Text(label, style="dim"), *map(Text, cells))
    console.print(arms)
    console.print()
    console.print(_contrasts(comparison))
    for note in comparison.notes:
        console.print(Text(f"· {note}", style="dim"))
    console.print(_panel(comparison))


def _contrasts(comparison: Comparison) -> Group:
    headings, rows = contrast_table(comparison)
    lines = []
    for label, cells in rows:
        lines.append(Text(label, style="bold"))
        for heading, cell in zip(headings, cells, strict=True):
            if cell != "-":
                lines.append(Text.assemble((f"  {heading:<24}", "dim"), cell))
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
